"""Owners and modes that the mount shows by option, and who is let in by them."""

import os
import stat

import pytest

from harness import NOBODY, afbfs, as_nobody, mounted, needs_command, needs_root, ordinary_user, run
from machine import machine
from oracle import save_random


@pytest.fixture
def grid(source, rng):
    array = save_random(source / "a.npy", rng, "<f8", (6, 5))
    os.chmod(array.path, 0o640)
    os.chmod(source, 0o750)
    return array


def shown(path):
    found = os.stat(path)
    return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)


def test_owner_group_and_mode_are_those_asked_for(grid):
    own = os.getuid(), os.getgid()
    for options in [["--uid", "1234", "--gid", "99", "--umask", "027"], ["-o", "uid=1234,gid=99,umask=27"]]:
        with mounted(grid.path.parent, *options) as mnt:
            for folder in [".", "a", "a/row", "a/T"]:
                assert shown(mnt / folder) == (1234, 99, 0o750), folder
            for file in ["a/data", "a/row/1", "a/col/1.txt"]:
                assert shown(mnt / file) == (1234, 99, 0o640), file
            for file in ["a/shape", "a/info.json", "a/data.png"]:
                assert shown(mnt / file) == (1234, 99, 0o440), file
            assert shown(mnt / ".afbfs/arrays.json") == (own[0], 99, 0o400)
    # Each by itself.
    for options, wanted in [
        (["--uid", "7"], (7, own[1], 0o640)),
        (["--gid", "7"], (own[0], 7, 0o640)),
        (["--umask", "0"], (*own, 0o666)),
        (["--umask", "0", "-r"], (*own, 0o444)),
    ]:
        with mounted(grid.path.parent, *options) as mnt:
            assert shown(mnt / "a/row/1") == wanted, options


def test_the_kernel_checks_what_is_shown(grid):
    needs_root()
    os.chmod(grid.path, 0o600)
    os.chmod(grid.path.parent, 0o700)
    with mounted(grid.path.parent, "--allow-other") as mnt:
        assert as_nobody("cat", mnt / "a/row/1").returncode != 0
    with mounted(grid.path.parent, "-o", f"allow_other,uid={NOBODY}") as mnt:
        assert as_nobody("cat", mnt / "a/row/1").stdout == grid.view().row(1).bytes()
        # What names private folders is still for who mounted.
        assert as_nobody("cat", mnt / ".afbfs/arrays.json").returncode != 0
    with mounted(grid.path.parent, "-o", "allow_other,umask=022") as mnt:
        assert as_nobody("cat", mnt / "a/row/1").stdout == grid.view().row(1).bytes()
        assert as_nobody("dd", "if=/dev/zero", f"of={mnt / 'a/row/1'}", "bs=8", "count=1", "conv=notrunc").returncode != 0
    with mounted(grid.path.parent, "-o", "allow_other,umask=077") as mnt:
        assert as_nobody("ls", mnt).returncode != 0


def test_with_a_mask_access_lists_count_no_more(grid):
    needs_root()
    setfacl, getfacl = needs_command("setfacl"), needs_command("getfacl")
    os.chmod(grid.path.parent, 0o755)
    assert run(setfacl, "-m", f"u:{NOBODY}:rw", grid.path).returncode == 0
    with mounted(grid.path.parent, "--allow-other") as mnt:
        assert as_nobody("cat", mnt / "a/row/1").returncode == 0
    with mounted(grid.path.parent, "--allow-other", "--umask", "007") as mnt:
        assert as_nobody("cat", mnt / "a/row/1").returncode != 0
        assert b"user:nobody" not in run(getfacl, mnt / "a/data").stdout


def test_nobody_gets_more_than_the_user_who_mounts_may(grid):
    os.chmod(grid.path.parent, 0o755)
    with ordinary_user() as user:
        if not user:
            pytest.skip("the files are the user's own")
        with mounted(grid.path.parent, "--umask", "0", **user) as mnt:
            # Shown as readable, by a process that cannot open it.
            assert run("cat", mnt / "a/row/1", **user).returncode != 0
            assert run("ls", mnt, **user).stdout == b"a\n"
        os.chmod(grid.path, 0o644)
        with mounted(grid.path.parent, "--umask", "0", **user) as mnt:
            assert run("cat", mnt / "a/row/1", **user).stdout == grid.view().row(1).bytes()
            assert run("dd", "if=/dev/zero", f"of={mnt / 'a/row/1'}", "bs=8", "count=1", "conv=notrunc", **user).returncode != 0


def test_root_alone_is_let_in(grid, scratch):
    needs_root()
    source = grid.path.parent
    os.chmod(source, 0o755)
    os.chmod(grid.path, 0o644)
    with mounted(source, "--allow-root") as mnt:
        assert mnt.read("a/row/1") == grid.view().row(1).bytes()
        assert as_nobody("ls", mnt).returncode != 0
        assert as_nobody("cat", mnt / "a/row/2").returncode != 0
    point = scratch / "point"
    point.mkdir()
    os.chown(point, NOBODY, NOBODY)
    with ordinary_user(), machine(scratch, fuse_conf="user_allow_other\n") as m:
        m.does("afbfs", "mount", "-o", "allow_root", source, point, user=NOBODY)
        assert m.does("ls", point).split() == m.does("ls", point, user=NOBODY).split() == ["a"]
        assert m.run("ls", point, user=1).returncode != 0
        m.does("afbfs", "umount", point, user=NOBODY)
        assert m.gone(point)


def test_who_is_let_in_is_one_or_the_other(grid, scratch):
    assert afbfs("mount", "--allow-root", "--allow-other", grid.path.parent, scratch).returncode == 2
    answer = afbfs("mount", "-o", "allow_root,allow_other", grid.path.parent, scratch)
    assert answer.returncode == 1 and b"exclude each other" in answer.stderr
