"""Who may read and write a view: whoever may read and write the array file, by mode or by access list."""

import os
import pwd
import stat

import pytest

from harness import as_nobody, eventually, mounted, needs_command, needs_root, run, unavailable
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


# All that shows something of an array.
VIEWS = [
    "a/data", "a/row/3", "a/T/row/2", "a/range/2:9", "a/slice/1,::2", "a/row/3.npy", "a/row/3.raw", "a/data.txt", "a/data.csv",
    "a/data.json", "a/data.tif", "a/data.fits", "a/data.nii", "a/data.nrrd", "a/data.mat", "a/data.wav", "a/data.vrt",
    "a/data.png", "a/as/f4/row/3", "a/as/u1/data.pgm", "a/value/data", "a/value/row/3.txt", "a/info.json", "a/shape",
    "a/dtype", "a/T/shape", "a.npy/row/3", "sick/error",
]  # fmt: skip
LISTS = ["a", "a/row", "a/T", "sick"]


@pytest.fixture
def everything(source, rng):
    """An array with views of many kinds, and a file that is none."""
    needs_root()
    needs_command("getfattr")
    array = save_random(source / "a.npy", rng, "<f8", (8, 5))
    (source / "sick.npy").write_bytes(b"\x93NUMPY\x01\0")
    if as_nobody("ls", source).returncode:
        unavailable(f"other users cannot enter {source}")
    return array


def views_of(mnt):
    """The views that there are, as root sees them."""
    found = [view for view in VIEWS if (mnt / view).exists()]
    assert len(found) > 20, found
    return found


def may_see(mnt, view):
    """Whether a user reads anything of a view: its bytes, or the facts that its attributes tell."""
    attribute = as_nobody("getfattr", "-n", "user.afbfs.shape", mnt / view).returncode == 0
    return may_read(mnt / view) or attribute


def close_by_mode(source):
    for name in ["a.npy", "sick.npy"]:
        (source / name).chmod(0o600)


def close_by_group(source):
    for name in ["a.npy", "sick.npy"]:
        os.chown(source / name, 0, 65534)
        (source / name).chmod(0o604)


def close_by_access_list(source):
    for name in ["a.npy", "sick.npy"]:
        (source / name).chmod(0o644)
        set_acl(source / name, "u:nobody:-")


def close_folder(source):
    source.chmod(0o700)


def close_folder_by_access_list(source):
    set_acl(source, "u:nobody:-")


@pytest.mark.parametrize(
    "close", [close_by_mode, close_by_group, close_by_access_list, close_folder, close_folder_by_access_list]
)
@pytest.mark.parametrize("options", [[], ["--cache", "pages"], ["--read-only"]], ids=["none", "pages", "read-only"])
def test_who_may_not_read_a_file_sees_none_of_its_views(everything, source, close, options):
    with mounted(source, "--allow-other", *options) as mnt:
        views = views_of(mnt)
        unseen = [view for view in views if not may_see(mnt, view)]
        assert not unseen, "they can be seen before"
        # Root has them all read, and in the kernel's cache.
        for view in views:
            mnt.read(view)
    close(source)
    with mounted(source, "--allow-other", *options) as mnt:
        for view in views:
            mnt.read(view)
        seen = [view for view in views if may_see(mnt, view)]
        listed = [name for name in LISTS if as_nobody("ls", mnt / name).returncode == 0]
        assert not seen and not listed


def test_rights_that_are_taken_away_are_gone_within_a_second(everything, source):
    with mounted(source, "--allow-other") as mnt:
        assert may_read(mnt / "a/row/3.txt")
        (source / "a.npy").chmod(0o600)
        eventually(lambda: not may_read(mnt / "a/row/3.txt"), "the mode is seen", within=2)
        (source / "a.npy").chmod(0o644)
        eventually(lambda: may_read(mnt / "a/row/3.txt"), "the mode is seen", within=2)


@pytest.mark.parametrize("how", ["mode", "list", "mount"])
def test_who_may_not_write_a_file_writes_through_no_form(everything, source, how):
    (source / "a.npy").chmod(0o644 if how == "mode" else 0o666)
    if how == "list":
        set_acl(source / "a.npy", "u:nobody:r")
    before = (source / "a.npy").read_bytes()
    with mounted(source, "--allow-other", *(["--read-only"] if how == "mount" else [])) as mnt:
        for view in views_of(mnt):
            assert may_read(mnt / view) and not may_write(mnt / view), view
            assert as_nobody("truncate", "-s", "0", mnt / view).returncode != 0, view
        for command in [["touch"], ["chmod", "666"], ["rm", "-f"], ["setfattr", "-n", "user.x", "-v", "1"]]:
            assert as_nobody(*command, mnt / "a/row/3").returncode != 0, command
    assert (source / "a.npy").read_bytes() == before
