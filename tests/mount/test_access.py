"""Who may read and write a view: whoever may read and write the array file, by mode or by access list."""

import os
import pwd
import stat

import pytest

from harness import as_nobody, mounted, needs_command, needs_root, run, unavailable
from oracle import save_random

DAEMON = pwd.getpwnam("daemon").pw_uid


@pytest.fixture
def grid(source, rng):
    needs_root()
    array = save_random(source / "a.npy", rng, "<f8", (8, 5))
    if as_nobody("ls", source).returncode:
        unavailable(f"other users cannot enter {source}")
    return array


def may_read(path):
    return as_nobody("cat", path).returncode == 0


def may_write(path):
    return (
        as_nobody("dd", f"of={path}", "conv=notrunc", "status=none", "if=/dev/zero", "bs=8", "count=1").returncode == 0
    )


def set_acl(path, *entries):
    setfacl = needs_command("setfacl")
    done = run(setfacl, "-m", ",".join(entries), path)
    if b"not supported" in done.stderr:
        unavailable(f"the file system of {path} has no access lists")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "mode, reads, writes", [(0o600, False, False), (0o644, True, False), (0o666, True, True), (0o622, False, True)]
)
def test_other_users_may_what_the_mode_says(grid, mode, reads, writes):
    grid.path.chmod(mode)
    with mounted(grid.path.parent, "--allow-other") as mnt:
        for view in ["a/data", "a/row/3", "a/T/slice/2"]:
            assert may_read(mnt / view) == reads, view
            assert may_write(mnt / view) == writes, view


def test_the_owner_may_what_the_mode_says(grid):
    os.chown(grid.path, 65534, 0)
    grid.path.chmod(0o600)
    with mounted(grid.path.parent, "--allow-other") as mnt:
        assert may_read(mnt / "a/row/3") and may_write(mnt / "a/row/3")
        grid_of_root = mnt / "a/data"
        assert stat.S_IMODE(grid_of_root.stat().st_mode) == 0o600


def test_without_allow_other_nobody_else_enters(grid):
    grid.path.chmod(0o666)
    with mounted(grid.path.parent) as mnt:
        assert not may_read(mnt / "a/data")
        assert as_nobody("ls", mnt).returncode != 0


def test_a_folder_that_others_cannot_enter_stays_closed(grid):
    private = grid.path.parent / "private"
    private.mkdir(mode=0o700)
    (private / "b.npy").write_bytes(grid.path.read_bytes())
    with mounted(grid.path.parent, "--allow-other") as mnt:
        assert may_read(mnt / "a/data")
        assert not may_read(mnt / "private/b/data")
        assert as_nobody("ls", mnt / "private").returncode != 0


def test_the_list_of_all_arrays_betrays_no_private_folder(grid):
    private = grid.path.parent / "private"
    private.mkdir(mode=0o700)
    (private / "secret_name.npy").write_bytes(grid.path.read_bytes())
    with mounted(grid.path.parent, "--allow-other") as mnt:
        assert b"secret_name" in mnt.read(".afbfs/arrays.json")
        assert b"secret_name" not in as_nobody("cat", mnt / ".afbfs/arrays.json").stdout


def test_an_access_list_lets_a_user_in(grid):
    grid.path.chmod(0o600)
    set_acl(grid.path, "u:nobody:r")
    with mounted(grid.path.parent, "--allow-other") as mnt:
        assert may_read(mnt / "a/row/3")
        assert not may_write(mnt / "a/row/3")
        assert may_read(grid.path) and not may_write(grid.path)


def test_an_access_list_keeps_a_user_out(grid):
    grid.path.chmod(0o666)
    set_acl(grid.path, "u:nobody:-")
    with mounted(grid.path.parent, "--allow-other") as mnt:
        assert not may_read(mnt / "a/row/3")
        assert not may_write(mnt / "a/row/3")


def test_the_mask_of_an_access_list_is_not_taken_for_the_group(grid):
    # The group bits that stat shows are the mask, rw; the file's group itself has no right.
    os.chown(grid.path, 0, 65534)
    grid.path.chmod(0o600)
    set_acl(grid.path, f"u:{DAEMON}:rw")
    assert stat.S_IMODE(grid.path.stat().st_mode) == 0o660
    with mounted(grid.path.parent, "--allow-other") as mnt:
        assert stat.S_IMODE((mnt / "a/data").stat().st_mode) == 0o660
        assert not may_read(mnt / "a/row/3")
        assert not may_write(mnt / "a/row/3")


def test_getfacl_shows_the_list_of_the_array_file(grid):
    getfacl = needs_command("getfacl")
    grid.path.chmod(0o640)
    set_acl(grid.path, "u:nobody:rw", f"u:{DAEMON}:r", "g:daemon:-")
    with mounted(grid.path.parent, "--allow-other") as mnt:
        ours, theirs = (
            run(getfacl, "--omit-header", "--absolute-names", path) for path in (mnt / "a/row/3", grid.path)
        )
        assert (ours.returncode, ours.stdout) == (0, theirs.stdout)
        assert b"user:nobody:rw-" in ours.stdout


def test_a_file_of_an_array_in_many_is_as_private_as_it_is(source):
    needs_root()
    if as_nobody("ls", source).returncode:
        unavailable(f"other users cannot enter {source}")
    zarr = pytest.importorskip("zarr")
    array = zarr.create_array(str(source / "z.zarr"), shape=(4, 4), chunks=(2, 2), dtype="u1", compressors=None)
    array[:] = 7
    with mounted(source, "--allow-other") as mnt:
        assert may_read(mnt / "z.zarr/row/0") and may_read(mnt / "z.zarr/row/3")
    (source / "z.zarr/c/1/0").chmod(0o600)
    with mounted(source, "--allow-other") as mnt:
        assert may_read(mnt / "z.zarr/row/0") and not may_read(mnt / "z.zarr/row/3")
    (source / "z.zarr/c/1/0").chmod(0o644)
    (source / "z.zarr/c/1").chmod(0o700)
    with mounted(source, "--allow-other") as mnt:
        assert may_read(mnt / "z.zarr/row/0") and not may_read(mnt / "z.zarr/row/3")
    # For oneself there is nothing to check.
    with mounted(source) as mnt:
        assert mnt.read("z.zarr/row/3") == bytes([7] * 4)
