"""Mounts of an ordinary user, through fusermount3. All programs here run as that user, as root may not enter such a mount."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from harness import NOBODY, afbfs, eventually, is_mounted, mounted, needs_root, ordinary_user, run, unavailable
from oracle import save_random

VIEWS = ["data", "row/3", "col/-1", "T/row/2", "range/2:9", "slice/1,::2", "row/3.npy", "data.txt", "data.csv", "data.json"]
VIEWS += ["data.tif", "data.fits", "data.nii", "data.nrrd", "data.mat", "data.png", "as/f4/row/3", "as/u1/data.pgm", "shape"]


@pytest.fixture
def user():
    with ordinary_user() as user:
        yield user


@pytest.fixture
def array(source, rng, user):
    """An array that belongs to the user."""
    array = save_random(source / "a.npy", rng, "<f8", (8, 5))
    if user:
        for path in [source, array.path]:
            os.chown(path, NOBODY, NOBODY)
    if run("ls", source, **user).returncode:
        unavailable(f"other users cannot enter {source}")
    return array


def as_user(user, *command, data=None):
    """What a program says that must succeed."""
    done = run(*command, input=data, **user)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def threads(pid):
    for task in Path(f"/proc/{pid}/task").iterdir():
        lines = (task / "status").read_text().splitlines()
        yield {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def test_mounting_reading_writing_and_unmounting(array, source, user):
    with mounted(source, **user) as mnt:
        line = next(line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f" {mnt.path} " in line)
        assert {"nosuid", "nodev"} <= set(line.split()[5].split(","))
        assert f"user_id={user.get('user', os.geteuid())}," in line and "default_permissions" in line
        assert as_user(user, "cat", mnt / "a/row/3") == array.path.read_bytes()[128 + 120 : 128 + 160]
        as_user(user, "dd", f"of={mnt / 'a/row/0'}", "conv=notrunc", "status=none", data=bytes(40))
        as_user(user, "tee", mnt / "a/row/1.txt", data=b"1 2 3 4 5")
        as_user(user, "cp", mnt / "a/row/1.npy", mnt / "a/row/2.npy")
        assert np.load(array.path)[:3].tolist() == [[0] * 5, [1, 2, 3, 4, 5], [1, 2, 3, 4, 5]]
        mnt.unmount()
        assert not is_mounted(mnt.path)
    assert run("ls", source, **user).returncode == 0


def test_all_forms_are_those_that_root_sees(array, source, user):
    needs_root()
    with mounted(source) as theirs, mounted(source, **user) as ours:
        seen = {view: (theirs / "a" / view).read_bytes() for view in VIEWS}
        for view, content in seen.items():
            assert as_user(user, "cat", ours / "a" / view) == content, view


def test_no_thread_can_gain_a_right_but_the_one_that_unmounts(array, source, user):
    with mounted(source, **user) as mnt:
        assert as_user(user, "cat", mnt / "a/shape") == b"8 5\n"
        found = list(threads(mnt.pid))
        assert len(found) >= 7
        for thread in found:
            assert {thread[key] for key in ["CapPrm", "CapEff", "CapInh", "CapAmb"]} == {"0" * 16}, thread["Name"]
            # It runs fusermount3.
            assert thread["NoNewPrivs"] == ("0" if thread["Name"] == "unmounter" else "1"), thread["Name"]


def test_a_signal_unmounts(array, source, user):
    with mounted(source, **user) as mnt:
        os.kill(mnt.pid, signal.SIGTERM)
        eventually(lambda: not is_mounted(mnt.path) and not mnt.is_alive(), "unmounted, and the process has ended")


def test_a_mount_whose_process_has_died_is_cleared(array, source, user):
    with mounted(source, **user) as mnt:
        os.kill(mnt.pid, signal.SIGKILL)
        eventually(lambda: not mnt.is_alive(), "the process has ended")
        assert is_mounted(mnt.path)
        assert afbfs("umount", mnt.path, **user).returncode == 0
        assert not is_mounted(mnt.path)


def test_a_read_only_mount_takes_no_writes(array, source, user):
    before = array.path.read_bytes()
    with mounted(source, "--read-only", **user) as mnt:
        assert as_user(user, "cat", mnt / "a/data.npy") == before
        assert b"Read-only" in run("dd", f"of={mnt / 'a/row/0'}", "conv=notrunc", input=bytes(40), **user).stderr
    assert array.path.read_bytes() == before


def test_files_that_the_user_may_not_read_are_not_read(array, source, user):
    needs_root()
    os.chown(array.path, 0, 0)
    array.path.chmod(0o600)
    with mounted(source, **user) as mnt:
        assert run("cat", mnt / "a/data", **user).returncode != 0
        assert run("cat", mnt / "a/row/3.txt", **user).returncode != 0


def test_nobody_else_enters_not_even_root(array, source, user):
    needs_root()
    with mounted(source, **user) as mnt:
        with pytest.raises(PermissionError):
            os.listdir(mnt.path)
        assert as_user(user, "ls", mnt)


def test_other_users_are_let_in_only_where_the_machine_allows_it(array, source, user):
    conf = Path("/etc/fuse.conf")
    allowed = conf.exists() and "user_allow_other" in map(str.strip, conf.read_text().splitlines())
    if allowed:
        with mounted(source, "--allow-other", **user) as mnt:
            assert os.listdir(mnt.path)
    else:
        point = source.parent / "point"
        point.mkdir()
        os.chown(point, user.get("user", -1), -1)
        answer = afbfs("mount", "--allow-other", source, point, **user)
        assert answer.returncode == 1 and b"user_allow_other" in answer.stderr
        assert not is_mounted(point)
