"""Files that shrink, fill their disk, are replaced, or vanish; mounts that must not be; signals."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from faulty import fill
from harness import afbfs, cleared, daemons, eventually, is_mounted, mounted, mountpoint_for, needs_command, needs_root
from harness import refused, unavailable
from oracle import ArrayFile, check_view, save, save_random

PAGE = 4096


@pytest.fixture
def grid(source, rng):
    """64 rows of 4096 bytes that start 128 bytes after a page does."""
    return save_random(source / "a.npy", rng, "<f8", (64, 512))


def outcome(fd, length, offset):
    """What a read gives: its bytes, or EIO."""
    try:
        return os.pread(fd, length, offset)
    except OSError as error:
        assert error.errno == errno.EIO, error
        return None


# --- files that shrink


@pytest.mark.parametrize("left", [128 + 20 * PAGE, 21 * PAGE, 21 * PAGE + 1000, 21 * PAGE + 1001, 128, 100, 0])
def test_what_a_truncation_took_is_an_error_and_the_rest_works(grid, left):
    whole = grid.view()
    other = save(grid.path.with_name("other.npy"), np.arange(10.0))
    with (
        mounted(grid.path.parent) as mnt,
        mnt.open("a/data") as data,
        mnt.open("a/col/3") as column,
        mnt.open("a/T/data") as turned,
    ):
        for fd in (data, column, turned):
            os.pread(fd, 100, 0)
        os.truncate(grid.path, left)
        kept = max(0, left - grid.offset)
        stored = whole.bytes()
        # To the byte: what is left can be read, and what is gone cannot, though it may share a page.
        if kept:
            assert os.pread(data, kept, 0) == stored[:kept]
            assert os.pread(data, 1, kept - 1) == stored[kept - 1 : kept]
        assert outcome(data, 1, kept) is None
        assert outcome(data, 1, len(stored) - 1) is None
        across = outcome(data, 100, max(0, kept - 50))
        assert across is None or stored[max(0, kept - 50) : kept] == across
        check_strided(column, whole.col(3), left)
        check_strided(turned, whole.transposed(), left)
        assert mnt.is_alive()
        check_view(mnt, other.view().at("data"))


def check_strided(fd, view, left):
    """Each element of a strided view: there if all of it is left, an error if some of it is gone."""
    stored = view.bytes()
    addresses = view.address.ravel().tolist()
    for number in range(0, len(addresses), 1 if view.ndim == 1 else 101):
        element = stored[number * 8 : number * 8 + 8]
        there = addresses[number] + 8 <= left
        assert outcome(fd, 8, number * 8) == (element if there else None), f"element {number} of {len(addresses)}"
        # Together with its neighbour, which lies pages away: both, or a part that is left, or an error.
        both = addresses[number : number + 2]
        pair = outcome(fd, 16, number * 8)
        if max(both) + 8 <= left:
            assert pair == stored[number * 8 : number * 8 + 16]
        else:
            assert pair is None or (there and pair == element), f"elements {number} and the next of {len(addresses)}"
    gone = outcome(fd, view.size, 0)
    assert gone is None or (len(gone) < view.size and stored.startswith(gone))


def test_a_file_that_grows_back_works_again(grid, rng):
    stored = bytes(grid.model)
    row = grid.view().row(40)
    with mounted(grid.path.parent) as mnt, mnt.open(row.path, os.O_RDWR) as fd, mnt.open("a/col/3") as column:
        assert os.pread(fd, row.size, 0) == row.bytes()
        for left in [0, 128, 30 * PAGE + 77]:
            os.truncate(grid.path, left)
            assert outcome(fd, row.size, 0) is None
            grid.path.write_bytes(stored)
            assert os.pread(fd, row.size, 0) == row.bytes()
            assert os.pread(column, 512, 0) == grid.view().col(3).bytes()
        data = rng.bytes(row.size)
        assert os.pwrite(fd, data, 0) == row.size
        grid.write(row, 0, data)
        assert not grid.differs()
        eventually(lambda: (mnt / "a/row/40").exists(), "new opens work again", within=2)
        check_view(mnt, row)


def test_a_write_does_not_make_a_truncated_file_longer(grid):
    with (
        mounted(grid.path.parent) as mnt,
        mnt.open("a/row/40", os.O_RDWR) as row,
        mnt.open("a/col/3", os.O_RDWR) as column,
    ):
        os.pread(row, 10, 0)
        os.truncate(grid.path, 30 * PAGE)
        for fd, offset in [(row, 0), (row, 4000), (column, 511)]:
            with refused("EIO", "ESTALE"):
                os.pwrite(fd, b"x", offset)
        assert grid.path.stat().st_size == 30 * PAGE
        assert grid.path.read_bytes() == bytes(grid.model[: 30 * PAGE])
        assert mnt.is_alive()


def test_readers_survive_a_file_that_shrinks_and_grows_all_the_time(grid):
    stored = bytes(grid.model)
    whole = grid.view()
    views = [whole.at("data"), whole.row(50), whole.col(7), whole.transposed().at("data")]
    stop, faults = threading.Event(), []

    def keep_reading(view, fd):
        wanted = np.frombuffer(view.bytes(), np.uint8)
        while not stop.is_set() and not faults:
            try:
                seen = np.frombuffer(outcome(fd, view.size, 0) or b"", np.uint8)
                # Zeros are what the file itself may hold for a moment while it is written anew.
                assert np.all((seen == wanted[: seen.size]) | (seen == 0)), "other bytes than the file's"
            except AssertionError as error:
                faults.append(f"{view.path}: {error}")

    with mounted(grid.path.parent, "--threads", "4") as mnt, contextlib.ExitStack() as opened:
        fds = [opened.enter_context(mnt.open(view.path)) for view in views]
        threads = [threading.Thread(target=keep_reading, args=pair) for pair in zip(views, fds, strict=True)]
        for thread in threads:
            thread.start()
        for turn in range(300):
            os.truncate(grid.path, (turn * 5003) % len(stored))
            grid.path.write_bytes(stored)
        stop.set()
        for thread in threads:
            thread.join()
        assert not faults
        assert mnt.is_alive()
        for view, fd in zip(views, fds, strict=True):
            assert os.pread(fd, view.size, 0) == view.bytes(), view.path


def test_a_mapped_view_of_a_truncated_file_does_not_hurt_the_daemon(grid):
    script = """
import mmap, sys
file = open(sys.argv[1], "rb")
mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
print("mapped", flush=True)
sys.stdin.readline()
sum(mapping[::4096])
"""
    with mounted(grid.path.parent) as mnt:
        command = [sys.executable, "-c", script, mnt / "a/data"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
            assert reader.stdout.readline() == b"mapped\n"
            os.truncate(grid.path, 2 * PAGE)
            reader.communicate(b"go on\n", timeout=60)
        assert reader.returncode != 0
        assert mnt.is_alive()
        assert mnt.stats() is not None


# --- full disks


@pytest.fixture(params=["tmpfs", "ext4"])
def small_disk(request, scratch):
    """A file system of a few megabytes."""
    needs_root()
    folder = scratch / "disk"
    folder.mkdir()
    if request.param == "tmpfs":
        command = ["mount", "-t", "tmpfs", "-o", "size=2M", "tmpfs", folder]
    else:
        image = scratch / "image"
        image.touch()
        os.truncate(image, 16 << 20)
        subprocess.run([needs_command("mkfs.ext4"), "-q", "-F", "-m", "0", image], check=True)
        command = ["mount", "-o", "loop", image, folder]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        unavailable(f"cannot mount a small {request.param}: {done.stderr.decode()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def save_sparse(path, shape, dtype="<f8"):
    """An .npy file whose elements are one hole."""
    facts = {"shape": shape, "fortran_order": False, "descr": dtype}
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, facts)
        file.truncate(file.tell() + int(np.prod(shape)) * np.dtype(dtype).itemsize)
    return path


def test_a_write_into_a_hole_of_a_full_disk_finds_no_space(small_disk):
    source = small_disk / "source"
    source.mkdir()
    save_sparse(source / "a.npy", (4096, 4096))
    with mounted(source) as mnt, mnt.open("a/row/7", os.O_RDWR) as row, mnt.open("a/col/9", os.O_RDWR) as column:
        os.pwrite(row, b"stored", 0)
        os.fsync(row)
        filler = fill(small_disk)
        for view in ["a/row/2000", "a/col/3000"]:
            with mnt.open(view, os.O_RDWR) as fd, refused("ENOSPC"):
                # Large enough for every reserve that the file system may still have.
                for offset in range(0, 4096 * 8, PAGE):
                    os.pwrite(fd, b"x" * PAGE, offset)
        assert mnt.is_alive()
        assert os.pread(row, 6, 0) == b"stored"
        assert os.pread(column, 8, 0) == bytes(8)
        os.pwrite(row, b"STORED", 0)
        assert os.pread(row, 6, 0) == b"STORED"
        filler.unlink()
        subprocess.run(["sync", "-f", small_disk], check=True)
        assert os.pwrite(column, b"fits now", 4000 * 8) == 8
        assert mnt.read("a/slice/4000,9") == b"fits now"


def test_a_hole_of_a_full_disk_can_be_read(small_disk):
    source = small_disk / "source"
    source.mkdir()
    save_sparse(source / "a.npy", (4096, 4096))
    with mounted(source) as mnt:
        fill(small_disk)
        for view in ["a/row/7", "a/col/9", "a/slice/-1,-1"]:
            content = mnt.read(view)
            assert content == bytes(len(content)), view
        with open(source / "a.npy", "rb") as file:
            assert file.read(100_000)[128:] == bytes(99_872)


# --- files that are replaced, appear and go


def replace(array, values):
    """Renames a new array over the file of another, as editors and rsync do."""
    new = save(array.path.with_suffix(".new"), values)
    os.replace(new.path, array.path)
    return ArrayFile(array.path)


def test_after_a_replacement_new_opens_see_the_new_file_and_old_handles_the_old(grid, rng):
    old_row = grid.view().row(3)
    with mounted(grid.path.parent) as mnt, mnt.open(old_row.path, os.O_RDWR) as old:
        for generation in range(3):
            new = replace(grid, np.full((64, 512), float(generation)))
            row = new.view().row(3)
            eventually(lambda row=row: mnt.read(row.path) == row.bytes(), "new opens see the new file", within=2)
            assert os.pread(old, old_row.size, 0) == old_row.bytes()
        os.pwrite(old, b"into the old file", 0)
        assert os.pread(old, 17, 0) == b"into the old file"
        assert not new.differs()
        new = replace(grid, np.arange(6, dtype=">i2").reshape(2, 3))
        eventually(lambda: (mnt / "a/dtype").read_text() == ">i2\n", "the new type shows", within=2)
        check_view(mnt, new.view().at("data"))
        check_view(mnt, new.view().col(-1))


def test_arrays_appear_and_go(grid):
    with mounted(grid.path.parent) as mnt:
        for name in ["b", "c"]:
            assert name not in os.listdir(mnt)
            with refused("ENOENT"):
                os.stat(mnt / name)
            array = save(grid.path.with_name(f"{name}.npy"), np.arange(4.0))
            eventually(lambda name=name: name in os.listdir(mnt), "a new array is listed", within=2)
            eventually(lambda name=name: (mnt / name / "data").exists(), "a new array is there", within=2)
            check_view(mnt, array.view().at("data"))
            array.path.unlink()
            eventually(lambda name=name: not (mnt / name / "data").exists(), "a removed array is gone", within=2)
            eventually(lambda name=name: name not in os.listdir(mnt), "a removed array is not listed", within=2)


def test_folders_appear_and_go(grid):
    folder = grid.path.parent / "sub"
    with mounted(grid.path.parent) as mnt:
        assert not (mnt / "sub").exists()
        folder.mkdir()
        array = save(folder / "b.npy", np.arange(4.0))
        eventually(lambda: (mnt / "sub/b/data").exists(), "a new folder is there", within=2)
        check_view(mnt, array.view("sub/b").row(1))
        array.path.unlink()
        folder.rmdir()
        eventually(lambda: not (mnt / "sub").exists(), "a removed folder is gone", within=2)


def test_an_open_handle_outlives_the_file(grid):
    row = grid.view().row(3)
    with mounted(grid.path.parent) as mnt, mnt.open(row.path) as fd:
        grid.path.unlink()
        eventually(lambda: not (mnt / "a").exists(), "the array is gone", within=2)
        assert os.pread(fd, row.size, 0) == row.bytes()


# --- mounts that are refused


def check_refused(source, mountpoint, *named):
    """Exit status 1, a message that names the paths, and nothing mounted."""
    with cleared(mountpoint):
        answer = afbfs("mount", source, mountpoint)
        message = answer.stderr.decode()
        assert answer.returncode == 1, message
        assert not is_mounted(mountpoint) and not daemons(mountpoint)
        for path in named:
            assert str(path) in message, f"{path} is not named: {message}"


def test_a_mount_point_inside_the_source_is_refused(grid):
    source = grid.path.parent
    inside = source / "mnt"
    inside.mkdir()
    check_refused(source, inside, inside)
    check_refused(source, source, source)


def test_a_source_inside_the_mount_point_is_refused(grid):
    source = grid.path.parent
    check_refused(source, source.parent, source)
    check_refused(grid.path, source, grid.path)


def test_links_do_not_hide_that_the_one_is_inside_the_other(grid, scratch):
    source = grid.path.parent
    (source / "mnt").mkdir()
    (scratch / "alias").symlink_to(source)
    check_refused(source, scratch / "alias/mnt")
    check_refused(scratch / "alias", source / "mnt")
    assert not is_mounted(source / "mnt")


def test_paths_that_cannot_be_mounted_are_named(grid, scratch):
    source = grid.path.parent
    missing, file, fine = scratch / "missing", scratch / "file", scratch / "fine"
    file.write_text("no folder\n")
    fine.mkdir()
    check_refused(source, missing, missing)
    check_refused(source, file, file)
    check_refused(missing, fine, missing)
    fine.rmdir()


# --- the end of a mount


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_unmounts_and_writes_back(grid, number):
    row = grid.view().row(3)
    with mounted(grid.path.parent) as mnt:
        mnt.write(row.path, b"before the signal")
        os.kill(mnt.pid, number)
        eventually(lambda: not is_mounted(mnt) and not daemons(mnt), "the daemon unmounts and ends")
    grid.write(row, 0, b"before the signal")
    assert not grid.differs()


def test_a_signal_while_files_are_open(grid):
    with mounted(grid.path.parent) as mnt:
        with mnt.open("a/row/3", os.O_RDWR) as fd:
            os.pwrite(fd, b"open", 0)
            os.kill(mnt.pid, signal.SIGTERM)
            eventually(lambda: not is_mounted(mnt), "the mount is gone though a file is open")
        eventually(lambda: not daemons(mnt), "the daemon ends once the file is closed")
    grid.write(grid.view().row(3), 0, b"open")
    assert not grid.differs()


def test_a_killed_daemon_leaves_a_mount_that_umount_clears(grid):
    row = grid.view().row(3)
    with mountpoint_for(grid.path.parent) as folder:
        for turn in range(2):
            with cleared(folder) as mnt:
                assert afbfs("mount", grid.path.parent, folder).returncode == 0
                mnt.watch()
                fd = os.open(mnt / row.path, os.O_RDWR)
                os.pwrite(fd, bytes([turn]) * row.size, 0)
                os.fsync(fd)
                os.kill(mnt.pid, signal.SIGKILL)
                eventually(lambda: not daemons(folder), "the daemon is dead")
                with refused("ENOTCONN", "ECONNABORTED"):
                    os.pread(fd, 1, 0)
                with refused("ENOTCONN", "ECONNABORTED"):
                    os.close(fd)
                with refused("ENOTCONN", "ECONNABORTED"):
                    os.listdir(folder)
                assert is_mounted(folder)
                answer = afbfs("umount", folder)
                assert answer.returncode == 0, answer.stderr.decode()
                assert not is_mounted(folder)
        grid.write(row, 0, bytes([1]) * row.size)
        assert not grid.differs()


def test_unmounting_waits_for_what_was_stored_in_mappings(grid):
    row = grid.view().row(3)
    with mounted(grid.path.parent) as mnt:
        script = "import mmap, sys; f = open(sys.argv[1], 'r+b'); m = mmap.mmap(f.fileno(), 0); m[:6] = b'stored'"
        subprocess.run([sys.executable, "-c", script, mnt / row.path], check=True)
        mnt.unmount()
    grid.write(row, 0, b"stored")
    assert not grid.differs()
