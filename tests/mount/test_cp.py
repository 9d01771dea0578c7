"""afbfs cp: files of the tree written as a whole with no mount, by the rules of writes on a mount."""

import io
import re

import numpy as np
import pytest

from harness import afbfs, binary, mounted, needs_command, run, shell


@pytest.fixture
def array(source, rng):
    array = rng.integers(-100, 100, (6, 5)).astype("<f8")
    np.save(source / "a.npy", array)
    return array


def refused(source, answer, *words):
    """Status 1, these words, and the array is as it was."""
    message = answer.stderr.decode()
    assert answer.returncode == 1 and answer.stdout == b"", message
    for word in words:
        assert str(word) in message, message


def done(answer):
    assert (answer.returncode, answer.stderr.decode(), answer.stdout) == (0, "", b"")


def test_a_file_or_standard_input_goes_into_a_view(source, scratch, array):
    row = np.arange(5.0)
    (scratch / "row").write_bytes(row.tobytes())
    done(afbfs("cp", scratch / "row", source, "a/row/2"))
    done(afbfs("cp", scratch / "row", source / "a/row/3"))
    done(afbfs("cp", "-", source / "a.npy/row/-1", input=row.tobytes()))
    done(afbfs("cp", "-", "a/col/0.txt", input=b"9 8 7\n6 5 4", cwd=source))
    array[[2, 3, 5]] = row
    array[:, 0] = 9, 8, 7, 6, 5, 4
    assert (np.load(source / "a.npy") == array).all()


@pytest.mark.parametrize("view", ["data", "T/data", "slice/::2,::-1", "data.npy", "data.txt", "as/f4/data", "as/i2/data.wav", "data.fits", "as/>i2/T/data.csv"])
def test_it_writes_what_cp_writes_on_a_mount(source, scratch, array, view):
    (source / "b.npy").write_bytes((source / "a.npy").read_bytes())
    np.save(source / "new.npy", array[::-1] // 2)
    new = scratch / "new"
    new.write_bytes(afbfs("cat", source, f"new/{view}").stdout)
    done(afbfs("cp", new, source, f"a/{view}"))
    with mounted(source) as mnt:
        assert run("cp", new, mnt / f"b/{view}").returncode == 0
    assert (source / "a.npy").read_bytes() == (source / "b.npy").read_bytes()
    assert not (np.load(source / "a.npy") == array).all()


def test_a_picture(source, rng):
    image = pytest.importorskip("PIL.Image")
    np.save(source / "p.npy", np.zeros((7, 9, 3), "u1"))
    pixels = rng.integers(0, 256, (7, 9, 3)).astype("u1")
    file = io.BytesIO()
    image.fromarray(pixels).save(file, "PNG")
    refused(source, afbfs("cp", "-", source, "p/data.png", input=file.getvalue()[:-20]), "p/data.png")
    refused(source, afbfs("cp", "-", source, "p/data.png", input=b""), "is empty", "nothing was written")
    assert not np.load(source / "p.npy").any()
    done(afbfs("cp", "-", source, "p/data.png", input=file.getvalue()))
    assert (np.load(source / "p.npy") == pixels).all()


@pytest.mark.parametrize("from_pipe", [False, True])
@pytest.mark.parametrize("view", ["row/1", "as/f4/data", "data.npy", "data.wav"])
def test_what_has_another_length_changes_nothing(source, scratch, array, view, from_pipe):
    whole = afbfs("cat", source, f"a/{view}").stdout[::-1]
    before = (source / "a.npy").read_bytes()
    for data, words in [
        (whole[:-1], [f"only {len(whole) - 1} of the {len(whole)} bytes", "nothing was written", "--partial"]),
        (b"", ["only 0 of"]),
        (whole + b"x", [f"more than the {len(whole)} bytes", "nothing was written"]),
    ]:
        if from_pipe:
            # A file would have a length that is known.
            (scratch / "x").write_bytes(data)
            answer = shell('cat "$1" | "$AFBFS_BIN" cp - "$2" "$3"', scratch / "x", source, f"a/{view}")
        else:
            (scratch / "x").write_bytes(data)
            answer = afbfs("cp", scratch / "x", source, f"a/{view}")
        refused(source, answer, f"a/{view}", *words)
    assert (source / "a.npy").read_bytes() == before


@pytest.mark.parametrize("from_pipe", [False, True])
def test_a_part_on_demand(source, scratch, array, from_pipe):
    (scratch / "x").write_bytes(np.array([7.0, 8.0]).tobytes())
    script = 'cat "$1" | "$AFBFS_BIN" cp --partial - "$2"' if from_pipe else '"$AFBFS_BIN" cp --partial "$1" "$2"'
    done(shell(script, scratch / "x", source / "a/col/4"))
    array[:2, 4] = 7, 8
    assert (np.load(source / "a.npy") == array).all()
    (scratch / "x").write_bytes(bytes(49))
    refused(source, shell(script, scratch / "x", source / "a/col/4"), "x" if not from_pipe else "standard input", "48 bytes")


def test_a_long_input_from_a_pipe(source, scratch, rng):
    # More than waits in memory, and no multiple of what is moved at once.
    new = rng.integers(0, 256, (20 << 20) + 5, "u1")
    np.save(source / "long.npy", np.zeros_like(new))
    new.tofile(scratch / "x")
    done(shell('cat "$1" | "$AFBFS_BIN" cp - "$2"', scratch / "x", source / "long/data"))
    assert (np.load(source / "long.npy") == new).all()
    answer = shell('head -c -1 "$1" | TMPDIR=/nowhere "$AFBFS_BIN" cp - "$2"', scratch / "x", source / "long/data")
    refused(source, answer, "TMPDIR")


def test_an_array_goes_into_itself(source, rng):
    array = rng.random((900, 900))
    array.tofile(source / "x_900x900_f8.raw")
    done(afbfs("cp", source / "x_900x900_f8.raw", source / "x_900x900_f8.raw/T/data"))
    assert (source / "x_900x900_f8.raw").read_bytes() == array.T.tobytes()
    script = '"$AFBFS_BIN" cat "$1" | "$AFBFS_BIN" cp - "$2"'
    done(shell(script, source / "x_900x900_f8/T/data", source / "x_900x900_f8/data"))
    assert (source / "x_900x900_f8.raw").read_bytes() == array.tobytes()


def test_a_text_is_stored_as_a_whole_or_not_at_all(source, array):
    before = (source / "a.npy").read_bytes()
    for text, words in [
        ("1 2 3\n4 x 6\n", ["line 2, column 3", "`x`"]),
        ("1 2 3 4 5", ["ends too early"]),
        ("1 2 3 4 5 6 7", ["a/col/1.txt", "line 1"]),
        ("", ["is empty", "nothing was written"]),
    ]:
        refused(source, afbfs("cp", "-", source, "a/col/1.txt", input=text.encode()), *words)
    np.save(source / "small.npy", np.zeros(3, "i1"))
    refused(source, afbfs("cp", "-", source, "small/data.txt", input=b"1 2 128"), "line 1, column 5", "128")
    refused(source, afbfs("cp", "-", source, "small/as/i4/data", input=np.array([1, 2, 300], "i4").tobytes()), "does not fit")
    assert not np.load(source / "small.npy").any()
    assert (source / "a.npy").read_bytes() == before


def test_a_header_that_says_something_else(source, scratch, array):
    before = (source / "a.npy").read_bytes()
    for other in [array.astype("<i8"), array.T, array.reshape(5, 6)]:
        np.save(scratch / "other.npy", other)
        refused(source, afbfs("cp", scratch / "other.npy", source, "a/data.npy"), "a/data.npy", "header")
    assert (source / "a.npy").read_bytes() == before
    np.save(scratch / "same.npy", array + 1)
    done(afbfs("cp", scratch / "same.npy", source, "a/data.npy"))
    assert (np.load(source / "a.npy") == array + 1).all()


def test_what_cannot_be_written(source, scratch, array):
    np.savez(source / "z.npz", x=array)
    (scratch / "data").write_bytes((array + 1).tobytes())
    refused(source, afbfs("cp", scratch / "data", source, "z/x/data"), "z/x/data", "read-only", "--update-checksums")
    done(afbfs("cp", "--update-checksums", scratch / "data", source, "z/x/data"))
    assert (np.load(source / "z.npz")["x"] == array + 1).all()
    refused(source, afbfs("cp", scratch / "data", source, "a/shape"), "a/shape", "is computed")
    refused(source, afbfs("cp", scratch / "data", source, "a/row/9"), "a/row/9")
    refused(source, afbfs("cp", scratch / "missing", source, "a/data"), scratch / "missing")
    refused(source, afbfs("cp", scratch, source, "a/data"), scratch, "is a folder")
    for arguments in [[], ["x"], ["x", source], ["x", source / "a/data", source / "a/data"], ["x", source, "a/data", "a/data"]]:
        assert afbfs("cp", *arguments).returncode == 2


def test_what_was_written_is_on_the_disk_when_it_ends(source, scratch, array):
    needs_command("strace")
    (scratch / "row").write_bytes(bytes(40))
    for view in ["row/1", "data.txt"]:
        data = scratch / "row" if view == "row/1" else scratch / "text"
        (scratch / "text").write_bytes(b"3 " * 30)
        traced = run("strace", "-f", "-e", "trace=msync,fsync,fdatasync", binary(), "cp", data, source, f"a/{view}")
        assert traced.returncode == 0
        assert re.search(rb"(msync|fdatasync|fsync)\(.*\) += 0", traced.stderr), traced.stderr



def test_what_is_computed_is_not_written(source, array):
    for view in ["a/shape", "a/info.json", "a/T/dtype", ".afbfs/version", "a/data.png"]:
        refused(source, afbfs("cp", "-", source, view, input=b"1"), "is computed, and cannot be written", "data or row/0")
    assert (np.load(source / "a.npy") == array).all()
