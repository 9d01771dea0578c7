"""`--cow`: the array files never change, and every view shows what was written."""

import fcntl
import mmap
import os
import zipfile

import numpy as np
import pytest

from harness import NOBODY, afbfs, as_nobody, eventually, is_mounted, mounted, mountpoint_for, needs_root, refused, run
from oracle import check_view, random_view, save, save_random
from overlays import commit, diff, end_suddenly, poke, state, zarr_array


@pytest.fixture
def unchanged(source):
    """The source is the same after the test as it is now: call it when the files are made."""
    before = {}

    def note():
        before.update(state(source))

    yield note
    assert before and state(source) == before


@pytest.fixture
def keep(scratch):
    return scratch / "changes"


@pytest.fixture
def grid(source, rng):
    return save_random(source / "a.npy", rng, "<f8", (64, 1024))


def test_random_writes_through_all_views(grid, unchanged, rng):
    other = save_random(grid.path.parent / "s.npy", rng, [("x", "<i2"), ("y", "<c8", (3,))], (40, 50), "F")
    unchanged()
    with mounted(grid.path.parent, "--cow") as mnt:
        for turn in range(300):
            array = grid if turn % 2 else other
            view = random_view(rng, array.view())
            if view.size:
                offset = int(rng.integers(view.size))
                poke(mnt, array, view, offset, rng.bytes(min(int(rng.integers(1, 9000)), view.size - offset)))
            check_view(mnt, random_view(rng, array.view()), rng, preads=3)
        for array in (grid, other):
            check_view(mnt, array.view().at("data"))
        assert {entry["file"] for entry in diff(mnt)} == {"a.npy", "s.npy"}


def test_forms_types_and_mappings(grid, unchanged, rng):
    image = save(grid.path.parent / "i.npy", rng.integers(0, 256, (30, 40), np.uint8))
    unchanged()
    with mounted(grid.path.parent, "--cow") as mnt:
        values = rng.random((64, 1024))
        np.save(mnt / "a/data.npy", values)
        assert (np.load(mnt / "a/data.npy") == values).all()
        np.savetxt(mnt / "a/row/3.txt", np.arange(1024.0))
        values[3] = np.arange(1024)
        (mnt / "a/as/f4/row/5").write_bytes(np.full(1024, 0.5, "<f4").tobytes())
        values[5] = 0.5
        (mnt / "a/T/row/7").write_bytes(np.zeros(64).tobytes())
        values[:, 7] = 0
        with mnt.open("a/data", os.O_RDWR) as fd, mmap.mmap(fd, 0) as mapping:
            mapping[8192 * 9 : 8192 * 10] = values[8].tobytes()
            values[9] = values[8]
            mapping.flush()
            assert mnt.read("a/row/9") == values[9].tobytes()
            mnt.write("a/row/9", b"abcdefgh", 16)
            assert mapping[8192 * 9 + 16 : 8192 * 9 + 24] == b"abcdefgh"
            values[9, 2] = np.frombuffer(b"abcdefgh")[0]
        assert mnt.read("a/data") == values.tobytes()
        assert (np.memmap(mnt / "a/data", "<f8", "r", shape=(64, 1024)) == values).all()
        picture = run("sh", "-c", 'cat "$1/i/T/data.png" > "$1/../p.png"; cat "$1/i/data.pgm"', "sh", mnt)
        assert picture.stdout.endswith(image.view().bytes())
        (mnt / "i/data.pgm").write_bytes(b"P5\n40 30\n255\n" + bytes(1200))
        assert mnt.read("i/data") == bytes(1200)
        png = mnt.read("i/data.png")
        (mnt / "i/row/0").write_bytes(bytes(range(40)))
        (mnt / "i/data.png").write_bytes(png)
        assert mnt.read("i/data") == bytes(1200)


def test_containers_and_files_that_others_may_not_write(source, unchanged, rng):
    np.savez(source / "z.npz", a=np.arange(5000.0), b=np.arange(6))
    (source / "t.bin").write_bytes(bytes(3000))
    (source / "t.bin.toml").write_text('dtype = "i2"\nshape = [3, 100]\noffset = 17\n')
    for path in source.iterdir():
        path.chmod(0o444)
    source.chmod(0o555)
    unchanged()
    with mounted(source, "--cow", "--update-checksums") as mnt:
        assert (mnt / "t/data").stat().st_mode & 0o777 == 0o666
        (mnt / "t/row/1").write_bytes(np.arange(100, dtype="<i2").tobytes())
        assert np.frombuffer(mnt.read("t/data"), "<i2").reshape(3, 100)[1].tolist() == list(range(100))
        (mnt / "z/a/range/10:20").write_bytes(np.zeros(10).tobytes())
        assert np.frombuffer(mnt.read("z/a/data"))[8:22].tolist() == [8, 9, *[0] * 10, 20, 21]
    with mounted(source, "--cow") as mnt, refused("EROFS"):
        mnt.open("z/a/data", os.O_WRONLY).__enter__()


def test_checksums_are_kept_true_in_the_overlay(source, scratch, keep):
    np.savez(source / "z.npz", a=np.arange(5000.0))
    with mounted(source, "--cow-dir", keep, "--update-checksums") as mnt:
        (mnt / "z/a/range/10:20").write_bytes(np.zeros(10).tobytes())
        commit(mnt)
    with zipfile.ZipFile(source / "z.npz") as archive:
        assert archive.testzip() is None
    assert np.load(source / "z.npz")["a"][8:22].tolist() == [8, 9, *[0] * 10, 20, 21]


@pytest.mark.parametrize("fill", [0, -1])
def test_chunks_that_do_not_exist(source, keep, fill):
    model = zarr_array(source, fill)
    before = state(source)
    with mounted(source, "--cow-dir", keep) as mnt:
        for row in (5, 15):
            (mnt / f"z.zarr/row/{row}").write_bytes(np.arange(row, row + 40, dtype="<i4").tobytes())
            model[row] = np.arange(row, row + 40)
        assert mnt.read("z.zarr/data") == model.tobytes()
        assert state(source) == before
        found = {entry["file"]: entry["new"] for entry in diff(mnt)}
        assert found == {f"z.zarr/{row}.{col}": (row, col) != (1, 2) for row in (0, 1) for col in range(4)}
    assert state(source) == before
    with mounted(source, "--cow-dir", keep) as mnt:
        assert mnt.read("z.zarr/data") == model.tobytes()
        said = commit(mnt)
        assert "z.zarr/0.0: 400 bytes written, a new file" in said
        assert diff(mnt) == [] and mnt.read("z.zarr/data") == model.tobytes()
        (mnt / "z.zarr/row/6").write_bytes(bytes(160))
        model[6] = 0
        assert mnt.read("z.zarr/data") == model.tobytes()
        if fill:
            assert {entry["file"] for entry in diff(mnt)} == {f"z.zarr/0.{col}" for col in range(4)}
        commit(mnt)
        assert diff(mnt) == []
    with mounted(source) as mnt:
        assert mnt.read("z.zarr/data") == model.tobytes()
    assert not [path.name for path in (source / "z.zarr").iterdir() if "partial" in path.name]


def test_hdf5_chunks(source, unchanged, rng):
    h5py = pytest.importorskip("h5py")
    values = rng.random((64, 64))
    with h5py.File(source / "h.h5", "w") as file:
        file.create_dataset("d", data=values, chunks=(16, 16))
    unchanged()
    with mounted(source, "--cow") as mnt, open(source / "h.h5", "rb") as locked:
        # As the library locks a file for reading: that is all that this does as well.
        fcntl.flock(locked, fcntl.LOCK_SH)
        (mnt / "h/d/col/20").write_bytes(np.zeros(64).tobytes())
        values[:, 20] = 0
        assert mnt.read("h/d/data") == values.tobytes()


def test_a_source_on_a_read_only_file_system(grid, scratch, rng):
    needs_root()
    before = state(grid.path.parent)
    place = scratch / "ro"
    place.mkdir()
    run("mount", "--bind", grid.path.parent, place)
    try:
        run("mount", "-o", "remount,bind,ro", place)
        with mounted(place, "--cow") as mnt:
            poke(mnt, grid, grid.view().row(3), 8, rng.bytes(100))
            check_view(mnt, grid.view().at("data"))
            answer = afbfs("commit", mnt)
            assert answer.returncode == 1 and b"a.npy: cannot be written: Read-only file system" in answer.stderr
            check_view(mnt, grid.view().at("data"))
    finally:
        run("umount", place)
    assert state(grid.path.parent) == before


def test_umount_forgets_what_is_not_kept(grid, scratch, unchanged):
    unchanged()
    wanted = grid.view().bytes()
    for _ in range(2):
        with mounted(grid.path.parent, "-o", "cow", env={**os.environ, "TMPDIR": str(scratch)}) as mnt:
            assert mnt.read("a/data") == wanted
            (mnt / "a/data").write_bytes(bytes(len(wanted)))
            assert [path.name for path in scratch.iterdir() if path.name.startswith("afbfs-cow-")]
        assert not [path.name for path in scratch.iterdir() if path.name.startswith("afbfs-cow-")]


def test_what_is_kept_is_shown_again(grid, keep, unchanged, rng):
    unchanged()
    with mounted(grid.path.parent, "-o", f"cow_dir={keep}") as mnt:
        poke(mnt, grid, grid.view().col(100), 0, rng.bytes(512))
    assert keep.stat().st_mode & 0o777 == 0o700
    with mounted(grid.path.parent, "--cow-dir", keep) as mnt:
        check_view(mnt, grid.view().at("data"))
        poke(mnt, grid, grid.view().row(5), 0, rng.bytes(8192))
        with mnt.open("a/row/5", os.O_WRONLY) as fd:
            os.fsync(fd)
        end_suddenly(mnt)
    with mounted(grid.path.parent, "--cow-dir", keep) as mnt:
        check_view(mnt, grid.view().at("data"))
    assert diff("--cow-dir", keep, grid.path.parent)


def test_two_mounts_do_not_share_a_folder(grid, keep):
    with mounted(grid.path.parent, "--cow-dir", keep), mountpoint_for(grid.path.parent) as other:
        answer = afbfs("mount", "--cow-dir", keep, grid.path.parent, other)
        assert answer.returncode == 1 and b"is in use by another mount" in answer.stderr
        answer = afbfs("diff", "--cow-dir", keep, grid.path.parent)
        assert answer.returncode == 1 and b"is in use by another mount" in answer.stderr


def test_refused_folders(grid, scratch, source):
    full, open_, elsewhere = scratch / "full", scratch / "open", scratch / "elsewhere"
    for folder in (full, open_, elsewhere):
        folder.mkdir()
    (full / "x").touch()
    open_.chmod(0o777)
    save(elsewhere / "a.npy", np.arange(3))
    with mounted(elsewhere, "--cow-dir", scratch / "used"):
        pass
    for folder, reason in [
        (full, "neither empty nor a folder of overlays"),
        (open_, "others may write there"),
        (source / "below", "lies in the source"),
        (scratch / "used", f"keeps changes of {elsewhere}, not of {source}"),
        (scratch / "no/such", "No such file or directory"),
    ]:
        with mountpoint_for(source) as point:
            answer = afbfs("mount", "--cow-dir", folder, source, point)
            assert answer.returncode == 1 and reason in answer.stderr.decode(), answer.stderr
            assert not is_mounted(point)
    with mountpoint_for(source) as point:
        assert afbfs("mount", "--cow", "--read-only", source, point).returncode == 2
        assert afbfs("mount", "-o", "cow,ro", source, point).returncode == 1


def test_a_full_disk(grid, scratch, unchanged, rng):
    needs_root()
    unchanged()
    small = scratch / "small"
    small.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=200k,mode=0700", "tmpfs", small)
    try:
        with mounted(grid.path.parent, "--cow-dir", small / "changes") as mnt:
            whole = grid.view().at("data")
            with mnt.open("a/data", os.O_WRONLY) as fd, refused("ENOSPC"):
                done = 0
                while done < whole.size:
                    written = os.pwrite(fd, bytes(20_000), done)
                    grid.write(whole, done, bytes(written))
                    done += written
            assert 100_000 < done < 200_000
            check_view(mnt, whole)
            with refused("ENOSPC"):
                mnt.write("a/row/60", b"x")
            check_view(mnt, whole)
            end_suddenly(mnt)
    finally:
        run("umount", small)


def test_only_the_user_who_mounted_asks_and_writes(grid, scratch):
    needs_root()
    with mounted(grid.path.parent, "--cow", "--allow-other") as mnt:
        assert (mnt / "a/data").stat().st_mode & 0o777 == 0o644, "of the file: there are other users"
        assert as_nobody("sh", "-c", 'echo x > "$1"', "sh", mnt / "a/row/1").returncode != 0
        assert as_nobody("cat", mnt / ".afbfs/overlay.json").returncode != 0
        assert as_nobody("cat", mnt / "a/row/1").stdout == grid.view().row(1).bytes()
    os.chown(grid.path.parent, NOBODY, NOBODY)
    with mounted(grid.path.parent, "--cow") as mnt:
        (mnt / "a/row/1").write_bytes(bytes(8192))
        assert mnt.read("a/row/1") == bytes(8192)


def test_times_of_views(grid, keep, unchanged):
    unchanged()
    with mounted(grid.path.parent, "--cow-dir", keep) as mnt:
        before = grid.path.stat().st_mtime_ns
        assert (mnt / "a/row/1").stat().st_mtime_ns == before
        (mnt / "a/row/1").write_bytes(bytes(8192))
        eventually(lambda: (mnt / "a/row/2").stat().st_mtime_ns > before, "the time moves, of all views")
        os.utime(mnt / "a/row/1", (5, 5))
        eventually(lambda: (mnt / "a/row/1").stat().st_mtime == 5, "the time that was set")
