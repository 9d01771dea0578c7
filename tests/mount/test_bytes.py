"""Sizes, owners and times of slice files, and what each way of writing, cutting and growing does to one."""

import ctypes
import errno
import os
import stat
import subprocess

import numpy as np
import pytest

from harness import eventually, mounted, needs_root, refused, run, shell
from oracle import check_view, save, save_random

LIBC = ctypes.CDLL(None, use_errno=True)
FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, FALLOC_FL_ZERO_RANGE = 1, 2, 16


def fallocate(fd, mode, offset, length):
    if LIBC.fallocate(fd, mode, ctypes.c_int64(offset), ctypes.c_int64(length)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@pytest.fixture
def grid(source, rng):
    """8 rows of 50 elements: a row is 400 contiguous bytes, a column 64 bytes, 400 apart."""
    return save_random(source / "a.npy", rng, "<f8", (8, 50))


@pytest.fixture
def mnt(grid):
    with mounted(grid.path.parent) as mnt:
        yield mnt


@pytest.fixture(params=["row/3", "col/-2"])
def view(request, grid):
    whole = grid.view()
    return {"row/3": whole.row(3), "col/-2": whole.col(-2)}[request.param]


def store(array, view, data, offset=0):
    """The model after a write; the file must be the same."""
    array.write(view, offset, data)
    assert not array.differs()


# --- attributes


def test_sizes_blocks_and_block_size(mnt, grid):
    whole = grid.view()
    for view in [whole.at("data"), whole.row(1), whole.col(1), whole[0:0].at("row/0:0"), whole.raveled()[:63].at("range/:63")]:
        attributes = (mnt / view.path).stat()
        assert attributes.st_size == view.size, view.path
        assert attributes.st_blocks == -(-view.size // 512), view.path
        assert attributes.st_blksize == 1 << 20, view.path
        assert stat.S_ISREG(attributes.st_mode)


def test_owner_mode_and_times_are_those_of_the_array_file(grid):
    os.utime(grid.path, ns=(1_500_000_000_123_456_789, 1_600_000_000_987_654_321))
    if os.geteuid() == 0:
        os.chown(grid.path, 65534, 1)
    for mode in [0o644, 0o600, 0o664, 0o444, 0o400]:
        grid.path.chmod(mode)
        with mounted(grid.path.parent) as mnt:
            theirs, ours = grid.path.stat(), (mnt / "a/row/3").stat()
            assert stat.S_IMODE(ours.st_mode) == mode
            assert (ours.st_uid, ours.st_gid, ours.st_mtime_ns) == (theirs.st_uid, theirs.st_gid, theirs.st_mtime_ns)
            assert not stat.S_IMODE((mnt / "a/shape").stat().st_mode) & 0o222


def test_a_changed_mode_shows_within_a_second(mnt, grid):
    assert stat.S_IMODE((mnt / "a/data").stat().st_mode) == 0o644
    grid.path.chmod(0o600)
    eventually(lambda: stat.S_IMODE((mnt / "a/data").stat().st_mode) == 0o600, "the new mode", within=2)


def test_mtime_moves_at_the_first_write_and_at_the_flush(mnt, grid):
    long_ago = (10**18, 10**18)
    os.utime(grid.path, ns=long_ago)
    with mnt.open("a/row/3", os.O_WRONLY) as fd:
        os.pwrite(fd, b"1", 0)
        assert grid.path.stat().st_mtime_ns > 10**18
        os.utime(grid.path, ns=long_ago)
        os.pwrite(fd, b"2", 0)
    assert grid.path.stat().st_mtime_ns > 10**18
    wanted = grid.path.stat().st_mtime_ns
    eventually(lambda: (mnt / "a/col/0").stat().st_mtime_ns == wanted, "the views show that time", within=2)


def test_mtime_moves_even_where_the_page_is_dirty_already(mnt, grid):
    # A store into a dirty page tells the kernel nothing.
    with mnt.open("a/data", os.O_WRONLY) as one, mnt.open("a/row/3", os.O_WRONLY) as other:
        os.pwrite(one, bytes(grid.view().size), 0)
        os.utime(grid.path, ns=(10**18, 10**18))
        os.pwrite(other, b"1", 0)
        assert grid.path.stat().st_mtime_ns > 10**18


def test_reading_leaves_the_mtime_alone(mnt, grid):
    os.utime(grid.path, ns=(10**18, 10**18))
    with mnt.open("a/row/3", os.O_RDWR) as fd:
        os.pread(fd, 400, 0)
        os.fsync(fd)
    assert grid.path.stat().st_mtime_ns == 10**18


def test_nothing_can_be_written_where_the_array_file_cannot(grid, scratch):
    needs_root()
    frozen = scratch / "frozen"
    frozen.mkdir()
    subprocess.run(["mount", "--bind", grid.path.parent, frozen], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", frozen], check=True)
        with mounted(frozen) as mnt:
            assert not stat.S_IMODE((mnt / "a/data").stat().st_mode) & 0o222
            with refused("EROFS", "EACCES"):
                os.close(os.open(mnt / "a/data", os.O_RDWR))
            check_view(mnt, grid.view().at("data"))
            assert mnt.arrays()[0]["writable"] is False
    finally:
        subprocess.run(["umount", frozen], check=True)


# --- writing in place


def test_a_write_changes_what_it_covers(mnt, grid, view, rng):
    for offset, length in [(0, 8), (8, 16), (3, 1), (5, 6), (13, 40), (0, view.size), (view.size - 1, 1)]:
        data = rng.bytes(length)
        mnt.write(view.path, data, offset)
        store(grid, view, data, offset)
        check_view(mnt, view)


def test_a_write_across_the_end_is_cut_there(mnt, grid, view, rng):
    data = rng.bytes(30)
    with mnt.open(view.path, os.O_RDWR) as fd:
        assert os.pwrite(fd, data, view.size - 11) == 11
        store(grid, view, data[:11], view.size - 11)
        assert os.pwrite(fd, rng.bytes(0), view.size) == 0
        with refused("ENOSPC"):
            os.pwrite(fd, data, view.size)
        with refused("ENOSPC", "EFBIG"):
            os.pwrite(fd, data, view.size + 100)
    assert not grid.differs()


def test_a_long_write_across_the_end_is_cut_there(source, rng):
    array = save_random(source / "long.npy", rng, "<i2", (3, 1_100_001))
    row = array.view().row(1)
    with mounted(source) as mnt:
        data = rng.bytes(3 << 20)
        copied = shell('cat >"$1"', mnt / "long/row/1", input=data)
        assert copied.returncode == 1 and b"No space left" in copied.stderr
        store(array, row, data[: row.size])


def test_appending_finds_no_space(mnt, grid, view):
    with mnt.open(view.path, os.O_WRONLY | os.O_APPEND) as fd, refused("ENOSPC"):
        os.write(fd, b"more")
    appended = shell('echo x >>"$1"', mnt / view.path)
    assert appended.returncode != 0 and b"No space left" in appended.stderr
    assert not grid.differs()


def test_vectored_and_sequential_writes(mnt, grid, view, rng):
    pieces = [rng.bytes(length) for length in (1, 8, 3, 20)]
    with mnt.open(view.path, os.O_RDWR) as fd:
        assert os.writev(fd, pieces) == 32
        assert os.write(fd, b"then this") == 9
        assert os.lseek(fd, 0, os.SEEK_CUR) == 41
        assert os.lseek(fd, 0, os.SEEK_END) == view.size
    store(grid, view, b"".join(pieces) + b"then this")


# --- programs that write files


def test_echo_writes_the_start_and_leaves_the_rest(mnt, grid, view):
    assert shell('echo x >"$1"', mnt / view.path).returncode == 0
    store(grid, view, b"x\n")
    assert (mnt / view.path).stat().st_size == view.size


def test_opening_for_a_rewrite_changes_nothing_by_itself(mnt, grid, view):
    assert shell(': >"$1"', mnt / view.path).returncode == 0
    with open(mnt / view.path, "wb") as file:
        assert os.fstat(file.fileno()).st_size == view.size
    assert not grid.differs()


def test_cp_onto_a_view(mnt, grid, view, rng, scratch):
    data = rng.bytes(view.size)
    (scratch / "new").write_bytes(data)
    assert run("cp", scratch / "new", mnt / view.path).stderr == b""
    store(grid, view, data)
    assert run("cp", mnt / view.path, scratch / "back").stderr == b""
    assert (scratch / "back").read_bytes() == data


def test_cp_from_one_view_to_another(mnt, grid):
    whole = grid.view()
    assert run("cp", mnt / "a/row/2", mnt / "a/row/5").stderr == b""
    store(grid, whole.row(5), whole.row(2).bytes())
    assert run("cp", mnt / "a/col/7", mnt / "a/col/0").stderr == b""
    store(grid, whole.col(0), whole.col(7).bytes())


def test_cp_of_a_longer_file_fails_and_fills_the_view(mnt, grid, view, rng, scratch):
    data = rng.bytes(view.size + 5)
    (scratch / "long").write_bytes(data)
    copied = run("cp", scratch / "long", mnt / view.path)
    assert copied.returncode == 1 and b"No space left" in copied.stderr
    store(grid, view, data[: view.size])


def test_sparse_cp_writes_its_holes_as_zeros(source, rng, scratch):
    array = save_random(source / "a.npy", rng, "u1", (3, 1 << 18))
    data = bytearray(rng.bytes(1 << 18))
    data[10_000:150_000] = bytes(140_000)
    data[200_000:] = bytes((1 << 18) - 200_000)
    (scratch / "new").write_bytes(data)
    with mounted(source) as mnt:
        for view in [array.view().row(1), array.view().transposed().col(2)]:
            assert run("cp", "--sparse=always", scratch / "new", mnt / view.path).stderr == b""
            store(array, view, bytes(data))


def test_dd_into_the_middle(mnt, grid, view, rng):
    data = rng.bytes(12)
    for options in (["conv=notrunc"], []):
        done = run("dd", f"of={mnt / view.path}", "bs=4", "seek=5", "status=none", *options, input=data)
        assert (done.returncode, done.stderr) == (0, b"")
        store(grid, view, data, 20)
        data = rng.bytes(12)


def test_tee_head_and_tail(mnt, grid, view):
    assert run("tee", mnt / view.path, input=bytes(view.size)).returncode == 0
    store(grid, view, bytes(view.size))
    assert run("head", "-c", "13", mnt / view.path).stdout == bytes(13)
    assert run("tail", "-c", "13", mnt / view.path).stdout == bytes(13)


# --- truncation: the written end


def test_truncations_change_nothing_until_the_written_end_goes_up(mnt, grid, view):
    with mnt.open(view.path, os.O_RDWR) as fd:
        for length in [view.size, 10, 0, 10]:
            assert not grid.differs()
            os.ftruncate(fd, length)
            assert os.fstat(fd).st_size == view.size
        store(grid, view, bytes(10))


def test_extending_to_the_size_without_a_truncation_changes_nothing(mnt, grid, view):
    with mnt.open(view.path, os.O_RDWR) as fd:
        os.ftruncate(fd, view.size)
        os.pwrite(fd, b"far", 40)
    store(grid, view, b"far", 40)


def test_a_write_beyond_the_written_end_fills_the_gap_with_zeros(mnt, grid, view):
    with mnt.open(view.path, os.O_RDWR) as fd:
        os.ftruncate(fd, 10)
        os.pwrite(fd, b"near", 3)
        store(grid, view, b"near", 3)
        os.pwrite(fd, b"far", 40)
        store(grid, view, bytes(30) + b"far", 10)
        os.pwrite(fd, b"end", 50)
        store(grid, view, bytes(7) + b"end", 43)


def test_truncating_to_nothing_and_extending_clears_a_view(mnt, grid, view):
    with mnt.open(view.path, os.O_RDWR) as fd:
        os.ftruncate(fd, 0)
        os.ftruncate(fd, view.size)
    store(grid, view, bytes(view.size))


def test_any_sequence_of_truncations_and_writes(mnt, grid, view, rng):
    for _ in range(25):
        with mnt.open(view.path, os.O_RDWR) as fd:
            end = view.size
            steps = rng.integers(view.size, size=rng.integers(1, 8)).tolist()
            for at in [*steps, view.size]:
                if at == view.size or rng.random() < 0.5:
                    os.ftruncate(fd, at)
                    grid.write(view, end, bytes(max(0, at - end)))
                    end = at
                else:
                    data = rng.bytes(int(rng.integers(1, view.size - at + 1)))
                    assert os.pwrite(fd, data, at) == len(data)
                    grid.write(view, end, bytes(max(0, at - end)))
                    grid.write(view, at, data)
                    end = max(end, at + len(data))
                assert not grid.differs()


def test_growing_is_refused(mnt, grid, view):
    with mnt.open(view.path, os.O_RDWR) as fd, refused("EFBIG"):
        os.ftruncate(fd, view.size + 1)
    with refused("EFBIG"):
        os.truncate(mnt / view.path, view.size + 1)
    assert not grid.differs()


def test_short_overwrites_are_counted(mnt, grid):
    assert mnt.stats()["short_overwrites"] == 0
    for data in [bytes(400), b"short", bytes(399), bytes(400)]:
        (mnt / "a/row/3").write_bytes(data)
    mnt.write("a/row/3", b"no truncation, no end")
    eventually(lambda: mnt.stats()["short_overwrites"] >= 2, "both short overwrites are counted")
    assert mnt.stats()["short_overwrites"] == 2


# --- what a block device would not do either


FORBIDDEN = {
    "remove a view": lambda mnt: os.unlink(mnt / "a/row/3"),
    "remove a fact": lambda mnt: os.unlink(mnt / "a/shape"),
    "remove a folder": lambda mnt: os.rmdir(mnt / "a/slice"),
    "remove an array": lambda mnt: os.rmdir(mnt / "a"),
    "rename a view": lambda mnt: os.rename(mnt / "a/row/3", mnt / "a/row/new"),
    "rename a view to a view": lambda mnt: os.rename(mnt / "a/row/3", mnt / "a/row/4"),
    "rename an array": lambda mnt: os.rename(mnt / "a", mnt / "b"),
    "make a file": lambda mnt: os.open(mnt / "a/row/new", os.O_CREAT | os.O_WRONLY),
    "make a file out of range": lambda mnt: os.open(mnt / "a/row/8", os.O_CREAT | os.O_WRONLY),
    "make an array": lambda mnt: os.open(mnt / "b.npy", os.O_CREAT | os.O_WRONLY),
    "make a folder": lambda mnt: os.mkdir(mnt / "a/new"),
    "make a folder at the top": lambda mnt: os.mkdir(mnt / "new"),
    "make a symbolic link": lambda mnt: os.symlink("3", mnt / "a/row/new"),
    "make a hard link": lambda mnt: os.link(mnt / "a/row/3", mnt / "a/row/new"),
    "make a fifo": lambda mnt: os.mkfifo(mnt / "a/new"),
}


@pytest.mark.parametrize("options, error", [([], "EPERM"), (["--read-only"], "EROFS")])
def test_making_removing_and_renaming(grid, options, error):
    before = sorted(os.listdir(grid.path.parent))
    with mounted(grid.path.parent, *options) as mnt:
        for what, do in FORBIDDEN.items():
            try:
                do(mnt)
                pytest.fail(f"could {what}")
            except OSError as caught:
                assert errno.errorcode[caught.errno] == error, what
    assert sorted(os.listdir(grid.path.parent)) == before
    assert not grid.differs()


def test_what_exists_may_be_opened_as_if_to_make_it(mnt, grid, view):
    with mnt.open(view.path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC) as fd:
        os.write(fd, b"created?")
    store(grid, view, b"created?")
    with refused("EEXIST"):
        os.open(mnt / view.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)


def test_a_read_only_mount_takes_no_writes(grid):
    with mounted(grid.path.parent, "--read-only") as mnt:
        for flags in [os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC]:
            with refused("EROFS"):
                os.open(mnt / "a/row/3", flags)
        with refused("EROFS"):
            os.truncate(mnt / "a/row/3", 0)
        check_view(mnt, grid.view().at("data"))
    assert not grid.differs()


# --- holes and allocation


def segments(fd, size):
    """What SEEK_DATA and SEEK_HOLE say: [(start, end)] of the data."""
    found, at = [], 0
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            assert error.errno == errno.ENXIO
            break
        at = os.lseek(fd, start, os.SEEK_HOLE)
        assert start < at <= size
        found.append((start, at))
    return found


def test_a_contiguous_view_has_the_holes_of_the_file_and_others_have_none(source):
    array = save(source / "a.npy", np.zeros((2, 2), "<f8"))
    rows, columns = 16, 1 << 17
    header = np.lib.format.header_data_from_array_1_0(np.zeros((2, 2)))
    with open(array.path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {**header, "shape": (rows, columns)})
        offset = file.tell()
        file.truncate(offset + rows * columns * 8)
        file.seek(offset + 5 * columns * 8 + 70_000)
        file.write(b"data" * 1000)
        os.fsync(file.fileno())
    size = rows * columns * 8
    with open(array.path, "rb") as file, mounted(source) as mnt:
        ours = [(max(a - offset, 0), b - offset) for a, b in segments(file.fileno(), offset + size)]
        with mnt.open("a/data") as fd:
            assert segments(fd, size) == ours
            assert os.lseek(fd, size // 2, os.SEEK_HOLE) == size // 2
            with refused("ENXIO"):
                os.lseek(fd, size, os.SEEK_DATA)
            with refused("ENXIO"):
                os.lseek(fd, size, os.SEEK_HOLE)
        row = columns * 8
        with mnt.open("a/row/5") as fd:
            inside = [(a - 5 * row, b - 5 * row) for a, b in ours if 5 * row < b and a < 6 * row]
            assert segments(fd, row) == inside != []
        with mnt.open("a/row/9") as fd:
            assert segments(fd, row) == []
        with mnt.open("a/col/3") as fd:
            assert segments(fd, rows * 8) == [(0, rows * 8)]


def test_allocation_within_the_size_does_nothing(mnt, grid, view):
    with mnt.open(view.path, os.O_RDWR) as fd:
        os.posix_fallocate(fd, 0, view.size)
        fallocate(fd, 0, 10, 20)
        fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, view.size)
        with refused("EFBIG"):
            fallocate(fd, 0, 0, view.size + 1)
        with refused("EFBIG"):
            os.posix_fallocate(fd, view.size, 1)
        for mode in [FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE]:
            with refused("EOPNOTSUPP"):
                fallocate(fd, mode, 0, 16)
    assert not grid.differs()
