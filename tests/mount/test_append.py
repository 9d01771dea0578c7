"""afbfs append: rows behind the last, so that the file is an array with the old or the new rows whatever happens."""

import contextlib
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from harness import afbfs, binary, eventually, mounted, needs_command, needs_root, run

RECORD = np.dtype([("time", "<f8"), ("shape", ">i2", (2,)), ("name", "S4")])


def done(answer):
    assert (answer.returncode, answer.stderr.decode(), answer.stdout) == (0, "", b"")


def refused(answer, *words):
    message = answer.stderr.decode()
    assert (answer.returncode, answer.stdout) == (1, b""), message
    for word in words:
        assert str(word) in message, message


def same(found, expected):
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert found.tobytes() == expected.tobytes()


def save(path, array, version=None):
    with open(path, "wb") as file:
        np.lib.format.write_array(file, array, version)


def random_rows(rng, dtype, shape):
    dtype = np.dtype(dtype)
    count = int(np.prod(shape, dtype=int))
    return np.frombuffer(rng.integers(0, 128, count * dtype.itemsize, "u1").tobytes(), dtype).reshape(shape)


def joined(array, more):
    """Both, in the byte order that they have, which numpy.concatenate does not keep."""
    return np.frombuffer(array.tobytes() + more.tobytes(), array.dtype).reshape(-1, *array.shape[1:])


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize(("dtype", "row"), [("<f8", (3,)), (">i2", ()), ("|u1", (2, 0, 3)[::2]), (RECORD, (2,)), ("S3", (1, 4))])
def test_rows_are_added_and_the_rest_stays(scratch, rng, dtype, row, version):
    array = random_rows(rng, dtype, (9, *row))
    path = scratch / "a.npy"
    save(path, array, version)
    header = len(path.read_bytes()) - array.nbytes
    for count in [1, 0, 95, 4000]:
        more = random_rows(rng, dtype, (count, *row))
        done(afbfs("append", path, input=more.tobytes()))
        array = joined(array, more)
        same(np.load(path), array)
        save(scratch / "b.npy", array, version)
        # Byte for byte what NumPy writes, but for how many of the blanks are left.
        assert path.stat().st_size == header + array.nbytes
        assert path.read_bytes()[:header].split() == (scratch / "b.npy").read_bytes()[:header].split()


@pytest.mark.parametrize("shape", [(0,), (0, 3)])
def test_an_array_of_no_rows_grows(scratch, shape):
    done(afbfs("create", scratch / "a.npy", "--dtype", "f4", "--shape", "x".join(map(str, shape))))
    done(afbfs("append", scratch / "a.npy", input=np.arange(6, dtype="f4").tobytes()))
    same(np.load(scratch / "a.npy"), np.arange(6, dtype="f4").reshape(-1, *shape[1:]))


def test_a_part_of_a_row_is_refused(scratch):
    array = np.arange(6.0).reshape(2, 3)
    np.save(scratch / "a.npy", array)
    size = (scratch / "a.npy").stat().st_size
    refused(afbfs("append", scratch / "a.npy", input=bytes(23)), "0 rows were added", "last 23 bytes", "which has 24")
    assert (scratch / "a.npy").stat().st_size == size
    refused(afbfs("append", scratch / "a.npy", input=bytes(24 * 2 + 5)), "2 rows were added", "last 5 bytes", "refused")
    same(np.load(scratch / "a.npy"), np.concatenate([array, np.zeros((2, 3))]))
    assert (scratch / "a.npy").stat().st_size == size + 48


def test_rows_as_text(scratch):
    np.save(scratch / "a.npy", np.zeros((1, 2), "i2"))
    done(afbfs("append", "--text", scratch / "a.npy", input=b"1 2\n3 4"))
    done(afbfs("append", "--csv", scratch / "a.npy", input=b"5,6\n"))
    expected = np.array([[0, 0], [1, 2], [3, 4], [5, 6]], "i2")
    for text, words in [
        (b"7 8\n9 x\n", ["line 2, column 3", "`x`", "nothing was added"]),
        (b"7 8\n9 99999\n", ["line 2, column 3", "nothing was added"]),
        (b"7 8 9", ["nothing was added", "no whole row"]),
    ]:
        refused(afbfs("append", "--text", scratch / "a.npy", input=text), *words)
        same(np.load(scratch / "a.npy"), expected)
    np.save(scratch / "r.npy", np.zeros(0, RECORD))
    done(afbfs("append", "--csv", scratch / "r.npy", input=b'time,shape.0,shape.1,name\n0.5,1,2,"a,b"\n1.5,3,4,c\n'))
    done(afbfs("append", "--text", scratch / "r.npy", input=b"2.5 5 6 d"))
    same(np.load(scratch / "r.npy"), np.array([(0.5, (1, 2), "a,b"), (1.5, (3, 4), "c"), (2.5, (5, 6), "d")], RECORD))
    refused(afbfs("append", "--text", scratch / "r.npy", input=b"2.5 5 6"), "within a record", "nothing was added")
    assert afbfs("append", "--text", "--csv", scratch / "r.npy").returncode == 2


def test_rows_of_another_array(scratch, rng):
    a, b = rng.random((3, 4)), rng.random((5, 4))
    np.save(scratch / "a.npy", a)
    np.savez(scratch / "b.npz", x=b, y=b.astype("f4"), z=b.T)
    done(afbfs("append", scratch / "a.npy", "--from", scratch / "b.npz/x"))
    done(afbfs("append", scratch / "a.npy", "--from", scratch / "a.npy"))
    expected = np.concatenate([a, b, a, b])
    refused(afbfs("append", scratch / "a.npy", "--from", scratch / "b.npz/y"), "another type", "<f8")
    refused(afbfs("append", scratch / "a.npy", "--from", scratch / "b.npz/z"), "of shape 4x5", "of shape 4 are wanted")
    refused(afbfs("append", scratch / "a.npy", "--from", scratch / "b.npz/q"), "b.npz/q: ", "b.npz holds no array `q`")
    same(np.load(scratch / "a.npy"), expected)


def test_what_has_no_rows_to_add_to(scratch):
    np.save(scratch / "f.npy", np.zeros((3, 4), order="F"))
    np.save(scratch / "s.npy", np.float64(3))
    np.save(scratch / "z.npy", np.zeros((3, 0)))
    np.save(scratch / "t.npy", np.zeros(3))
    os.truncate(scratch / "t.npy", 140)
    np.savez(scratch / "n.npz", x=np.zeros(3))
    (scratch / "x.raw").write_bytes(bytes(12))
    before = {path: path.read_bytes() for path in scratch.iterdir()}
    for name, words in [
        ("f.npy", ["Fortran order", "ascontiguousarray"]),
        ("s.npy", ["shape ()"]),
        ("z.npy", ["no bytes"]),
        ("t.npy", ["truncated"]),
        ("n.npz", ["no .npy file", "n.npz.toml"]),
        ("x.raw", ["no sidecar", "x.raw.toml"]),
        ("missing.npy", ["No such file"]),
    ]:
        refused(afbfs("append", scratch / name, input=bytes(8)), name, *words)
    assert {path: path.read_bytes() for path in scratch.iterdir()} == before


def test_another_array_in_the_file_is_not_overwritten(scratch):
    with open(scratch / "a.npy", "wb") as file:
        np.save(file, np.zeros(3))
        np.save(file, np.ones(3))
    before = (scratch / "a.npy").read_bytes()
    refused(afbfs("append", scratch / "a.npy", input=bytes(8)), "another array follows", "truncate -s 152")
    assert (scratch / "a.npy").read_bytes() == before


def test_what_an_interrupted_command_left_is_overwritten(scratch):
    np.save(scratch / "a.npy", np.zeros(3))
    with open(scratch / "a.npy", "ab") as file:
        file.write(b"\xff" * 100)
    done(afbfs("append", scratch / "a.npy", input=np.arange(5.0).tobytes()))
    done(afbfs("append", scratch / "a.npy", input=np.arange(20.0).tobytes()))
    same(np.load(scratch / "a.npy"), np.concatenate([np.zeros(3), np.arange(5.0), np.arange(20.0)]))


def tight(path, array):
    """A .npy file whose header has no room."""
    text = str({"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}).encode() + b"\n"
    path.write_bytes(b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text + array.tobytes())


def test_a_header_without_room(scratch, rng):
    array = rng.random((8, 2))
    path = scratch / "a.npy"
    tight(path, array)
    done(afbfs("append", path, input=bytes(16)))
    array = np.concatenate([array, np.zeros((1, 2))])
    same(np.load(path), array)
    before = path.read_bytes()
    refused(afbfs("append", path, input=bytes(16)), "no room", "--rewrite", "nothing was added")
    assert path.read_bytes() == before
    tight(scratch / "b.npy", array[:8])
    refused(afbfs("append", scratch / "b.npy", input=bytes(160)), "no room", "nothing was added")
    same(np.load(scratch / "b.npy"), array[:8])
    path.chmod(0o640)
    (scratch / "link.npy").symlink_to("a.npy")
    more = rng.random((100, 2))
    done(afbfs("append", "--rewrite", scratch / "link.npy", input=more.tobytes()))
    array = np.concatenate([array, more])
    same(np.load(path), array)
    assert path.stat().st_mode & 0o777 == 0o640 and (scratch / "link.npy").is_symlink()
    # Now there is room.
    inode = path.stat().st_ino
    done(afbfs("append", "--rewrite", path, input=more.tobytes() * 10))
    same(np.load(path), np.concatenate([array, *[more] * 10]))
    assert path.stat().st_ino == inode and sorted(os.listdir(scratch)) == ["a.npy", "b.npy", "link.npy"]


def test_a_full_disk_leaves_it_as_it_was(scratch):
    needs_root()
    small = scratch / "small"
    small.mkdir()
    assert run("mount", "-t", "tmpfs", "-o", "size=1m", "afbfs-test", small).returncode == 0
    try:
        for kind in KINDS:
            path = prepare(small, kind, np.zeros((2, 3)))
            before = {path: path.read_bytes() for path in small.iterdir()}
            refused(afbfs("append", path, input=bytes(24 * 100_000)), path, "No space left")
            assert {path: path.read_bytes() for path in small.iterdir()} == before
            done(afbfs("append", path, input=bytes(24 * 10)))
            same(read(path), np.zeros((12, 3)))
    finally:
        assert run("umount", small).returncode == 0
    small.rmdir()


RAW = {
    "open": 'dtype = "f4" # four\nshape = "?x3" # as many as there are\noffset = 5\n',
    "left out": "dtype = 'f4'\n",
    "given": 'dtype = "f4"\nshape = [2, 3] # rows\norder = "C"\n[attributes]\nshape = "2"\n',
}


@pytest.mark.parametrize("kind", RAW)
def test_raw_files_grow(source, kind):
    text = RAW[kind]
    start = b"12345" if "offset" in text else b""
    data = np.arange(6, dtype="f4")
    (source / "a.bin").write_bytes(start + data.tobytes())
    (source / "a.bin.toml").write_text(text)
    done(afbfs("append", source / "a.bin", input=np.arange(30, dtype="f4").tobytes()))
    expected = np.concatenate([data, np.arange(30, dtype="f4")])
    assert (source / "a.bin").read_bytes() == start + expected.tobytes()
    assert (source / "a.bin.toml").read_text() == text.replace("[2, 3]", '"12x3"')
    shape = b"36\n" if kind == "left out" else b"12 3\n"
    assert afbfs("cat", source / "a.bin/shape").stdout == shape
    refused(afbfs("append", source / "a.bin", input=bytes(13)), "rows were added", "last 1 bytes")
    assert afbfs("cat", source / "a.bin/data").stdout == expected.tobytes() + bytes(12)
    assert sorted(os.listdir(source)) == ["a.bin", "a.bin.toml"]


def test_raw_files_that_do_not_grow(source):
    (source / "a.bin").write_bytes(bytes(24))
    for text, words in [
        ('dtype = "f4"\nshape = "2x3"\norder = "F"\n', ["C order"]),
        ('dtype = "f4"\nshape = "2x3"\nstrides = "4x8"\n', ["C order"]),
        ('dtype = "f4"\nshape = "2x?"\n', ["another axis open"]),
        ('dtype = "f4"\nshape = "()"\n', ["shape ()"]),
        ('dtype = "f4"\nshape = "20x3"\n', ["holds only 24"]),
        ('dtype = "f4"\nshape = [\n2,\n3]\n', ["a.bin.toml", "one line"]),
        ("nonsense", ["a.bin.toml", "TOML"]),
    ]:
        (source / "a.bin.toml").write_text(text)
        refused(afbfs("append", source / "a.bin", input=bytes(12)), *words)
        assert (source / "a.bin.toml").read_text() == text and (source / "a.bin").read_bytes() == bytes(24)


def read(path):
    """The array in a file, as NumPy and as afbfs read it."""
    if path.suffix == ".npy":
        return np.load(path)
    shape = [int(length) for length in afbfs("cat", path / "shape").stdout.split()]
    return np.frombuffer(afbfs("cat", path / "data").stdout, "f8").reshape(shape)


KINDS = {"npy": None, "open": 'dtype = "f8"\nshape = "?x3"\n', "given": 'dtype = "f8"\nshape = "2x3"\n'}


def prepare(folder, kind, array):
    """An array file of a kind."""
    path = folder / ("a.npy" if kind == "npy" else "a.bin")
    if kind == "npy":
        np.save(path, array)
    else:
        path.write_bytes(array.tobytes())
        (folder / "a.bin.toml").write_text(KINDS[kind])
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_kills_at_every_system_call_that_changes_something(scratch, kind):
    needs_command("strace")
    calls = "pwrite64,write,fsync,fdatasync,ftruncate,renameat2,rename,flock,openat"
    array = np.arange(6.0).reshape(2, 3)
    path = prepare(scratch, kind, array)
    number = 0
    for call in calls.split(","):
        for when in range(1, 100):
            number += 1
            more = np.full((4, 3), float(number))
            inject = f"inject={call}:signal=KILL:when={when}"
            answer = run("strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject, binary(), "append", path, input=more.tobytes())
            found = read(path)
            if len(found) == len(array) + 4:
                array = np.concatenate([array, more])
            same(found, array)
            if answer.returncode == 0:
                break
        assert answer.returncode == 0, call
    done(afbfs("append", path, input=np.ones((1, 3)).tobytes()))
    same(read(path), np.concatenate([array, np.ones((1, 3))]))
    if kind == "open":
        assert (scratch / "a.bin.toml").read_text() == KINDS[kind]


@pytest.mark.parametrize(("kind", "kills"), [("npy", 100), ("open", 20), ("given", 20)])
def test_kills_at_random_moments(scratch, rng, kind, kills):
    array = np.zeros((2, 3))
    path = prepare(scratch, kind, array)
    started = time.monotonic()
    done(afbfs("append", path))
    takes = time.monotonic() - started
    for number in range(kills):
        more = np.full((int(rng.integers(1, 3000)), 3), float(number))
        process = subprocess.Popen([binary(), "append", path], stdin=subprocess.PIPE)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(more.tobytes())
            process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(float(rng.uniform(0, 1.5 * takes)))
        process.kill()
        process.wait(60)
        found = read(path)
        if len(found) > len(array):
            array = np.concatenate([array, more])
        same(found, array)
    done(afbfs("append", path, input=np.ones((1, 3)).tobytes()))
    same(read(path), np.concatenate([array, np.ones((1, 3))]))


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_several_at_once_do_not_mix(scratch, kind):
    path = prepare(scratch, kind, np.zeros((2, 3)))
    processes = []
    for number in range(1, 9):
        process = subprocess.Popen([binary(), "append", path], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdin.write(np.full((200, 3), float(number)).tobytes())
        processes.append(process)
    for process in reversed(processes):
        process.stdin.close()
    for process in processes:
        assert process.stderr.read() == b"" and process.wait(60) == 0
        process.stderr.close()
    found = read(path)
    assert found.shape == (2 + 8 * 200, 3)
    blocks = found[2:, 0].reshape(8, 200)
    assert (blocks == blocks[:, :1]).all() and sorted(blocks[:, 0]) == list(range(1, 9))


def test_one_that_waits_finds_the_file_that_was_written_anew(scratch):
    path = scratch / "a.npy"
    tight(path, np.arange(9.0))
    first = subprocess.Popen([binary(), "append", "--rewrite", path], stdin=subprocess.PIPE)
    first.stdin.write(np.full(5, 7.0).tobytes())
    first.stdin.flush()
    eventually(lambda: locks(path) == 1, "the first has the lock")
    second = subprocess.Popen([binary(), "append", path], stdin=subprocess.PIPE)
    second.stdin.write(np.full(3, 8.0).tobytes())
    second.stdin.close()
    eventually(lambda: locks(path) == 2, "the second waits")
    first.stdin.close()
    assert first.wait(60) == 0 and second.wait(60) == 0
    same(np.load(path), np.concatenate([np.arange(9.0), np.full(5, 7.0), np.full(3, 8.0)]))


def locks(path):
    """How many have a file locked, or wait for it."""
    inode = f":{path.stat().st_ino} "
    return sum(inode in line and "FLOCK" in line for line in open("/proc/locks"))


def test_a_mount_shows_new_rows(source, rng):
    array = rng.random((9, 4))
    np.save(source / "a.npy", array)
    with mounted(source) as mnt:
        assert len(os.listdir(mnt / "a/row")) == 9
        assert not (mnt / "a/row/12").exists()
        with mnt.open("a/row/3", os.O_RDWR) as row, mnt.open("a/data") as data:
            more = rng.random((5, 4))
            done(afbfs("append", source / "a.npy", input=more.tobytes()))
            # Names and attributes may be a second old.
            eventually(lambda: mnt.read("a/shape") == b"14 4\n", "the shape is new")
            assert len(os.listdir(mnt / "a/row")) == 14
            eventually(lambda: (mnt / "a/row/12").exists(), "there is a new row")
            assert mnt.read("a/row/12") == more[3].tobytes()
            eventually(lambda: (mnt / "a/data").stat().st_size == 14 * 32, "the whole is longer")
            same(np.load(mnt / "a/data.npy"), np.concatenate([array, more]))
            # What was open goes on as it was.
            assert os.pread(data, 1 << 20, 0) == array.tobytes()
            assert os.pwrite(row, more[0].tobytes(), 0) == 32
            array[3] = more[0]
        same(np.load(source / "a.npy"), np.concatenate([array, more]))


READER = """
import errno, sys
import numpy as np

for _ in range(300):
    try:
        a = np.load(sys.argv[1])
    except OSError as error:
        # On a mount, of a view whose length changes each time between its name and its opening.
        assert error.errno == errno.ESTALE and "mnt" in sys.argv[1], error
        continue
    assert (a[:, 0] == np.arange(len(a))).all() and a.shape[1:] == (2,)
"""


def test_rows_come_while_others_read(source):
    np.save(source / "a.npy", np.zeros((1, 2)))
    with mounted(source) as mnt:
        readers = []
        for path in [source / "a.npy", mnt / "a/data.npy"]:
            readers.append(subprocess.Popen([sys.executable, "-c", READER, path], stderr=subprocess.PIPE))
        count = 1
        while any(reader.poll() is None for reader in readers) and count < 4000:
            rows = np.zeros((7, 2))
            rows[:, 0] = np.arange(count, count + 7)
            done(afbfs("append", source / "a.npy", input=rows.tobytes()))
            count += 7
        for reader in readers:
            assert (reader.stderr.read().decode(), reader.wait(60)) == ("", 0)
            reader.stderr.close()
        assert len(np.load(source / "a.npy")) == count
