"""Unmounting, and mounts beside each other: what is busy and why, what is dead, and what is still to be written."""

import contextlib
import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from harness import (
    afbfs, binary, cleared, daemons, eventually, is_mounted, mounted, mountpoint_for, needs_command, needs_root, run,
)
from oracle import save_random


@pytest.fixture
def grid(source, rng):
    return save_random(source / "a.npy", rng, "<f8", (60, 50))


def said(answer, status=0):
    assert answer.returncode == status, answer.stderr.decode()
    return answer.stderr.decode()


@contextlib.contextmanager
def user_of(script, *arguments, cwd=None):
    """A program in Python that says when it is ready, and ends with the block."""
    script += "\nprint('ready', flush=True)\nsys.stdin.read()"
    command = [sys.executable, "-c", "import mmap, os, sys\n" + script, *map(os.fspath, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=cwd) as process:
        try:
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.stdin.close()
            process.wait(timeout=20)


USES = [
    ("os.chdir(sys.argv[1])", "a/row", "works in {path}"),
    ("f = os.open(sys.argv[1], os.O_RDONLY)", "a/row/3", "has {path} open"),
    ("f = os.open(sys.argv[1], os.O_RDONLY); m = mmap.mmap(f, 0, prot=mmap.PROT_READ); os.close(f)", "a/row/5", "maps {path}"),
]


@pytest.mark.parametrize(("script", "name", "use"), USES, ids=["works", "open", "mapped"])
def test_what_keeps_a_mount_busy_is_named(grid, script, name, use):
    with mounted(grid.path.parent) as mnt:
        with user_of(script, mnt / name) as process:
            message = said(afbfs("umount", mnt), 1)
            wanted = rf"^  {process.pid} python\S*: .*{re.escape(use.format(path=mnt / name))}"
            assert re.search(wanted, message, re.MULTILINE), message
            assert f"{mnt.path}: busy" in message and f"afbfs umount --lazy {mnt.path}" in message and "wait" in message
            assert is_mounted(mnt)
        said(afbfs("umount", mnt))
        assert not is_mounted(mnt)


def test_a_mount_in_it_is_named(grid):
    needs_root()
    with mounted(grid.path.parent) as mnt:
        assert run("mount", "-t", "tmpfs", "inner", mnt / "a").returncode == 0
        try:
            assert f"  {mnt / 'a'}: is mounted in it" in said(afbfs("umount", mnt), 1)
        finally:
            assert run("umount", mnt / "a").returncode == 0


def test_lazily_it_goes_at_once_and_ends_with_its_last_user(grid):
    row = grid.view().row(3)
    with mounted(grid.path.parent) as mnt:
        with user_of("f = open(sys.argv[1], 'rb')", mnt / row.path):
            said(afbfs("umount", "--lazy", mnt))
            assert not is_mounted(mnt) and daemons(mnt)
        eventually(lambda: not daemons(mnt), "the daemon ends with the last program")


def test_a_dead_mount_is_cleared_and_that_is_said(grid):
    with mountpoint_for(grid.path.parent) as folder, cleared(folder) as mnt:
        for ways in [["umount"], ["mount", grid.path.parent]]:
            said(afbfs("mount", grid.path.parent, folder))
            mnt.watch()
            os.kill(mnt.pid, signal.SIGKILL)
            eventually(lambda: not daemons(folder), "the daemon is dead")
            assert "whose process had died" in said(afbfs(*ways, folder))
        assert mnt.read("a/row/1") == grid.view().row(1).bytes()
        said(afbfs("umount", folder))


def test_other_programs_unmount_it(grid):
    needs_root()
    for command in [["umount"], ["fusermount3", "-u"], ["umount", "--lazy"]]:
        with mounted(grid.path.parent) as mnt:
            done = run(*command, mnt)
            assert done.returncode == 0, done.stderr.decode()
            assert not is_mounted(mnt)
            eventually(lambda mnt=mnt: not daemons(mnt), "the daemon ends")


def goes_by_itself(source, *options):
    """Whether a mount goes whose process is killed."""
    with mounted(source, *options) as mnt:
        assert mnt.read("a/shape") == b"60 50\n"
        os.kill(mnt.pid, signal.SIGKILL)
        eventually(lambda: not daemons(mnt), "the daemon is dead")
        end = time.monotonic() + 5
        while is_mounted(mnt) and time.monotonic() < end:
            time.sleep(0.01)
        gone = not is_mounted(mnt)
        mnt.clear()
        return gone


def test_with_auto_unmount_a_dead_mount_goes_by_itself(grid):
    source = grid.path.parent
    for options in [["--auto-unmount"], ["-o", "auto_unmount"]]:
        # fusermount3 may be led astray by other mounts that come and go at the moment.
        assert any(goes_by_itself(source, *options) for _ in range(5)), options
    assert not goes_by_itself(source)
    # An ordinary end is none.
    with mounted(source, "--auto-unmount") as mnt:
        mnt.unmount()


def test_what_is_still_to_be_written_back_is_told(rng):
    needs_root()
    strace = needs_command("strace")
    # Not in memory alone, where nothing waits for a disk.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        source = Path(folder, "source")
        source.mkdir()
        np.save(source / "a.npy", np.zeros((1024, 1024)))
        os.sync()
        with mounted(source) as mnt:
            mnt.write("a/data", bytes([1]) * (8 << 20))
            slow = [strace, "-f", "-p", str(mnt.pid), "-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:delay_enter=1500000"]
            with subprocess.Popen([*slow, "-o", "/dev/null"], stderr=subprocess.PIPE) as tracer:
                assert b"attached" in tracer.stderr.readline()
                message = said(afbfs("umount", mnt))
                tracer.wait(timeout=20)
            assert not is_mounted(mnt) and not daemons(mnt)
    found = re.search(r"(\d+\.\d) MiB in 1 file are still to be written back", message)
    assert found or "waiting until everything is written back" in message, message
    if tuple(map(int, os.uname().release.split(".")[:2])) >= (6, 5):
        # The kernel may have begun by itself.
        assert 0 < float(found[1]) <= 8.1


def test_what_is_written_back_soon_is_not_told(grid):
    with mounted(grid.path.parent) as mnt:
        mnt.write("a/row/0", bytes(400))
        answer = afbfs("umount", mnt)
        assert said(answer) == "" and answer.stdout == b""


def test_programs_that_show_mounts_and_open_files(grid):
    lsof = needs_command("lsof")
    source = grid.path.parent
    with mounted(source) as mnt, mnt.open("a/row/3") as fd:
        here, there = os.statvfs(mnt.path), os.statvfs(source)
        assert (here.f_frsize, here.f_blocks, here.f_files) == (there.f_frsize, there.f_blocks, there.f_files)
        # The number of FUSE, which the kernel gives.
        assert run("stat", "--file-system", "--format=%t", mnt.path).stdout == b"65735546\n"
        name, kind, blocks = run("df", "--output=source,fstype,size", mnt.path).stdout.decode().splitlines()[1].split()
        assert (name, kind, int(blocks)) == (str(source), "fuse.afbfs", there.f_blocks * there.f_frsize // 1024)
        shown = run(lsof, "-a", "-p", str(os.getpid()), "--", mnt / "a/row/3").stdout.decode().splitlines()[1].split()
        assert f"{fd}r" in shown and str(mnt / "a/row/3") in shown and str(grid.view().row(3).size) in shown


def test_many_mounts_at_once_each_by_itself(grid, scratch):
    source = grid.path.parent
    with contextlib.ExitStack() as stack:
        mounts = [stack.enter_context(mounted(source, *options)) for options in [[], ["-r"], ["-o", "list_max=3"]]]
        assert len({os.stat(mnt.path).st_dev for mnt in mounts}) == 3
        for mnt in mounts:
            assert mnt.read("a/row/1") == grid.view().row(1).bytes()
        # A second one at one place is refused, whatever it is of.
        for again in [source, scratch]:
            assert "are mounted there already" in said(afbfs("mount", again, mounts[0]), 1)
        mounts[1].unmount()
        assert mounts[0].read("a/row/2") == mounts[2].read("a/row/2")


def test_the_background_process_keeps_nothing_that_its_caller_had_open(grid, scratch):
    lock = scratch / "lock"
    lock.touch()
    with mountpoint_for(grid.path.parent) as folder, cleared(folder) as mnt:
        fd = os.open(lock, os.O_RDWR)
        fcntl.flock(fd, fcntl.LOCK_EX)
        ours, theirs = os.pipe()
        command = [binary(), "mount", grid.path.parent, folder]
        done = subprocess.run(command, pass_fds=[fd, theirs], capture_output=True, timeout=60, check=False)
        said(done)
        mnt.watch()
        os.close(fd)
        os.close(theirs)
        # The pipe has ended, and the lock is free.
        assert os.read(ours, 1) == b""
        os.close(ours)
        with lock.open() as again:
            fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
        said(afbfs("umount", folder))


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_a_service_manager_is_told(grid, scratch, abstract):
    name = f"@afbfs-test-{os.getpid()}" if abstract else str(scratch / "notify")
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told,
        mountpoint_for(grid.path.parent) as folder,
        cleared(folder) as mnt,
    ):
        told.bind(name.replace("@", "\0", 1))
        told.settimeout(30)
        command = [binary(), "mount", "--foreground", grid.path.parent, folder]
        with subprocess.Popen(command, env=os.environ | {"NOTIFY_SOCKET": name}, stderr=subprocess.DEVNULL) as process:
            try:
                state = told.recv(1000).decode().splitlines()
                assert state == ["READY=1", f"STATUS={grid.path.parent} mounted at {folder}"]
                assert mnt.read("a/row/1") == grid.view().row(1).bytes()
                process.terminate()
                assert told.recv(1000).startswith(b"STOPPING=1\n")
                assert process.wait(timeout=30) == 0
            finally:
                process.kill()
        assert not is_mounted(folder)
