"""Several machines: mounts with --shared over one folder. Where caches matter, each sees the folder through a disk of its own, whose
kernel cache knows nothing of the other's and keeps what it has across opens (faulty_fuse.rs)."""

import contextlib
import errno
import fcntl
import json
import mmap
import os
import signal
import struct
import subprocess
import sys

import numpy as np
import pytest

from faulty import faulty_disk
from harness import afbfs, eventually, mounted, needs_root, refused

SHAPE = (64, 96)


class Machines:
    """Two machines, and the array file where all of them keep it."""

    def __init__(self, mounts, files):
        self.mounts, self.files = mounts, files

    def __iter__(self):
        return iter(self.mounts)

    def stored(self, name):
        """The elements as they are on the disk that both share."""
        if name == "npy":
            return np.load(self.files / "npy.npy")
        return np.fromfile(self.files / "raw_96x64_float64.raw").reshape(SHAPE)

    def store(self, name, index, value):
        """A third machine stores an element."""
        path, offset = (self.files / "npy.npy", 128) if name == "npy" else (self.files / "raw_96x64_float64.raw", 0)
        with open(path, "r+b") as file:
            file.seek(offset + 8 * (index[0] * SHAPE[1] + index[1]))
            file.write(np.float64(value).tobytes())


FOLDERS = {"npy": "npy", "raw": "raw_96x64_float64"}
NAMES = pytest.mark.parametrize("name", ["npy", "raw"])


@contextlib.contextmanager
def two_disks(scratch, *options):
    files = scratch / "files"
    files.mkdir()
    whole = np.arange(np.prod(SHAPE), dtype="<f8").reshape(SHAPE)
    np.save(files / "npy.npy", whole)
    whole.tofile(files / "raw_96x64_float64.raw")
    with contextlib.ExitStack() as stack:
        disks = [stack.enter_context(faulty_disk(scratch / f"disk{at}", scratch)) for at in (1, 2)]
        mounts = [stack.enter_context(mounted(disk.path, *options)) for disk in disks]
        yield Machines(mounts, files)


@pytest.fixture
def machines(scratch):
    with two_disks(scratch, "--shared") as both:
        yield both


def view(name, path):
    return f"{FOLDERS[name]}/{path}"


def read(mnt, name, path):
    return np.frombuffer(mnt.read(view(name, path)), "<f8")


@NAMES
def test_what_is_closed_on_one_machine_is_seen_by_the_next_open_on_the_other(machines, rng, name):
    one, two = machines
    expected = machines.stored(name).copy()
    views = {
        "row/{i}": lambda a, i: a[i], "col/{i}": lambda a, i: a[:, i], "slice/::2,{i}::3": lambda a, i: a[::2, i::3],
        "T/row/{i}": lambda a, i: a.T[i], "range/{i}:2000": lambda a, i: a.ravel()[i:2000], "data": lambda a, i: a,
    }
    for turn in range(30):
        writer, reader = (one, two) if turn % 2 else (two, one)
        path, pick = list(views.items())[turn % len(views)]
        at = int(rng.integers(SHAPE[0]))
        # Both have seen it, in their caches and in those of their disks.
        assert (read(reader, name, "data") == read(writer, name, "data")).all()
        new = rng.random(pick(expected, at).shape)
        pick(expected, at)[...] = new
        writer.write(view(name, path.format(i=at)), new.tobytes())
        assert (read(reader, name, "data").reshape(SHAPE) == expected).all()
        assert (read(reader, name, path.format(i=at)) == new.ravel()).all()
        assert (machines.stored(name) == expected).all()


@NAMES
def test_what_is_synced_on_one_machine_is_seen_by_the_next_open_on_the_other(machines, name):
    one, two = machines
    with one.open(view(name, "col/3"), os.O_RDWR) as fd, two.open(view(name, "col/3")) as other:
        for turn in range(10):
            assert len(os.pread(other, 8 * SHAPE[0], 0)) == 8 * SHAPE[0]
            assert os.pwrite(fd, np.full(SHAPE[0], turn, "<f8").tobytes(), 0) == 8 * SHAPE[0]
            os.fsync(fd)
            assert (read(two, name, "data").reshape(SHAPE)[:, 3] == turn).all()


def test_without_the_option_a_machine_shows_what_it_saw_before(scratch):
    """What the tests here rely on: the disks below do not know of each other."""
    with two_disks(scratch) as machines:
        one, two = machines
        before = read(two, "npy", "col/3")
        one.write(view("npy", "col/3"), bytes(8 * SHAPE[0]))
        assert (read(one, "npy", "col/3") == 0).all()
        assert (read(two, "npy", "col/3") == before).all()


WRITER = """
import os, sys, numpy as np
mnt, folder, first, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
for turn in range(1, rounds + 1):
    for column in range(first, 96, 4):
        fd = os.open(f"{mnt}/{folder}/col/{column}", os.O_WRONLY)
        new = np.full(64, turn * 1000 + column, "<f8").tobytes()
        assert os.pwrite(fd, new, 0) == len(new)
        os.close(fd)
"""


@NAMES
def test_writers_on_two_machines_keep_each_others_elements_of_a_page(machines, name):
    mounts = list(machines)
    # A page has elements of all four.
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, mounts[at % 2].path, FOLDERS[name], str(at), "3"]) for at in range(4)
    ]
    assert [writer.wait(90) for writer in writers] == [0] * 4
    expected = np.tile(3000.0 + np.arange(SHAPE[1]), (SHAPE[0], 1))
    assert (machines.stored(name) == expected).all()
    for mnt in mounts:
        assert (read(mnt, name, "data").reshape(SHAPE) == expected).all()


@NAMES
def test_no_byte_is_written_back_that_was_not_written_here(machines, name):
    one, two = machines
    for turn in range(1, 6):
        for mnt in (one, two):
            read(mnt, name, "data")
        machines.store(name, (5, 8), -turn)
        one.write(view(name, "slice/5,7"), np.float64(turn).tobytes())
        two.write(view(name, "slice/5,9"), np.float64(turn).tobytes())
        assert machines.stored(name)[5, 7:10].tolist() == [turn, -turn, turn]
        assert read(one, name, "row/5")[7:10].tolist() == [turn, -turn, turn]


@NAMES
@pytest.mark.parametrize("path", ["data", "T/data", "data.npy", "as/f4/data"])
def test_mappings_on_two_machines_store_only_what_was_changed(machines, name, path):
    head = 128 if path == "data.npy" else 0
    dtype = np.dtype("<f4" if path == "as/f4/data" else "<f8")
    shape = SHAPE[::-1] if path == "T/data" else SHAPE
    with contextlib.ExitStack() as stack:
        maps = []
        for mnt in machines:
            fd = stack.enter_context(mnt.open(view(name, path), os.O_RDWR))
            maps.append(mmap.mmap(fd, 0))
        arrays = [np.frombuffer(mapped, dtype, offset=head).reshape(shape) for mapped in maps]
        if path == "T/data":
            arrays = [array.T for array in arrays]
        # Both have all pages before either stores to one; a third machine stores between.
        expected = [array.copy() for array in arrays][0].astype("<f8")
        for at, array in enumerate(arrays):
            array[:, at::3] = 7 + at
            expected[:, at::3] = 7 + at
        machines.store(name, (9, 2), 1234)
        expected[9, 2] = 1234
        for mapped in maps:
            mapped.flush()
        assert (machines.stored(name) == expected).all()
        del arrays, array
        for mapped in maps:
            mapped.close()
    for mnt in machines:
        assert (read(mnt, name, "data").reshape(SHAPE) == expected).all()


def write_zarr(folder):
    folder.mkdir()
    described = {
        "zarr_format": 2, "shape": [8, 12], "chunks": [4, 6], "dtype": "<f8", "compressor": None, "fill_value": 5.0,
        "order": "C", "filters": None,
    }
    (folder / ".zarray").write_text(json.dumps(described))


@contextlib.contextmanager
def two_mounts(source, *options):
    """Two mounts of one folder: what is locked through one, the other meets at the array file."""
    with mounted(source, "--shared", *options) as one, mounted(source, "--shared", *options) as two:
        yield one, two


def test_a_missing_piece_is_made_once_by_two_machines(source, rng):
    write_zarr(source / "z.zarr")
    expected = np.full((8, 12), 5.0)
    with two_mounts(source) as mounts:
        for column in rng.permutation(12):
            mnt = mounts[column % 2]
            assert (np.frombuffer(mnt.read(f"z.zarr/col/{column}"), "<f8") == 5).all()
            expected[:, column] = column
            mnt.write(f"z.zarr/col/{column}", np.ascontiguousarray(expected[:, column]).tobytes())
            for other in mounts:
                assert (np.frombuffer(other.read("z.zarr/data"), "<f8").reshape(8, 12) == expected).all()
    assert sorted(path.name for path in (source / "z.zarr").iterdir()) == [".zarray", "0.0", "0.1", "1.0", "1.1"]


@pytest.fixture
def locking(source):
    whole = np.arange(np.prod(SHAPE), dtype="<f8").reshape(SHAPE)
    np.save(source / "npy.npy", whole)
    write_zarr(source / "z.zarr")
    with two_mounts(source, "--threads", "2") as mounts:
        yield (*mounts, source / "npy.npy")


@contextlib.contextmanager
def locked(path, *, flags=os.O_RDWR, kind=fcntl.LOCK_EX, start=0, length=0, call=fcntl.lockf):
    """A descriptor with a lock."""
    fd = os.open(path, flags)
    try:
        if call is fcntl.flock:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
        else:
            fcntl.lockf(fd, kind | fcntl.LOCK_NB, length, start)
        yield fd
    finally:
        os.close(fd)


OTHER = """
import fcntl, os, sys
path, kind, start, length, way = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
fd = os.open(path, os.O_RDWR)
try:
    if way == "flock":
        fcntl.flock(fd, kind)
    else:
        fcntl.lockf(fd, kind, length, start)
except OSError as error:
    sys.exit(error.errno)
print("locked", flush=True)
sys.stdin.readline()
"""


def other(path, kind=fcntl.LOCK_EX, start=0, length=0, way="fcntl", wait=False):
    """Another process that locks; it ends when its input does."""
    kind |= 0 if wait else fcntl.LOCK_NB
    command = [sys.executable, "-c", OTHER, path, str(int(kind)), str(start), str(length), way]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def may(path, **how):
    """Whether another process may lock."""
    process = other(path, **how)
    process.communicate(b"\n", 30)
    assert process.returncode in (0, errno.EAGAIN), process.returncode
    return process.returncode == 0


def test_a_lock_holds_on_all_machines_and_for_those_who_lock_the_array_file(locking):
    one, two, file = locking
    with locked(one / "npy/row/5"):
        for mnt in (one, two):
            assert not may(mnt / "npy/row/5") and not may(mnt / "npy/data") and not may(mnt / "npy/col/0")
            assert may(mnt / "npy/row/4") and may(mnt / "npy/row/6")
        start = 128 + 5 * 96 * 8
        assert not may(file, start=start, length=1) and not may(file, start=start + 96 * 8 - 1, length=1)
        assert may(file, start=start - 1, length=1) and may(file, start=start + 96 * 8, length=1)
    assert may(two / "npy/row/5") and may(file)
    with locked(file, start=128, length=1):
        assert not may(one / "npy/row/0") and may(one / "npy/row/1")


def test_shared_locks_share_and_bytes_of_a_view_are_bytes_of_the_file(locking):
    one, two, file = locking
    with locked(one / "npy/row/5", kind=fcntl.LOCK_SH, start=8, length=16) as fd:
        assert may(two / "npy/row/5", kind=fcntl.LOCK_SH) and not may(two / "npy/row/5")
        start = 128 + 5 * 96 * 8
        assert not may(file, start=start + 8, length=16) and may(file, start=start, length=8)
        assert may(two / "npy/row/5", start=0, length=8) and may(two / "npy/row/5", start=24)
        # Half of it is unlocked.
        fcntl.lockf(fd, fcntl.LOCK_UN, 8, 8)
        assert may(two / "npy/row/5", start=8, length=8) and not may(two / "npy/row/5", start=16, length=8)


def test_a_process_keeps_its_locks_on_a_view_when_it_closes_another(locking):
    one, two, _ = locking
    with locked(one / "npy/row/5"):
        with locked(one / "npy/data", kind=fcntl.LOCK_SH):
            assert not may(two / "npy/row/7")
        assert may(two / "npy/row/7") and not may(two / "npy/row/5")
        # As POSIX has it: closing any descriptor of the file gives the locks up.
        os.close(os.open(one / "npy/row/5", os.O_RDONLY))
        assert may(two / "npy/row/5")


def test_flock_belongs_to_the_open_file(locking):
    one, two, _ = locking
    with locked(one / "npy/row/5", call=fcntl.flock) as fd:
        os.close(os.open(one / "npy/row/5", os.O_RDONLY))
        twin = os.dup(fd)
        os.close(twin)
        assert not may(two / "npy/row/5", way="flock") and not may(one / "npy/row/5", way="flock")
        assert may(two / "npy/row/6", way="flock")
        fcntl.flock(fd, fcntl.LOCK_SH)
        assert may(two / "npy/row/5", way="flock", kind=fcntl.LOCK_SH) and not may(two / "npy/row/5", way="flock")
    assert may(two / "npy/row/5", way="flock")


def test_rows_of_an_array_in_many_files_are_locked_apart(locking):
    one, two, _ = locking
    with locked(one / "z.zarr/row/5"):
        assert not may(two / "z.zarr/row/5") and may(two / "z.zarr/row/4") and not may(two / "z.zarr/data")
    assert may(two / "z.zarr/row/5")


def test_who_asks_is_told_of_a_lock(locking):
    one, two, _ = locking
    ask = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    holder = other(one / "npy/row/5")
    assert holder.stdout.readline() == b"locked\n"
    with one.open("npy/row/5", os.O_RDWR) as here, two.open("npy/row/5", os.O_RDWR) as there:
        kind, *_, process = struct.unpack("hhqqi4x", fcntl.fcntl(here, fcntl.F_GETLK, ask))
        assert (kind, process) == (fcntl.F_WRLCK, holder.pid)
        kind, *_ = struct.unpack("hhqqi4x", fcntl.fcntl(there, fcntl.F_GETLK, ask))
        assert kind == fcntl.F_WRLCK
        holder.communicate(b"\n", 30)
        assert struct.unpack("hhqqi4x", fcntl.fcntl(there, fcntl.F_GETLK, ask))[0] == fcntl.F_UNLCK


def test_who_waits_for_a_lock_gets_it_and_keeps_nobody_else_waiting(locking):
    one, two, _ = locking
    with locked(one / "npy/row/5"):
        # More than there are threads that serve.
        waiting = [other(two / "npy/row/5", kind=fcntl.LOCK_SH, wait=True) for _ in range(5)]
        eventually(lambda: two.stats()["requests"]["setlk"] >= 5, "all have asked")
        for row in range(6, 30):
            assert np.frombuffer(two.read(f"npy/row/{row}"), "<f8")[0] == row * 96
        assert all(process.poll() is None for process in waiting)
    for process in waiting:
        assert process.stdout.readline() == b"locked\n"
    for process in waiting:
        process.communicate(b"\n", 30)
        assert process.returncode == 0
    assert may(one / "npy/row/5")


SLEEPER = """
import ctypes, fcntl, os, signal, struct, sys
signal.signal(signal.SIGUSR1, lambda *_: None)
libc = ctypes.CDLL(None, use_errno=True)
fd = os.open(sys.argv[1], os.O_RDWR)
lock = ctypes.create_string_buffer(struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
print("asking", flush=True)
answer = libc.fcntl(fd, fcntl.F_SETLKW, lock)
sys.exit(ctypes.get_errno() if answer else 0)
"""


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGKILL])
def test_a_signal_ends_the_wait_for_a_lock(locking, number):
    one, two, _ = locking
    with locked(one / "npy/row/5"):
        process = subprocess.Popen([sys.executable, "-c", SLEEPER, two / "npy/row/5"], stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"asking\n"
        syscall = f"/proc/{process.pid}/syscall"
        eventually(lambda: open(syscall).read().startswith("72 "), "it waits in fcntl")
        process.send_signal(number)
        process.communicate(timeout=30)
        assert process.returncode == (errno.EINTR if number == signal.SIGUSR1 else -signal.SIGKILL)
        assert not may(two / "npy/row/5")
    assert may(two / "npy/row/5")


def test_locks_go_with_the_daemon_and_its_mount(locking):
    one, two, _ = locking
    fd = os.open(one / "npy/row/5", os.O_RDWR)
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert not may(two / "npy/row/5")
        os.kill(one.pid, signal.SIGKILL)
        eventually(lambda: not one.is_alive(), "it is gone")
        assert may(two / "npy/row/5")
    finally:
        with contextlib.suppress(OSError):
            os.close(fd)
        one.clear()


def test_a_reader_who_locks_sees_what_was_written_before_the_lock_was_given_up(scratch):
    with two_disks(scratch, "--shared") as machines:
        one, two = machines
        with one.open(view("npy", "row/5"), os.O_RDWR) as here, two.open(view("npy", "row/5"), os.O_RDWR) as there:
            for turn in range(10):
                os.pread(there, 8 * SHAPE[1], 0)
                fcntl.lockf(here, fcntl.LOCK_EX)
                os.pwrite(here, np.full(SHAPE[1], turn, "<f8").tobytes(), 0)
                fcntl.lockf(here, fcntl.LOCK_UN)
                fcntl.lockf(there, fcntl.LOCK_SH)
                assert (np.frombuffer(os.pread(there, 8 * SHAPE[1], 0), "<f8") == turn).all()
                fcntl.lockf(there, fcntl.LOCK_UN)


def test_bytes_that_a_view_has_not_cannot_be_locked(locking):
    one, _, _ = locking
    with one.open("npy/row/5", os.O_RDWR) as fd, refused("ENOLCK"):
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 8, 96 * 8)
    with one.open("npy/shape") as fd, refused("ENOLCK"):
        fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)


def test_the_thread_that_waits_for_locks_has_no_capability(locking):
    needs_root()
    one, *_ = locking
    found = {}
    for task in os.listdir(f"/proc/{one.pid}/task"):
        status = dict(line.split(":\t", 1) for line in open(f"/proc/{one.pid}/task/{task}/status").read().splitlines() if ":\t" in line)
        found[status["Name"]] = (status["CapPrm"], status["CapEff"], status["NoNewPrivs"])
    assert found["locks"] == ("0" * 16, "0" * 16, "1")


def test_mounted_for_several_machines_by_its_option_in_fstab(source):
    np.save(source / "a.npy", np.arange(6.0).reshape(2, 3))
    with mounted(source, "-o", "rw,shared") as mnt, locked(mnt / "a/row/0"):
        assert not may(source / "a.npy")
    with mounted(source, "-o", "shared,no_shared") as mnt, locked(mnt / "a/row/0"):
        assert may(source / "a.npy")


def test_checksums_cannot_be_kept_for_several_machines(source, scratch):
    (scratch / "mnt").mkdir()
    answer = afbfs("mount", "--shared", "--update-checksums", source, scratch / "mnt")
    assert answer.returncode == 1 and b"--no-shared" in answer.stderr


def test_a_disk_that_others_may_share_is_pointed_out(scratch):
    with contextlib.ExitStack() as stack:
        disk = stack.enter_context(faulty_disk(scratch / "disk", scratch))
        log = scratch / "log"
        stack.enter_context(mounted(disk.path, "--log-file", log))
        assert "mount it with --shared" in log.read_text()


def test_a_page_whose_former_content_is_forgotten_is_not_stored(source):
    pages = (80 << 20) // 4096
    file = source / f"x_512x{pages}_float64.raw"
    file.touch()
    os.truncate(file, pages * 4096)
    with mounted(source, "--shared") as mnt, mnt.open(f"x_512x{pages}_float64/data", os.O_RDWR) as fd:
        with mmap.mmap(fd, 0) as mapped:
            assert all(mapped[page * 4096] == 0 for page in range(pages))
            mapped[-8:] = b"newest  "
            mapped.flush((pages - 1) * 4096, 4096)
            mapped[:8] = b"forgot  "
            with refused("EIO"):
                mapped.flush(0, 4096)
        with open(file, "rb") as stored:
            assert stored.read(8) == bytes(8)
            stored.seek(-8, os.SEEK_END)
            assert stored.read() == b"newest  "
