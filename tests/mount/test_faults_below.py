"""Faults of disks, while others read and write: full disks, and disks that fail to read, to write, to sync, or to answer."""

import contextlib
import errno
import fcntl
import json
import mmap
import os
import signal
import struct
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from bystanders import check_files, company_arrays, keep_company, pattern
from faulty import ext4, faulty_disk, fill, tmpfs
from harness import eventually, mounted, refused
from oracle import ArrayFile, check_view, save_random

PAGE = mmap.PAGESIZE
ROW = 4096


@pytest.fixture
def others(source, rng):
    return company_arrays(source, rng)


def sparse(path, shape, dtype="<f8"):
    """An .npy file whose elements are one hole."""
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"shape": shape, "fortran_order": False, "descr": dtype})
        file.truncate(file.tell() + int(np.prod(shape)) * np.dtype(dtype).itemsize)
    return ArrayFile(path)


# --- full disks


@pytest.fixture(params=["tmpfs", "ext4"])
def disk(request, source, scratch):
    """A small file system at `disk` in the source."""
    folder = source / "disk"
    with tmpfs(folder, "2M") if request.param == "tmpfs" else ext4(folder, scratch / "image") as disk:
        yield disk


def write_until_it_fails(fd, size):
    """Every reserve that the file system may still have ends somewhere."""
    for offset in range(0, size, PAGE):
        os.pwrite(fd, b"x" * min(PAGE, size - offset), offset)


def test_a_full_disk_is_an_error_of_the_writes_that_need_more_of_it(disk, source, others):
    array = sparse(disk / "s.npy", (1024, 1024))
    rows = [array.view("disk/s").row(number) for number in range(9)]
    with mounted(source) as mnt, keep_company(mnt, others) as run:
        run.write(array, rows[3])
        run.store(array, rows[4])
        run.go_on()
        run.read(rows[6])
        filler = fill(disk)
        with mnt.open("disk/s/slice/100:300") as hole, mnt.open("disk/s/col/9", os.O_RDWR) as column:
            with mnt.open("disk/s/slice/300:500", os.O_RDWR) as fd:
                with refused("ENOSPC"):
                    write_until_it_fails(fd, 200 * 1024 * 8)
                with mmap.mmap(fd, 0) as mapping, refused("ENOSPC", "EIO"):
                    mapping[::PAGE] = b"y" * len(mapping[::PAGE])
                    mapping.flush()
            with refused("ENOSPC"), mnt.open("disk/s/slice/500:700", os.O_RDWR | os.O_DSYNC) as fd:
                write_until_it_fails(fd, 200 * 1024 * 8)
            with refused("ENOSPC"):
                os.pwrite(column, b"12345678", 999 * 8)
            # A hole can be read, which takes no space.
            assert os.pread(hole, 1 << 20, 0) == bytes(1 << 20)
            run.go_on()
            filler.unlink()
            subprocess.run(["sync", "-f", disk], check=True)
            assert os.pwrite(column, b"fits now", 900 * 8) == 8
            os.fsync(column)
        mnt.write("disk/s/row/901", b"as well")
        run.go_on()
        assert mnt.is_alive()
        run.end()
        stored = np.memmap(array.path, np.uint8, "r")
        for row in rows[3:5]:
            assert stored[row.positions()].tobytes() == array.stored(row), row.path
        assert stored[array.view().row(901).positions()][:7].tobytes() == b"as well"


def save_zarr(folder, fill_value):
    """An array of 4 x 4 chunks, none of which exists."""
    folder.mkdir()
    codecs = [{"name": "bytes", "configuration": {"endian": "little"}}]
    grid = {"name": "regular", "configuration": {"chunk_shape": [64, 64]}}
    encoding = {"name": "default", "configuration": {"separator": "/"}}
    facts = {"zarr_format": 3, "node_type": "array", "shape": [256, 256], "data_type": "float64", "chunk_grid": grid}
    facts |= {"chunk_key_encoding": encoding, "fill_value": fill_value, "codecs": codecs}
    (folder / "zarr.json").write_text(json.dumps(facts))


def test_a_chunk_that_does_not_fit_on_a_full_disk_is_not_there(disk, source, others):
    save_zarr(disk / "z", 7.5)
    missing = np.full((256, 256), 7.5)
    with mounted(source) as mnt, keep_company(mnt, others) as run:
        mnt.write("disk/z/row/3", missing[3].tobytes())
        before = sorted(path for path in disk.rglob("*") if path.is_file())
        filler = fill(disk)
        with mnt.open("disk/z/slice/64:", os.O_RDWR) as fd, refused("ENOSPC"):
            write_until_it_fails(fd, missing[64:].nbytes)
        with mnt.open("disk/z/row/3", os.O_RDWR) as fd:
            assert os.pwrite(fd, b"there is", 0) == 8
            os.fsync(fd)
        run.go_on()
        made = [path for path in disk.rglob("*") if path.is_file() and path not in [*before, filler]]
        assert not [path for path in made if path.stat().st_size != 64 * 64 * 8], "chunks of a wrong size"
        assert not list(disk.rglob("*.partial*"))
        filler.unlink()
        subprocess.run(["sync", "-f", disk], check=True)
        values = np.arange(256.0)
        with mnt.open("disk/z/row/200", os.O_RDWR) as fd:
            os.pwrite(fd, values.tobytes(), 0)
            os.fsync(fd)
        assert mnt.read("disk/z/row/200") == values.tobytes()
        assert mnt.read("disk/z/row/201") == missing[201].tobytes()
        assert mnt.read("disk/z/row/3")[:8] == b"there is"


# --- disks that fail


@pytest.fixture
def bad(source, scratch):
    """A disk that fails on demand, at `bad` in the source."""
    with faulty_disk(source / "bad", scratch) as disk:
        yield disk


def at_row(number):
    """The bytes of the file from a row of the array to its end, as rules have them."""
    return f"{128 + number * ROW} {1 << 40}"


@pytest.fixture(params=["mapped", "direct"])
def grid(request, bad, rng):
    """64 rows of a page each on the disk that fails, which can be mapped or not."""
    array = save_random(bad.files / "a.npy", rng, "<f8", (64, 512))
    bad.always = ["direct a.npy 0 1 yes"] if request.param == "direct" else []
    bad.heal()
    return array


def test_what_cannot_be_read_is_an_error_and_the_rest_is_read(bad, grid, source, others):
    whole = grid.view("bad/a")
    with mounted(source) as mnt, keep_company(mnt, others) as run:
        run.read(whole[:20].at("slice/:20"), fresh=True)
        run.write(grid, whole.row(22))
        run.go_on()
        bad.fail(f"read a.npy {at_row(40)} EIO")
        with mnt.open("bad/a/data") as data, mnt.open("bad/a/col/3") as column:
            with refused("EIO"):
                os.pread(data, 100, 50 * ROW)
            with refused("EIO"):
                os.pread(column, 512, 0)
            with refused("EIO"):
                os.pread(column, 8, 45 * 8)
            with refused("EIO"):
                mnt.read("bad/a/row/63.txt")
            assert os.pread(column, 20 * 8, 0) == whole.col(3).bytes()[: 20 * 8]
            run.go_on()
            bad.heal()
            assert os.pread(data, 100, 50 * ROW) == whole.bytes()[50 * ROW : 50 * ROW + 100]
            assert os.pread(column, 8, 45 * 8) == whole.col(3).bytes()[45 * 8 : 46 * 8]
        run.go_on()
        run.end()
        assert mnt.is_alive()
        check_files(grid, *others)


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_what_cannot_be_written_is_an_error_of_the_write_or_of_each_handles_next_fsync(bad, grid, source, others, error):
    whole = grid.view("bad/a")
    row, column = whole.row(50), whole[::4, 7].at("slice/::4,7")
    with mounted(source) as mnt, keep_company(mnt, others) as run:
        run.read(whole[1:4].at("slice/1:4"), fresh=True)
        run.go_on()
        with contextlib.ExitStack() as opened:
            views = [row, row, column]
            writer, again, across = handles = [opened.enter_context(mnt.open(view.path, os.O_RDWR)) for view in views]
            os.pwrite(writer, b"before", 0)
            os.fsync(writer)
            bad.fail(f"write a.npy {at_row(40)} {error}")
            at_write, at_fsync = error_of(os.pwrite, writer, b"lost", 0), error_of(os.fsync, writer)
            # A store into the mapping fails only once it is written back. Then whoever has the file open hears of it, once.
            is_direct = bool(bad.always)
            assert (at_write, at_fsync) == ((error, None) if is_direct else (None, error))
            run.go_on()
            bad.heal()
            for fd in handles:
                heard = [error_of(os.fsync, fd) for _ in range(3)]
                assert heard == [None if is_direct or fd == writer else error, None, None]
            assert [error_of(os.fsync, fd) for fd in handles] == [None] * 3
            run.go_on()
            os.pwrite(writer, b"stored", 0)
            os.pwrite(across, b"as well.", 8 * 12)
            for fd in (writer, again, across):
                os.fsync(fd)
        run.end()
        grid.write(row, 0, b"stored")
        grid.write(column, 8 * 12, b"as well.")
        assert mnt.is_alive()
        check_files(grid, *others)


def error_of(call, *arguments):
    """The name of the error that a call fails with."""
    try:
        call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return None


def test_a_sync_that_fails_confirms_nothing_and_the_next_one_does(bad, grid, source, others):
    row = grid.view("bad/a").row(50)
    with mounted(source) as mnt, keep_company(mnt, others) as run, mnt.open(row.path, os.O_RDWR) as fd:
        with mnt.open("bad/a/col/3", os.O_RDWR) as other:
            os.pwrite(fd, b"stored", 0)
            bad.fail("fsync a.npy 0 1 EIO")
            assert error_of(os.fsync, fd) == "EIO"
            run.go_on()
            assert error_of(os.fsync, fd) == "EIO"
            bad.heal()
            assert [error_of(os.fsync, fd) for _ in range(2)] == [None, None]
            assert [error_of(os.fsync, other) for _ in range(2)] == ["EIO", None]
        with refused("EIO"), mnt.open(row.path, os.O_RDWR | os.O_DSYNC) as synced:
            bad.fail("fsync a.npy 0 1 EIO")
            os.pwrite(synced, b"stored", 0)
        bad.heal()
        # What the other handle met is told here, too.
        assert [error_of(os.fsync, fd) for _ in range(2)] == ["EIO", None]
        run.end()
        grid.write(row, 0, b"stored")
        check_files(grid, *others)


def test_an_array_that_the_disk_does_not_show_is_there_once_it_does(bad, source, others, rng):
    failing = ["lookup", "getattr", "open", "read"]
    arrays = [save_random(bad.files / f"{name}.npy", rng, "<f8", (64, 512)) for name in failing]
    with mounted(source) as mnt, keep_company(mnt, others) as run:
        run.go_on()
        bad.fail(*(f"{name} {name}.npy 0 {PAGE} EIO" for name in failing))
        for name in failing * 2:
            with refused("EIO"):
                mnt.read(f"bad/{name}/row/5")
        run.go_on()
        bad.heal()
        for name, array in zip(failing, arrays, strict=True):
            check_view(mnt, array.view(f"bad/{name}").row(5))
            assert not (mnt / f"bad/{name}/error").exists()
        run.end()
        assert mnt.is_alive()
        check_files(*arrays, *others)


def read_and_write(mnt, row, data):
    with mnt.open(row.path, os.O_RDWR) as fd:
        assert os.pread(fd, row.size, 0) == row.bytes()
        os.pwrite(fd, data, 0)
        os.fsync(fd)


@pytest.mark.parametrize("waiting", [["lookup", "open", "write"], ["getattr", "read", "fsync"]], ids="-".join)
def test_a_disk_that_takes_its_time_keeps_nobody_else_waiting(bad, source, others, rng, waiting):
    grid = save_random(bad.files / "a.npy", rng, "<f8", (64, 512))
    with mounted(source, "--threads", "4") as mnt, keep_company(mnt, others) as run:
        run.read(grid.view("bad/a")[:20].at("slice/:20"))
        run.write(grid, grid.view("bad/a").row(22))
        run.go_on()
        for name in waiting:
            slow = save_random(bad.files / f"{name}.npy", rng, "<f8", (64, 512))
            row, data = slow.view(f"bad/{name}").row(50), rng.bytes(ROW)
            # What is looked at now and then has been looked at once.
            check_view(mnt, slow.view(f"bad/{name}").row(3))
            bad.fail(f"{name} {name}.npy {128 + 40 * ROW if name == 'read' else 0} {1 << 40} wait")
            with ThreadPoolExecutor(1) as user:
                try:
                    done = user.submit(read_and_write, mnt, row, data)
                    # Removed files are looked for once a second.
                    end = time.monotonic() + (1.2 if name == "getattr" else 0)
                    while run.go_on() or time.monotonic() < end:
                        pass
                    assert not done.done()
                finally:
                    bad.heal()
                assert done.result(60) is None
            slow.write(row, 0, data)
            check_files(slow)
        run.end()
        check_files(grid, *others)


def test_a_disk_that_is_gone_takes_nothing_else_along(bad, source, others, rng):
    grid = save_random(bad.files / "a.npy", rng, "<f8", (64, 512))
    with mounted(source) as mnt, keep_company(mnt, others) as run, mnt.open("bad/a/row/50") as fd:
        assert os.pread(fd, 8, 0) == grid.view().row(50).bytes()[:8]
        os.kill(bad.pid, signal.SIGKILL)
        eventually(lambda: error_of(os.listdir, source / "bad") == "ENOTCONN", "the disk is gone")
        with refused("EIO", "ENOTCONN"):
            os.pread(fd, 8, 0)
        with refused("EIO", "ENOTCONN"):
            mnt.read("bad/a/row/51")
        with refused("EIO", "ENOTCONN"):
            os.listdir(mnt / "bad")
        run.go_on()
        assert {"rows", "columns"} <= set(os.listdir(mnt))
        run.go_on()
        run.end()
        assert mnt.is_alive()
        check_files(*others)


# _IOR('X', 125, __u32): the file system stops at once, its journal not written.
SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, struct.pack("I", 2)


def test_what_was_confirmed_is_there_after_the_disk_has_stopped(source, scratch, others, rng):
    image = scratch / "image"
    with ext4(source / "disk", image) as disk:
        array = save_random(disk / "a.npy", rng, "<f8", (64, 512))
        subprocess.run(["sync", "-f", disk], check=True)
        views = [array.view("disk/a").row(3), array.view("disk/a")[10:, 7].at("slice/10:,7")]
        with mounted(source) as mnt, keep_company(mnt, others) as run:
            fds = [os.open(mnt / view.path, os.O_RDWR) for view in views]
            for turn in range(20):
                for view, fd in zip(views, fds, strict=True):
                    data = pattern(turn, view.size)
                    os.pwrite(fd, data, 0)
                    os.fsync(fd)
                    array.write(view, 0, data)
            folder = os.open(disk, os.O_RDONLY)
            fcntl.ioctl(folder, SHUTDOWN, NO_LOG_FLUSH)
            os.close(folder)
            for fd in fds:
                with refused("EIO", "EROFS"):
                    os.pwrite(fd, b"lost", 0)
                    os.fsync(fd)
            for fd in fds:
                # What a handle has not been told yet is told here.
                assert error_of(os.close, fd) in (None, "EIO", "EROFS")
            run.go_on()
            run.end()
            assert mnt.is_alive()
            check_files(*others)
    with ext4(source / "disk", image, make=False):
        assert not array.differs()
