"""Records of Fortran, written and read by scipy."""

import numpy as np
import pytest
from scipy.io import FortranFile

from harness import eventually, mounted
from members import check_member, error_of, info


def random_values(rng, dtype, shape):
    dtype = np.dtype(dtype)
    if dtype.kind == "c":
        return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    return np.frombuffer(rng.bytes(int(np.prod(shape)) * dtype.itemsize), dtype).reshape(shape)


def write(path, records, marker="<u4"):
    with FortranFile(path, "w", header_dtype=marker) as file:
        for record in records:
            # As Fortran writes it: the first index is the fastest.
            file.write_record(np.asarray(record).ravel(order="F"))


def read(path, kinds, marker="<u4"):
    """Records of these types and shapes, again and again."""
    found = [[] for _ in kinds]
    with FortranFile(path, "r", header_dtype=marker) as file:
        while True:
            try:
                for values, (dtype, shape) in zip(found, kinds):
                    values.append(file.read_record(dtype).reshape(shape, order="F"))
            except OSError:
                return [np.array(values, dtype) for values, (dtype, _) in zip(found, kinds)]


def describe(path, text):
    path.with_name(f"{path.name}.toml").write_text(f'format = "fortran"\n{text}\n')


@pytest.mark.parametrize("marker", ["<u4", ">u4", "<u8", ">u8"])
def test_records_are_those_that_scipy_reads(source, rng, marker):
    shapes = {"u1": (7,), "i2": (3, 4), "i4": (2, 3, 4), "i8": (5,), "f4": (4, 3), "f8": (2, 5), "c8": (3, 2), "c16": ()}
    for dtype, shape in shapes.items():
        path = source / f"{dtype}.unf"
        stored = np.dtype(dtype).newbyteorder(marker[0])
        write(path, [random_values(rng, stored, shape) for _ in range(20)], marker)
        describe(path, f'dtype = "{dtype}"\nshape = "{"x".join(map(str, shape)) or "()"}"\nmarker = {marker[2]}')
    with mounted(source) as mnt:
        for dtype, shape in shapes.items():
            stored = np.dtype(dtype).newbyteorder(marker[0])
            [wanted] = read(source / f"{dtype}.unf", [(stored, shape)], marker)
            assert wanted.shape == (20, *shape)
            check_member(mnt, "", dtype, wanted)
            assert info(mnt, "", dtype)["format"] == "fortran"
            assert mnt.read(f"{dtype}/axis/record/3") == wanted[3, ...].tobytes()


def test_other_orders_open_lengths_and_records_that_are_skipped(source, rng):
    write(source / "a.dat", [b"title", *(random_values(rng, "<f4", (3, 4)) for _ in range(6))])
    describe(source / "a.dat", 'dtype = "f4"\nshape = "4x3"\norder = "C"\nskip = 1\n[attributes]\nunit = "K"')
    write(source / "b.unf", random_values(rng, ">i2", (5, 6)), ">u4")
    describe(source / "b.unf", 'dtype = ">i2"')
    dtype = [["t", "<f8"], ["u", "<f4", [3]]]
    write(source / "c.unf", np.frombuffer(rng.bytes(60), [tuple(field) for field in dtype]).reshape(3, 1))
    describe(source / "c.unf", f"dtype = {dtype}\nshape = '()'")
    with mounted(source) as mnt:
        with FortranFile(source / "a.dat") as file:
            assert file.read_record("u1").tobytes() == b"title"
            wanted = np.array([file.read_record("<f4").reshape(4, 3) for _ in range(6)])
        check_member(mnt, "", "a", wanted)
        assert info(mnt, "", "a")["attributes"] == {"unit": "K"}
        [wanted] = read(source / "b.unf", [(">i2", (6,))], ">u4")
        check_member(mnt, "", "b", wanted)
        [wanted] = read(source / "c.unf", [(np.dtype([tuple(field) for field in dtype]), ())])
        check_member(mnt, "", "c", wanted)


STEPS = """
[attributes]
model = "x"

[[record]]
name = "title"
dtype = "S5"
shape = "()"

[[record]]

[[record]]
name = "time"
dtype = "f8"
shape = "()"
repeat = true

[[record]]
name = "u"
dtype = "f4"
shape = "3x4"
repeat = true
[record.attributes]
unit = "m/s"
"""


def test_records_that_differ_are_a_folder(source, rng):
    steps = [[random_values(rng, ">f8", ()), random_values(rng, ">f4", (3, 4))] for _ in range(30)]
    records = [np.array(b"hello"), np.arange(7, dtype="u1"), *(record for step in steps for record in step)]
    write(source / "run.out", records, ">u4")
    describe(source / "run.out", STEPS)
    with mounted(source) as mnt:
        with FortranFile(source / "run.out", header_dtype=">u4") as file:
            assert file.read_record("S5") == [b"hello"]
            file.read_record("u1")
            time, u = zip(*((file.read_record(">f8")[0], file.read_record(">f4").reshape(3, 4, order="F")) for _ in steps))
        check_member(mnt, "run", "title", np.array(b"hello"))
        check_member(mnt, "run", "time", np.array(time, ">f8"))
        check_member(mnt, "run", "u", np.array(u, ">f4"))
        assert sorted(path.name for path in (mnt / "run").iterdir()) == ["time", "title", "u"]
        assert info(mnt, "run", "u")["attributes"] == {"unit": "m/s"}
        assert info(mnt, "run", "u")["container"] == {"model": "x"}


def test_records_that_are_appended_appear(source, rng):
    first, second = random_values(rng, "<f4", (4, 3)), random_values(rng, "<f4", (4, 3))
    write(source / "a.unf", first)
    describe(source / "a.unf", 'dtype = "f4"')
    with mounted(source) as mnt:
        check_member(mnt, "", "a", first)
        write(source / "more.unf", second)
        with open(source / "a.unf", "ab") as file:
            file.write((source / "more.unf").read_bytes())
        eventually(lambda: mnt.read("a/shape") == b"8 3\n", "the array grows")
        check_member(mnt, "", "a", np.concatenate([first, second]))


def test_what_is_written_is_read_back(source, rng):
    write(source / "a.unf", [random_values(rng, "<f8", (3, 4)) for _ in range(5)])
    describe(source / "a.unf", 'dtype = "f8"\nshape = "3x4"')
    [wanted] = read(source / "a.unf", [("<f8", (3, 4))])
    wanted[3, 1, 2] = 2.5
    wanted[:, 0] = random_values(rng, "<f8", (5, 4))
    with mounted(source) as mnt:
        mnt.write("a/slice/3,1,2", np.array(2.5, "<f8").tobytes())
        mnt.write("a/col/0", wanted[:, 0].tobytes())
    [found] = read(source / "a.unf", [("<f8", (3, 4))])
    assert np.array_equal(found, wanted)


def test_a_file_without_a_sidecar_is_not_shown(source, rng):
    write(source / "a.unf", [random_values(rng, "<f8", (3,))])
    (source / "b.unf").write_bytes(bytes(16))
    (source / "b.unf.toml").write_text('dtype = "f8"\n')
    with mounted(source) as mnt:
        assert not (mnt / "a").exists() and not (mnt / "a.unf").exists()
        check_member(mnt, "", "b", np.zeros(2))
        assert info(mnt, "", "b")["format"] == "raw"


def test_files_that_cannot_be_served_are_errors_that_say_so(source, rng):
    values = [random_values(rng, "<f8", (6,)) for _ in range(4)]
    files = {
        "differ": (values + [values[0][:5]], 'dtype = "f8"', "describe each with [[record]]"),
        "long": (values, 'dtype = "f8"\nshape = 5', "described as one of 40"),
        "short": (values, 'dtype = "f8"\nshape = 7', "needs 56 bytes"),
        "wide": (values, 'dtype = "f8"\nmarker = 8', "markers of 4 bytes"),
        "left": (values, '[[record]]\nname = "x"\ndtype = "f8"', "repeat = true"),
        "key": (values, 'dtype = "f8"\nstep = 3', "'step' is no key"),
    }
    for name, (records, text, _) in files.items():
        write(source / f"{name}.unf", records)
        describe(source / f"{name}.unf", text)
    write(source / "cut.unf", values)
    (source / "cut.unf").write_bytes((source / "cut.unf").read_bytes()[:-1])
    describe(source / "cut.unf", 'dtype = "f8"')
    (source / "pieces.unf").write_bytes(np.array(-2147483639, "<i4").tobytes() + bytes(100))
    describe(source / "pieces.unf", 'dtype = "f8"')
    words = {name: word for name, (_, _, word) in files.items()} | {"cut": "truncated", "pieces": "-frecord-marker=8"}
    with mounted(source) as mnt:
        for name, word in words.items():
            assert word in error_of(mnt, name), name
