"""The command: its output, its exit status, and messages that name the file, the fault and the remedy."""

import contextlib
import json
import os
import re
import signal
import subprocess

import numpy as np
import pytest

from harness import afbfs, binary, cleared, daemons, eventually, is_mounted, mounted, mountpoint_for
from oracle import check_view, json_dtype, save_random

RECORD = [("x", "<f8"), ("y", ">i2", (2,))]


@pytest.fixture
def grid(source, rng):
    return save_random(source / "a.npy", rng, "<f8", (60, 50))


def check(answer, status, *words):
    """The exit status, and words of the message."""
    message = answer.stderr.decode()
    assert answer.returncode == status, message
    for word in words:
        assert str(word) in message, f"{word!r} is not in: {message}"
    assert "panicked" not in message


# --- usage


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["frobnicate"],
        ["mount"],
        ["mount", "only-a-source"],
        ["mount", "a", "b", "c"],
        ["mount", "--frobnicate", "a", "b"],
        ["mount", "--threads", "many", "a", "b"],
        ["mount", "--list-max", "-1", "a", "b"],
        ["mount", "--array", "nonsense", ".", "b"],
        ["mount", "--array", "name=x,file=x.bin,dtype=f4,shape=3,colour=red", ".", "b"],
        ["mount", "--array", "name=x,file=x.bin,dtype=f4,shape=3xz", ".", "b"],
        ["mount", "--array", "name=x,file=x.bin,dtype=quux,shape=3", ".", "b"],
        ["umount"],
        ["ls"],
        ["cat"],
        ["cat", "a"],
        ["path"],
        ["stat"],
        ["stat", "a", "b"],
        ["stat", "--watch", "--json", "a"],
        ["stat", "--watch=0", "a"],
        ["stat", "--arrays=-1", "a"],
        ["doctor", "a", "b", "c"],
        ["expr"],
        ["info"],
    ],
)
def test_wrong_usage_is_status_2(arguments):
    answer = afbfs(*arguments)
    assert (answer.returncode, answer.stdout) == (2, b"")
    assert answer.stderr


def test_help_and_version():
    for arguments in [["--help"], *([name, "--help"] for name in ["mount", "umount", "ls", "info", "cat", "path", "expr"])]:
        answer = afbfs(*arguments)
        assert (answer.returncode, answer.stderr) == (0, b"")
        assert b"Usage" in answer.stdout
    options = afbfs("mount", "--help").stdout.decode()
    for option in ["--foreground", "--read-only", "--allow-other", "--threads", "--list-max", "--array", "--log-file"]:
        assert option in options
    assert re.fullmatch(r"afbfs \d+\.\d+\.\d+\S*\n", afbfs("--version").stdout.decode())


def test_the_mount_knows_the_version_of_the_command(grid):
    with mounted(grid.path.parent) as mnt:
        assert mnt.read(".afbfs/version").split()[-1] == afbfs("--version").stdout.split()[-1]


def test_failures_are_status_1_and_name_the_file(grid, scratch):
    source = grid.path.parent
    missing = scratch / "missing"
    (source / "sick.npy").write_bytes(b"no array")
    check(afbfs("ls", missing), 1, missing)
    check(afbfs("cat", missing, "a/data"), 1, missing)
    check(afbfs("cat", source, "a/row/60"), 1, "a/row/60")
    check(afbfs("cat", source, "b/data"), 1, "b")
    check(afbfs("cat", source, "a/row"), 1, "a/row")
    check(afbfs("cat", source, "sick/data"), 1, "sick")
    check(afbfs("umount", scratch), 1, scratch)
    check(afbfs("umount", missing), 1, missing)


# --- without a mount


def test_ls_shows_name_type_shape_order_and_format(grid, source, rng):
    (source / "sub").mkdir()
    save_random(source / "sub/b.npy", rng, ">i2", (7, 3), "F")
    answer = afbfs("ls", source)
    assert (answer.returncode, answer.stderr) == (0, b"")
    lines = {line.split()[0]: line for line in answer.stdout.decode().splitlines() if line.strip()}
    assert lines["a"] == "a\t<f8\t60x50\tC\t24000\tnpy"
    assert lines["sub/b"] == "sub/b\t>i2\t7x3\tF\t42\tnpy"


def test_ls_of_one_file_and_of_several(grid, source, rng):
    other = save_random(source / "b.npy", rng, "u1", (3,))
    one = afbfs("ls", grid.path).stdout.decode()
    assert "<f8" in one and "u1" not in one
    both = afbfs("ls", grid.path, other.path).stdout.decode()
    assert "<f8" in both and "u1" in both


def test_ls_json_is_the_list_that_the_mount_shows(grid, source, rng):
    record = save_random(source / "record.npy", rng, RECORD, (3,), "F")
    (source / "sub").mkdir()
    save_random(source / "sub/c.npy", rng, "<M8[s]", (2, 2), "F")
    (source / "sick.npy").write_bytes(b"no array")
    answer = afbfs("ls", "--json", source)
    assert answer.stderr == b""
    listed = json.loads(answer.stdout)
    with mounted(source) as mnt:
        assert sorted(listed, key=lambda entry: entry["file"]) == sorted(mnt.arrays(), key=lambda entry: entry["file"])
    entries = {entry["file"]: entry for entry in listed}
    assert set(entries) == {"a.npy", "record.npy", "sub/c.npy", "sick.npy"}
    assert json_dtype(entries["record.npy"]["dtype"]) == record.dtype


def test_ls_names_what_cannot_be_served(grid, source):
    (source / "sick.npy").write_bytes(b"no array")
    answer = afbfs("ls", source)
    assert b"sick.npy" in answer.stdout + answer.stderr


VIEWS = [
    "a/data",
    "a/row/42",
    "a/col/-1",
    "a/T/row/3",
    "a/axis/1/7",
    "a/range/5:90:7",
    "a/slice/3:9,::-2",
    "a/row/3.raw",
    "a.npy/row/0",
]


def test_cat_gives_what_the_mount_gives(grid, source):
    with mounted(source) as mnt:
        for view in [*VIEWS, "a/shape", "a/dtype", "a/info.json", "a/row/5:5"]:
            answer = afbfs("cat", source, view)
            assert (answer.returncode, answer.stderr) == (0, b""), view
            assert answer.stdout == mnt.read(view), view
    assert afbfs("cat", source, "a/row/42").stdout == grid.view().row(42).bytes()


def test_cat_of_one_file(grid):
    for view in VIEWS:
        answer = afbfs("cat", grid.path, view)
        assert (answer.returncode, answer.stdout) == (0, afbfs("cat", grid.path.parent, view).stdout), view


def test_cat_into_a_pipe_that_closes(grid):
    with subprocess.Popen(
        [binary(), "cat", grid.path.parent, "a/data"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as cat:
        assert len(cat.stdout.read(100)) == 100
        cat.stdout.close()
        assert b"panicked" not in cat.stderr.read()
        cat.wait(timeout=20)


@pytest.mark.parametrize(
    "expression",
    [
        "a[42, ::2]",
        "a[42]",
        "a[...]",
        "a[-1]",
        "a[..., 3]",
        "a[1:5, 2:9:3]",
        "a[::-1, ::-1]",
        "a[:, 3]",
        "a[ 1 : 5 , -1 ]",
    ],
)
def test_path_finds_the_file_of_an_expression(grid, expression):
    answer = afbfs("path", expression)
    assert (answer.returncode, answer.stderr) == (0, b"")
    path = answer.stdout.decode()
    assert path.endswith("\n") and path.count("\n") == 1
    wanted = eval(expression, {"a": grid.view().numpy})
    with mounted(grid.path.parent) as mnt:
        assert mnt.read(path.strip()) == np.asarray(wanted).tobytes()


@pytest.mark.parametrize("expression", ["a[1", "a[1,,2]", "a[[1, 2]]", "a[None]", "a[x]", "[1]", "a[1:2:0]", "a[1][2"])
def test_path_refuses_what_is_no_basic_indexing(expression):
    answer = afbfs("path", expression)
    assert answer.returncode in (1, 2) and answer.stdout == b""
    assert re.fullmatch(r"afbfs: .{10,}\n", answer.stderr.decode())


# --- mounting


def test_mounting_lets_go_of_the_terminal_and_of_the_folder(grid):
    # A pipe that the daemon kept would never end, and a working folder that it kept could not be unmounted.
    source = grid.path.parent
    with mountpoint_for(source) as folder, cleared(folder) as mnt:
        check(afbfs("mount", source.name, folder.name, cwd=source.parent, timeout=30), 0)
        try:
            check_view(mnt, grid.view().row(1))
            (pid,) = daemons(folder.name)
            assert os.readlink(f"/proc/{pid}/cwd") == "/"
            assert os.getsid(pid) not in (os.getsid(0), 0)
            assert {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (0, 1, 2)} == {"/dev/null"}
            check(afbfs("umount", folder.name, cwd=source.parent), 0)
            assert not is_mounted(folder)
            eventually(lambda: not daemons(folder.name), "the daemon ends")
        finally:
            for pid in daemons(folder.name):
                os.kill(pid, signal.SIGKILL)


def test_the_mount_is_of_the_type_fuse_afbfs(grid):
    with mounted(grid.path.parent) as mnt:
        line = next(line for line in open("/proc/self/mounts").read().splitlines() if line.split()[1] == str(mnt.path))
        assert line.split()[2] == "fuse.afbfs"
        assert {"nosuid", "nodev"} <= set(line.split()[3].split(","))


def test_two_mounts_of_one_source_see_each_other(grid):
    with mounted(grid.path.parent) as one, mounted(grid.path.parent) as other, other.open("a/col/3") as fd:
        os.pread(fd, 8, 0)
        one.write("a/row/0", np.full(50, 7.0).tobytes())
        assert os.pread(fd, 8, 0) == np.float64(7).tobytes()


def test_a_mount_point_that_is_mounted_already(grid):
    with mounted(grid.path.parent) as mnt:
        again = afbfs("mount", grid.path.parent, mnt)
        if again.returncode == 0:
            check(afbfs("umount", mnt), 0)
            eventually(lambda: len(daemons(mnt)) == 1, "the second daemon ends")
        else:
            check(again, 1, mnt.path)
        assert mnt.read("a/row/1") == grid.view().row(1).bytes()


@contextlib.contextmanager
def in_the_foreground(source, *options, **environment):
    """afbfs mount --foreground, once its mount answers: the process, and the Mount."""
    with mountpoint_for(source) as folder, cleared(folder) as mnt:
        command = [binary(), "mount", "--foreground", *options, source, folder]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | environment
        )
        try:
            eventually(lambda: is_mounted(folder) or process.poll() is not None, "the mount is there")
            assert process.poll() is None, process.stderr.read().decode()
            mnt.watch()
            yield process, mnt
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_in_the_foreground_it_runs_until_a_signal(grid, number):
    with in_the_foreground(grid.path.parent) as (process, mnt):
        assert mnt.pid == process.pid
        check_view(mnt, grid.view().row(1))
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out) == (0, b""), err.decode()
        assert not is_mounted(mnt)


def test_in_the_foreground_it_ends_with_umount(grid):
    with in_the_foreground(grid.path.parent) as (process, mnt):
        check_view(mnt, grid.view().row(1))
        mnt.unmount()
        assert process.wait(timeout=20) == 0


def test_in_the_foreground_failures_are_status_1(grid, scratch):
    check(afbfs("mount", "--foreground", grid.path.parent, scratch / "missing"), 1, scratch / "missing")


def test_rust_log_makes_the_foreground_talk(grid):
    said = {}
    for level in ["off", "debug"]:
        with in_the_foreground(grid.path.parent, RUST_LOG=level) as (process, mnt):
            mnt.read("a/row/1")
            process.send_signal(signal.SIGTERM)
            said[level] = process.communicate(timeout=20)[1]
    assert said["off"] == b""
    assert said["debug"] != b""


def test_the_log_file_names_a_short_overwrite(grid, scratch):
    log = scratch / "log"
    with mounted(grid.path.parent, "--log-file", log) as mnt:
        (mnt / "a/row/3").write_bytes(b"short")
        eventually(lambda: b"a.npy" in log.read_bytes() or b"a/row/3" in log.read_bytes(), "the log names the file")


def test_a_log_file_that_cannot_be_made_is_named(grid, scratch):
    with mountpoint_for(grid.path.parent) as folder, cleared(folder):
        check(
            afbfs("mount", "--log-file", scratch / "no/such/log", grid.path.parent, folder), 1, scratch / "no/such/log"
        )
        assert not is_mounted(folder)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_as_many_threads_as_asked_for(grid, count):
    with mounted(grid.path.parent, "--threads", str(count)) as mnt:
        assert mnt.status("Threads") >= count
        check_view(mnt, grid.view().at("data"))


def test_unmounting_a_busy_mount_does_not_lose_it_or_hang(grid):
    with mounted(grid.path.parent) as mnt:
        with mnt.open("a/row/3", os.O_RDWR) as fd:
            os.pwrite(fd, b"busy", 0)
            answer = afbfs("umount", mnt)
            if answer.returncode:
                check(answer, 1, mnt.path)
                assert os.pread(fd, 4, 0) == b"busy"
        if is_mounted(mnt):
            check(afbfs("umount", mnt), 0)
        eventually(lambda: not daemons(mnt), "the daemon ends")
