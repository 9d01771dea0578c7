"""Slices as text: read and written by programs that know numbers only as digits."""

import csv
import json
import os
import subprocess
import time

import numpy as np
import pandas
import pytest

from harness import mounted, refused, shell

INTEGERS = ["u1", "i1", "<u2", ">i2", "<u4", ">i4", "<u8", ">i8"]
FLOATS = ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"]


def bits(rng, dtype, shape):
    """Elements of random bits: numbers of every size, NaN and infinity among them."""
    dtype = np.dtype(dtype)
    count = int(np.prod(shape))
    return np.frombuffer(rng.bytes(count * dtype.itemsize), dtype).reshape(shape).copy()


def equal(found, wanted):
    """The same numbers, and NaN where NaN is wanted."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    same = (found == wanted) | ((found != found) & (wanted != wanted))
    return found.shape == wanted.shape and bool(np.all(same))


def every_offset(path):
    whole = path.read_bytes()
    assert path.stat().st_size == len(whole)
    with open(path, "rb", buffering=0) as file:
        for at in range(len(whole) + 1):
            assert os.pread(file.fileno(), 13, at) == whole[at : at + 13]
    return whole


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS, "?"])
def test_numpy_and_pandas_read_every_number(source, rng, dtype):
    array = bits(rng, dtype, (60, 7)) if dtype != "?" else rng.random((60, 7)) < 0.5
    np.save(source / "a.npy", array)
    with mounted(source) as mnt, np.errstate(all="ignore"):
        for path, wanted in [("data", array), ("col/3", array[:, 3]), ("slice/::2,::-1", array[::2, ::-1]), ("T/data", array.T)]:
            found = np.loadtxt(mnt / "a" / f"{path}.txt", dtype=array.dtype.newbyteorder("=") if dtype != "?" else "u1")
            assert equal(found, wanted), path
            found = np.loadtxt(mnt / "a" / f"{path}.csv", dtype=array.dtype.newbyteorder("=") if dtype != "?" else "u1", delimiter=",")
            assert equal(found, wanted), path
            assert all(kind.kind in "iufb" for kind in pandas.read_csv(mnt / "a" / f"{path}.csv", header=None).dtypes), path
            frame = pandas.read_csv(mnt / "a" / f"{path}.csv", header=None, float_precision="round_trip")
            found = np.array([frame[k].to_numpy(array.dtype.newbyteorder("=")) for k in frame]).T
            assert equal(found.reshape(wanted.shape), wanted), path
        found = json.loads((mnt / "a" / "slice" / ":3.json").read_text(), parse_constant=pytest.fail)
        found = [[np.nan if number is None else number for number in row] for row in found]
        assert equal(np.array(found, array.dtype.newbyteorder("=")), array[:3])


@pytest.mark.parametrize("form", ["txt", "csv", "json"])
def test_every_offset_is_that_of_the_whole(source, rng, form):
    np.save(source / "a.npy", bits(rng, ">f4", (3, 2, 4)))
    np.save(source / "c.npy", bits(rng, "<c8", (3, 2)))
    np.save(source / "s.npy", np.array(["a b", 'q"', "", "ü,"], "U3"))
    record = np.zeros(5, [("x", "<i4"), ("y", ">f8", (2,)), ("z", "S3")])
    np.save(source / "r.npy", record)
    with mounted(source) as mnt:
        for name in ["a/data", "a/row/1", "a/slice/1,1,1", "a/slice/0:0", "c/data", "s/data", "r/data", "a/T/range/3:9"]:
            if form == "json" and name[0] in "sr":
                assert not (mnt / f"{name}.{form}").exists()
            else:
                every_offset(mnt / f"{name}.{form}")
        if form == "json":
            assert json.loads((mnt / "a/slice/0:0.json").read_text()) == []
            assert np.shape(json.loads((mnt / "a/data.json").read_text())) == (3, 2, 4)
            assert np.shape(json.loads((mnt / "a/slice/1,1,1.json").read_text())) == ()
            assert np.shape(json.loads((mnt / "c/data.json").read_text())) == (3, 2, 2)


def test_strings_records_and_times(source):
    strings = np.array([["plain", "two words"], ['"quoted"', "a,b"], ["", "#no"]], "U9")
    np.save(source / "u.npy", strings)
    np.save(source / "s.npy", strings.astype("S9"))
    times = np.array(["1969-12-31T23:59:59.999", "NaT", "2024-02-29T12:00:00.001", "-0044-03-15"], "<M8[ms]")
    np.save(source / "t.npy", times)
    for unit in ["Y", "M", "W", "D", "h", "m", "s", "us", "ns", "ps", "fs", "as", "25s", "7D"]:
        numbers = np.array([0, 1, -1, 12345, -98765, 2**62, -(2**63) + 1, 2**63 - 1, -(2**63)])
        np.save(source / f"t{unit}.npy", numbers.view(f"M8[{unit}]"))
    record = np.array([(1, 2.5, b"ab", (7, 8), 1 + 2j), (-3, np.nan, b"c,d", (9, 10), -1j)],
                      [("n", "<i4"), ("x", ">f8"), ("s", "S4"), ("pair", "<i2", (2,)), ("z", "<c16")])
    np.save(source / "r.npy", record)
    with mounted(source) as mnt:
        for name in ["u", "s"]:
            frame = pandas.read_csv(mnt / name / "data.csv", header=None, keep_default_na=False)
            assert frame.to_numpy().tolist() == strings.tolist()
            with open(mnt / name / "data.csv", newline="", encoding="utf-8") as file:
                assert [row for row in csv.reader(file) if row] == strings.tolist()
        assert (mnt / "t" / "data.txt").read_text().split() == np.datetime_as_string(times).tolist()
        for path in source.glob("t?*.npy"):
            array = np.load(path)
            found = (mnt / path.stem / "data.txt").read_text().split()
            for k in range(len(found)):
                try:
                    wanted = str(np.datetime_as_string(array[k]))
                except (ValueError, OverflowError, RuntimeError):
                    continue
                # NumPy's own arithmetic overflows for the others.
                if abs(int(array[k].astype("i8"))) < 2**40 or found[k] == "NaT":
                    assert found[k] == wanted, (path.stem, k)
            before = path.read_bytes()
            text = (mnt / path.stem / "data.txt").read_bytes()
            (mnt / path.stem / "data.txt").write_bytes(text)
            assert path.read_bytes() == before, path.stem
        frame = pandas.read_csv(mnt / "r" / "data.csv")
        assert list(frame) == ["n", "x", "s", "pair.0", "pair.1", "z"]
        assert frame["n"].tolist() == [1, -3] and frame["s"].tolist() == ["ab", "c,d"] and frame["pair.1"].tolist() == [8, 10]
        assert [complex(text) for text in frame["z"]] == record["z"].tolist()
        frame.loc[0, "n"], frame.loc[1, "x"] = 77, 0.1
        frame.to_csv(mnt / "r" / "data.csv", index=False)
        record["n"][0], record["x"][1] = 77, 0.1
        assert np.load(source / "r.npy").tobytes() == record.tobytes()


@pytest.mark.parametrize("form", ["txt", "csv"])
def test_strings_are_written_back_and_by_pandas(source, rng, form):
    words = ["plain", "two words", 'a "b" c', "a,b", "", "#no", " lead", "trail\t", "a\nb", "ü é", "\x0c", "[x]", "nan", "x  y"]
    strings = np.array([words, words[::-1]], "U9")
    record = np.zeros(14, [("my text", "S9"), ("n", "<i4"), (" b,c ", "U9")])
    record["my text"], record["n"], record[" b,c "] = [word.encode() for word in words], rng.integers(-99, 99, 14), words[::-1]
    np.save(source / "u.npy", strings)
    np.save(source / "s.npy", np.char.encode(strings, "utf-8"))
    np.save(source / "r.npy", record)
    with mounted(source) as mnt:
        for name in "usr":
            before = (source / f"{name}.npy").read_bytes()
            text = (mnt / name / f"data.{form}").read_bytes()
            (mnt / name / f"data.{form}").write_bytes(text)
            assert (source / f"{name}.npy").read_bytes() == before, name
            with mnt.open(f"{name}/data.{form}", os.O_WRONLY) as fd:
                os.pwrite(fd, text[50:], 50)
            assert (source / f"{name}.npy").read_bytes() == before, name
        if form == "csv":
            with open(mnt / "r/data.csv", newline="") as file:
                rows = list(csv.reader(file, skipinitialspace=True))
            assert rows[0] == ["my text", "n", " b,c "] and [row[2] for row in rows[1:]] == words[::-1]
            # Others put no more quotation marks than they must.
            for quoting in [csv.QUOTE_MINIMAL, csv.QUOTE_ALL]:
                new = pandas.DataFrame({"my text": words[3:] + words[:3], "n": range(14), " b,c ": words})
                (mnt / "r/data.csv").write_text(new.to_csv(index=False, quoting=quoting, lineterminator="\r\n").replace("a\r\nb", "a\nb"))
                found = np.load(source / "r.npy")
                assert found["n"].tolist() == list(range(14))
                # What is outside of quotation marks has no blanks at its ends.
                wanted = [word if quoting or "#" in word else word.strip(" \t") for word in words]
                assert found[" b,c "].tolist() == wanted
                np.save(source / "r.npy", record)


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS, "<c8", ">c16", "?"])
@pytest.mark.parametrize("form", ["txt", "csv", "json"])
def test_what_is_written_back_changes_no_byte(source, rng, dtype, form):
    array = bits(rng, dtype, (40, 5)) if dtype != "?" else np.frombuffer(rng.bytes(200), "?").reshape(40, 5)
    np.save(source / "a.npy", array)
    before = (source / "a.npy").read_bytes()
    with mounted(source) as mnt:
        for path in ["data", "col/2", "slice/::-1,::2", "T/data"]:
            file = mnt / "a" / f"{path}.{form}"
            text = file.read_bytes()
            file.write_bytes(text)
            assert (source / "a.npy").read_bytes() == before, path
            with mnt.open(f"a/{path}.{form}", os.O_WRONLY) as fd:
                os.pwrite(fd, text[100:300], 100)
            assert (source / "a.npy").read_bytes() == before, path
        # And of what differs, what differs alone.
        new = bits(rng, dtype, (40, 5)) if dtype != "?" else rng.random((40, 5)) < 0.5
        np.save(source / "b.npy", new)
        (mnt / "a" / f"data.{form}").write_bytes((mnt / "b" / f"data.{form}").read_bytes())
        assert equal(np.load(source / "a.npy"), new)


def test_numbers_as_others_write_them(source):
    np.save(source / "a.npy", np.zeros((2, 3), ">f4"))
    np.save(source / "i.npy", np.zeros((2, 3), "<i2"))
    spelled = ["1 2 3\n4 5 6\n", "1,2,3\n4,5,6", "  1.0\t2e0 3D+0\n\n# a comment\n4. 5 +6\r\n", "1\n2\n3\n4\n5\n6\n", "1 2 3 4 5 6",
               "1.000000000000000000e+00 2 3 4 5 6.0"]
    with mounted(source) as mnt:
        for text in spelled:
            for name in ["a", "i"]:
                (mnt / name / "data.txt").write_text(text)
                assert np.load(source / f"{name}.npy").tolist() == [[1, 2, 3], [4, 5, 6]], text
                (mnt / name / "data").write_bytes(bytes(np.load(source / f"{name}.npy").nbytes))
        (mnt / "a/row/0.csv").write_text("1,,NA\n")
        assert equal(np.load(source / "a.npy")[0], np.array([1, np.nan, np.nan], "f4"))
        pandas.DataFrame([[1.5, np.nan, -np.inf], [np.nan, 2, np.nan]]).to_csv(mnt / "a/data.csv", header=False, index=False)
        assert equal(np.load(source / "a.npy"), np.array([[1.5, np.nan, -np.inf], [np.nan, 2, np.nan]], "f4"))
        np.savetxt(mnt / "a/data.txt", np.arange(6.0).reshape(2, 3), header="x y z")
        assert np.load(source / "a.npy").tolist() == [[0, 1, 2], [3, 4, 5]]
        (mnt / "a/data.json").write_text("[[1,2.5,null],[1e999,-3,0]]")
        assert equal(np.load(source / "a.npy"), np.array([[1, 2.5, np.nan], [np.inf, -3, 0]], "f4"))


def test_what_is_no_json_is_refused(source):
    np.save(source / "a.npy", np.arange(4, dtype="<i2"))
    np.save(source / "c.npy", np.arange(4, dtype="<c8").reshape(2, 2))
    np.save(source / "none.npy", np.zeros((2, 0)))
    before = (source / "a.npy").read_bytes()
    with mounted(source) as mnt:
        for text in ["[1,2,3,4", "1,2,3,4]", "1 2 3 4", "[1 2 3 4]", '[1,2,3,"4"]', "[[1,2],[3,4]]", "[1,2,,3,4]", "[1,2,3,4,]", "[]"]:
            with refused("EINVAL"):
                (mnt / "a/data.json").write_text(text)
            assert (source / "a.npy").read_bytes() == before, text
        (mnt / "a/data.json").write_text(json.dumps([5, 6, 7, 8], indent=1))
        assert np.load(source / "a.npy").tolist() == [5, 6, 7, 8]
        (mnt / "c/data.json").write_text("[[[1,2],[3,4]],[[5,6],[7,8]]]")
        assert np.load(source / "c.npy").tolist() == [[1 + 2j, 3 + 4j], [5 + 6j, 7 + 8j]]
        with refused("EINVAL"):
            (mnt / "c/data.json").write_text("[[1,2,3,4],[5,6,7,8]]")
        (mnt / "none/data.json").write_text("[[],[]]")
        assert not (mnt / "t/data.json").exists()


def test_integers_may_be_written_as_floats_without_a_fraction(source):
    np.save(source / "a.npy", np.zeros(3, "<i8"))
    with mounted(source) as mnt:
        (mnt / "a/data.txt").write_text("\ufeff1e18 9007199254740993.0 -1.50e1\n")
        assert np.load(source / "a.npy").tolist() == [10**18, 2**53 + 1, -15]
        for text, error in [("1e19 0 0", "ERANGE"), ("1e-1 0 0", "EINVAL"), ("1.5 0 0", "EINVAL"), ("1e400 0 0", "ERANGE")]:
            with refused(error):
                (mnt / "a/data.txt").write_text(text)


def test_a_refused_text_leaves_the_array_as_it_was(source):
    np.save(source / "a.npy", np.arange(6, dtype="<i2").reshape(2, 3))
    np.save(source / "f.npy", np.arange(6, dtype="<f4").reshape(2, 3))
    before = {name: (source / f"{name}.npy").read_bytes() for name in "af"}
    bad = [("a", "1 2 3 4 5", "EINVAL"), ("a", "1 2 3 4 5 6 7", "EINVAL"), ("a", "1 2 3 4 5 x", "EINVAL"), ("a", "1 2 3 4 5 6.5", "EINVAL"),
           ("a", "1 2 3 4 5 32768", "ERANGE"), ("a", "1 2 3 4 5 1e99", "ERANGE"), ("a", "1 2 3 4 5 nan", "EINVAL"),
           ("f", "1 2 3 4 5 1e39", "ERANGE"), ("f", "1 2 3 4 5 0x10", "EINVAL"), ("f", "1 2 3 4 5 6\0", "EINVAL"),
           ("f", '1 2 3 4 5 "6', "EINVAL"), ("f", "\n", "EINVAL"), ("f", "1,2,,\n4,5,6", "EINVAL")]
    with mounted(source) as mnt:
        for name, text, error in bad:
            with refused(error):
                (mnt / name / "data.csv").write_text(text)
            assert (source / f"{name}.npy").read_bytes() == before[name], text
        # A file that is opened for writing and never written stays as it is.
        for flags in [os.O_WRONLY, os.O_WRONLY | os.O_TRUNC, os.O_RDWR | os.O_APPEND]:
            with mnt.open("a/data.txt", flags):
                pass
        assert (source / "a.npy").read_bytes() == before["a"]
        # What is incomplete at one flush may be completed by the next.
        with mnt.open("a/data.txt", os.O_WRONLY | os.O_TRUNC) as fd:
            os.write(fd, b"9 8 7 6")
            with refused("EINVAL"):
                os.close(os.dup(fd))
            assert (source / "a.npy").read_bytes() == before["a"]
            os.write(fd, b" 5 4\n")
        assert np.load(source / "a.npy").tolist() == [[9, 8, 7], [6, 5, 4]]
        with mnt.open("a/data.txt", os.O_WRONLY) as fd:
            os.pwrite(fd, b"    70", 7)
        assert np.load(source / "a.npy").tolist() == [[9, 70, 7], [6, 5, 4]]
        with refused("EINVAL"), mnt.open("a/data.txt", os.O_WRONLY) as fd:
            os.pwrite(fd, b"1 2", 10)
        assert np.load(source / "a.npy").tolist() == [[9, 70, 7], [6, 5, 4]]


def test_shell_tools(source, scratch):
    rng = np.random.default_rng(1)
    array = rng.integers(-999, 999, (50, 4)).astype("<f8") / 4
    np.save(source / "a.npy", array)
    with mounted(source) as mnt:
        outcome = shell('sort -n "$1/col/3.txt" > "$2/x" && cp "$2/x" "$1/col/3.txt"', mnt / "a", scratch)
        assert outcome.returncode == 0, outcome.stderr
        array[:, 3] = np.sort(array[:, 3])
        assert np.array_equal(np.load(source / "a.npy"), array)
        outcome = shell('echo 1 2 3 > "$1/slice/0,0:3.txt"', mnt / "a")
        assert outcome.returncode == 0, outcome.stderr
        array[0, :3] = 1, 2, 3
        outcome = shell('{ echo 4 5; echo 6; } > "$1/slice/1,0:3.txt"', mnt / "a")
        array[1, :3] = 4, 5, 6
        assert np.array_equal(np.load(source / "a.npy"), array)
        outcome = shell("""awk '{ s += $2 } END { print s }' "$1/data.txt" """, mnt / "a")
        assert float(outcome.stdout) == array[:, 1].sum()
        outcome = shell("""awk -F, '{ s += $2 } END { print s }' "$1/data.csv" """, mnt / "a")
        assert float(outcome.stdout) == array[:, 1].sum()
        outcome = shell("""awk '{ print $1 * 2, $2, $3, $4 }' "$1/data.txt" > "$2/y" && cat "$2/y" > "$1/data.txt" """, mnt / "a", scratch)
        assert outcome.returncode == 0, outcome.stderr
        array[:, 0] *= 2
        assert np.allclose(np.load(source / "a.npy"), array, rtol=1e-5)


def test_any_part_of_a_huge_text_costs_as_little(source):
    huge = np.lib.format.open_memmap(source / "a.npy", "w+", "<f8", (100 << 27,))
    huge[-1], huge[0] = 0.1, -2.5
    del huge
    with mounted(source) as mnt:
        size = (mnt / "a/data.txt").stat().st_size
        assert size == 25 * (100 << 27)
        with mnt.open("a/data.txt") as fd:
            for offset, wanted in [(0, b"-2.5"), (size - 1024, b"0.1")]:
                before = mnt.stats()["bytes_gathered"]
                assert wanted in os.pread(fd, 1024, offset)
                assert mnt.stats()["bytes_gathered"] - before <= 8 * (1024 // 25 + 2)


def test_a_gigabyte_of_text_takes_no_memory(source):
    count = 40_000_000
    array = np.lib.format.open_memmap(source / "a.npy", "w+", "<f8", (count,))
    array[:] = np.random.default_rng(1).normal(size=count)
    array.flush()
    np.lib.format.open_memmap(source / "b.npy", "w+", "<f8", (count,)).flush()
    with mounted(source) as mnt:
        cat = subprocess.Popen(["bash", "-c", 'cat "$1/a/data.txt" > "$1/b/data.txt"', "bash", mnt])
        most = 0
        while cat.poll() is None:
            most = max(most, mnt.status("RssAnon"))
            time.sleep(0.01)
        assert cat.returncode == 0
        assert (mnt / "a/data.txt").stat().st_size == 10**9
        assert np.array_equal(np.load(source / "b.npy", mmap_mode="r"), array)
        assert 0 < most < 150_000, f"{most} kB"


def test_a_string_in_csv_ends_at_a_comma(source):
    strings = np.array([["two words", "#no"], ["a\tb", "ü ö  ä"], ["", "x"]], "U9")
    record = np.array([(b"# 1", 2), (b"c d", -3)], [("my name", "S5"), ("n o", "<i4")])
    np.save(source / "u.npy", strings)
    np.save(source / "r.npy", record)
    with mounted(source) as mnt:
        for name in "ur":
            before = (source / f"{name}.npy").read_bytes()
            for form in ["csv", "txt"]:
                path = mnt / name / f"data.{form}"
                path.write_bytes(path.read_bytes())
                assert (source / f"{name}.npy").read_bytes() == before, (name, form)
        (mnt / "u/data.csv").write_text("# p  q ,#\r\nr s,\n\"t,u\" , v w\n")
        assert np.load(source / "u.npy").tolist() == [["# p  q", "#"], ["r s", ""], ["t,u", "v w"]]
        for head in ["my name,n o\n", '"my name" , "n o"\r\n', "# a comment, before the names\nmy name,n o\n"]:
            (mnt / "r/data.csv").write_text("k,1\nl,2\n")
            (mnt / "r/data.csv").write_text(f"{head}# x,7\n a b , 8\n")
            assert np.load(source / "r.npy").tolist() == [(b"# x", 7), (b"a b", 8)], head
        with refused("EINVAL"):
            (mnt / "u/data.csv").write_text("a b c\nd e f\n")
        # Of a number they are no part, even within quotation marks; of a string they are.
        (mnt / "r/data.csv").write_text('" e ","   9"\n"f"," 10 "\n')
        assert np.load(source / "r.npy").tolist() == [(b" e ", 9), (b"f", 10)]


def test_a_text_may_be_written_before_it_is_truncated(source):
    array = np.arange(6, dtype="<i2").reshape(2, 3)
    np.save(source / "a.npy", array)
    stored = lambda: np.load(source / "a.npy").tolist()
    with mounted(source) as mnt:
        shown = len((mnt / "a/row/0.txt").read_bytes())
        for text in ["7 8 9", "1\n2\n3\n", f"{'10 20 30':>{shown + 20}}\n", "5 6 7".ljust(shown - 1) + "\n"]:
            with open(mnt / "a/row/0.txt", "r+") as file:
                assert len(file.read().split()) == 3
                file.seek(0)
                file.write(text)
                file.truncate()
            assert stored() == [[int(number) for number in text.split()], [3, 4, 5]], text
        # One that is longer than the cells, in two writes and without a truncation.
        with mnt.open("a/row/1.txt", os.O_WRONLY) as fd:
            text = b"11".rjust(shown) + b"   12 13\n"
            assert os.write(fd, text[: shown - 1]) == shown - 1
            assert os.write(fd, text[shown - 1 :]) == len(text) - shown + 1
        assert stored() == [[5, 6, 7], [11, 12, 13]]
        # After a truncation at the open, and one to what was written.
        with mnt.open("a/row/1.txt", os.O_WRONLY | os.O_TRUNC) as fd:
            os.write(fd, b" " * shown + b"1 2 3\n")
            os.ftruncate(fd, shown + 6)
            with refused("EFBIG"):
                os.ftruncate(fd, shown + 7)
        assert stored() == [[5, 6, 7], [1, 2, 3]]
        # What is cut off is missing, and what is left is a text with what was written into it.
        with refused("EINVAL"), mnt.open("a/row/1.txt", os.O_WRONLY) as fd:
            os.ftruncate(fd, 8)
        with mnt.open("a/data.txt", os.O_WRONLY) as fd:
            os.pwrite(fd, b"    70", 7)
            os.ftruncate(fd, 21)
            os.pwrite(fd, b"8 9 4\n", 21)
        assert stored() == [[5, 70, 7], [8, 9, 4]]
        # Nothing is appended.
        with refused("ENOSPC"), open(mnt / "a/row/0.txt", "ab", buffering=0) as file:
            file.write(b"5\n")
        with mnt.open("a/row/0.txt", os.O_WRONLY) as fd:
            assert os.pwrite(fd, b"\n5", shown - 1) == 1
        assert stored() == [[5, 70, 7], [8, 9, 4]]


def test_a_text_is_not_continued_by_who_opens_it_next(source):
    np.save(source / "a.npy", np.zeros((2, 3), "<i2"))
    with mounted(source) as mnt:
        # The other descriptor, which is not closed, keeps what it wrote.
        with mnt.open("a/row/0.txt", os.O_WRONLY | os.O_TRUNC) as fd:
            os.write(fd, b"1 2 3\n")
            os.close(os.dup(fd))
            for offset, text, wanted in [(7, b"    20", [1, 20, 3]), (0, b"    10", [10, 20, 3])]:
                mnt.write("a/row/0.txt", text, offset)
                assert np.load(source / "a.npy")[0].tolist() == wanted


def test_what_is_no_number_has_no_blanks_between_commas(source):
    array = np.array([[1.5, np.nan, -np.inf, 2], [np.nan, np.nan, np.inf, np.nan], [0, 1, 2, 3]])
    np.save(source / "a.npy", array)
    np.save(source / "wide.npy", np.full((2, 5000), np.nan))
    record = np.array([(np.nan, b"x,y", 1), (2.5, b"", 2)], [("f", "<f4"), ("s", "S5"), ("n", "<i8")])
    np.save(source / "r.npy", record)
    with mounted(source) as mnt:
        for path, wanted in [("a/data", array), ("a/col/1", array[:, 1:2]), ("a/row/1", array[1][:, None]), ("a/slice/:2,1:", array[:2, 1:])]:
            text = (mnt / f"{path}.csv").read_text()
            assert " nan" not in text and " inf" not in text and " -inf" not in text
            for read in [pandas.read_csv(mnt / f"{path}.csv", header=None).to_numpy(), np.loadtxt(mnt / f"{path}.csv", delimiter=",", ndmin=2)]:
                assert read.dtype == np.float64 and equal(read, wanted), path
            every_offset(mnt / f"{path}.csv")
            before = (source / "a.npy").read_bytes()
            for start, end in [(0, 30), (7, 41), (90, len(text))]:
                with mnt.open(f"{path}.csv", os.O_WRONLY) as fd:
                    os.pwrite(fd, text[start:end].encode(), start)
            assert (source / "a.npy").read_bytes() == before
        with mnt.open("a/data.csv", os.O_WRONLY) as fd:
            line = (mnt / "a/data.csv").stat().st_size // 3
            os.pwrite(fd, b"7".rjust(24) + b",8".ljust(line - 26 - 8) + b",nan,10\n", line)
        array[1] = 7, 8, np.nan, 10
        assert equal(np.load(source / "a.npy"), array)
        assert " nan" in (mnt / "wide/data.csv").read_text()
        frame = pandas.read_csv(mnt / "r/data.csv", keep_default_na=False, na_values={"f": "nan"})
        assert frame["s"].tolist() == ["x,y", ""] and frame["n"].tolist() == [1, 2] and frame["f"].dtype == np.float64
        every_offset(mnt / "r/data.csv")
