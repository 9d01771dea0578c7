"""`afbfs diff` and `afbfs commit`, of what was written to a mount with `--cow`."""

import mmap
import os
import subprocess
import time

import numpy as np
import pytest

from harness import afbfs, binary, is_mounted, mounted, mountpoint_for, refused
from oracle import check_view, random_view, save_random
from overlays import commit, diff, end_suddenly, poke, zarr_array


@pytest.fixture
def keep(scratch):
    return scratch / "changes"


@pytest.fixture
def grid(source, rng):
    return save_random(source / "a.npy", rng, "<f8", (64, 1024))


def test_diff_is_what_numpy_finds(source, rng):
    before = {"c": rng.integers(0, 9, (50, 70)).astype("<f4"), "n": np.arange(10, dtype="<i8")}
    for name, array in before.items():
        np.save(source / f"{name}.npy", array)
    np.save(source / "f.npy", np.asfortranarray(before["c"]))
    after = before["c"].copy()
    after[3:5] += 1
    after[20, 7:9] = 0.3
    after[49, 69] = -1
    with mounted(source, "--cow") as mnt:
        assert afbfs("diff", mnt).stdout == b""
        for name in ("c", "f"):
            (mnt / name / "data").write_bytes(after.tobytes())
        (mnt / "n/data").write_bytes(before["n"].tobytes())
        entries = {entry["file"]: entry for entry in diff(mnt)}
        assert set(entries) == {"c.npy", "f.npy"}, "rewritten as it was: no change"
        old = np.frombuffer((source / "c.npy").read_bytes(), np.uint8).copy()
        new = old.copy()
        new[-after.nbytes :] = np.frombuffer(after.tobytes(), np.uint8)
        assert entries["c.npy"]["changed"] == (old != new).sum()
        changed = np.flatnonzero(after.ravel() != before["c"].ravel())
        found = []
        for entry in entries["c.npy"]["ranges"]:
            start, stop = entry["bytes"]
            first, last = (int(np.ravel_multi_index(entry[end], after.shape)) for end in ("first", "last"))
            assert old[start] != new[start] and old[stop - 1] != new[stop - 1]
            assert ((start - 128) // 4, (stop - 1 - 128) // 4) == (first, last)
            found += range(first, last + 1)
        assert found == changed.tolist()
        positions = [place for entry in entries["f.npy"]["ranges"] for place in range(*entry["bytes"])]
        stored = np.frombuffer((source / "f.npy").read_bytes(), np.uint8).copy()
        wanted = stored.copy()
        wanted[128:] = np.frombuffer(after.tobytes("F"), np.uint8)
        assert positions == np.flatnonzero(stored != wanted).tolist()
        assert "first" not in entries["f.npy"]["ranges"][0]
        text = afbfs("diff", mnt).stdout.decode()
        assert "elements [3, 0] to [4, 69]" in text and "element [49, 69]" in text


def test_commit(grid, rng):
    unwritten = save_random(grid.path.parent / "u.npy", rng, "<f8", (100,))
    clean = unwritten.path.stat().st_mtime_ns
    with mounted(grid.path.parent, "--cow") as mnt, mnt.open("a/data", os.O_RDWR) as fd:
        poke(mnt, grid, grid.view().col(100), 0, rng.bytes(512))
        with mmap.mmap(fd, 0, access=mmap.ACCESS_READ) as mapping:
            said = commit(mnt)
            assert said.startswith("a.npy: ") and said.endswith(" bytes written\n") and said.count("\n") == 1
            assert not grid.differs()
            assert diff(mnt) == [] and commit(mnt) == ""
            check_view(mnt, grid.view().at("data"))
            assert mapping[:] == grid.view().bytes()
            # What is written afterwards is an overlay's again.
            stored = grid.path.read_bytes()
            poke(mnt, grid, grid.view().row(9), 0, rng.bytes(8192))
            assert grid.path.read_bytes() == stored and mapping[:] == grid.view().bytes()
        commit(mnt)
        assert not grid.differs()
    assert unwritten.path.stat().st_mtime_ns == clean


def test_what_others_changed_is_not_committed(grid, keep, rng):
    other = save_random(grid.path.parent / "o.npy", rng, "<f8", (64, 64))
    with mounted(grid.path.parent, "--cow-dir", keep) as mnt:
        for array in (grid, other):
            poke(mnt, array, array.view().row(5), 0, rng.bytes(64))
        stored = bytearray(grid.path.read_bytes())
        stored[-8:] = b"outside!"
        with open(grid.path, "r+b") as file:
            file.seek(-8, os.SEEK_END)
            file.write(b"outside!")
        assert mnt.read("a/row/-1")[-8:] == b"outside!", "of a page that was not written here"
        answer = afbfs("commit", mnt)
        assert answer.returncode == 1 and b"a.npy: was written by another program" in answer.stderr
        assert b"o.npy: " in answer.stdout and not other.differs()
        assert grid.path.read_bytes() == stored
        assert [entry["file"] for entry in diff(mnt)] == ["a.npy"]
    with mountpoint_for(grid.path.parent) as point:
        answer = afbfs("mount", "--cow-dir", keep, grid.path.parent, point)
        assert answer.returncode == 1 and b"a.npy: was written by another program" in answer.stderr
        assert b"rm " in answer.stderr and not is_mounted(point)
    answer = afbfs("commit", "--cow-dir", keep, grid.path.parent)
    assert answer.returncode == 1 and grid.path.read_bytes() == stored


def test_commit_without_a_mount(grid, keep, rng):
    with mounted(grid.path.parent, "--cow-dir", keep) as mnt:
        poke(mnt, grid, grid.view().row(5), 0, rng.bytes(64))
    assert grid.differs()
    commit("--cow-dir", keep, grid.path.parent)
    assert not grid.differs() and diff("--cow-dir", keep, grid.path.parent) == []


@pytest.mark.parametrize("with_mount", [True, False])
def test_a_commit_that_is_killed_is_done_again(source, keep, rng, with_mount):
    array = save_random(source / "a.npy", rng, "<f8", (256, 4096))
    zarr_model = zarr_array(source)
    killed = 0
    for turn in range(7):
        with mounted(source, "--cow-dir", keep) as mnt:
            for _ in range(20):
                view = random_view(rng, array.view())
                if view.size:
                    offset = int(rng.integers(view.size))
                    poke(mnt, array, view, offset, rng.bytes(min(60_000, view.size - offset)))
            (mnt / f"z.zarr/row/{turn}").write_bytes(np.full(40, turn, "<i4").tobytes())
            zarr_model[turn] = turn
            if with_mount:
                killed += killed_commit(rng, mnt)
                check_view(mnt, array.view().at("data"))
                if turn % 2:
                    with mnt.open("a/data", os.O_WRONLY) as fd, mnt.open("z.zarr/data", os.O_WRONLY) as chunks:
                        os.fsync(fd)
                        os.fsync(chunks)
                    end_suddenly(mnt)
        if not with_mount:
            killed += killed_commit(rng, "--cow-dir", keep, source)
            killed += killed_commit(rng, "--cow-dir", keep, source)
        with mounted(source, "--cow-dir", keep) as mnt:
            check_view(mnt, array.view().at("data"))
            assert mnt.read("z.zarr/data") == zarr_model.tobytes()
            commit(mnt)
            assert not array.differs() and diff(mnt) == []
            assert mnt.read("z.zarr/data") == zarr_model.tobytes()
    with mounted(source) as mnt:
        assert mnt.read("z.zarr/data") == zarr_model.tobytes()
    assert killed, "no commit was killed before it was done"


def killed_commit(rng, *arguments):
    process = subprocess.Popen([binary(), "commit", *map(os.fspath, arguments)], stdout=subprocess.DEVNULL)
    time.sleep(rng.random() * 0.12)
    process.kill()
    return process.wait() != 0


def test_one_commit_at_a_time(grid, rng):
    with mounted(grid.path.parent, "--cow") as mnt:
        with mnt.open(".afbfs/overlay.json", os.O_RDWR) as orders:
            answer = afbfs("commit", mnt)
            assert answer.returncode == 1 and b"another commit is under way" in answer.stderr
            with refused("EINVAL"):
                os.write(orders, b"nonsense")
        assert commit(mnt) == ""


def test_what_is_written_during_a_commit_stays(grid, rng):
    """A writer goes on while commits are done, and nothing of what it wrote is lost."""
    with mounted(grid.path.parent, "--cow") as mnt, mnt.open("a/row/7", os.O_RDWR) as fd:
        process = None
        for turn in range(400):
            if process is None or process.poll() is not None:
                assert process is None or process.returncode == 0
                process = subprocess.Popen([binary(), "commit", mnt], stdout=subprocess.DEVNULL)
            data = rng.bytes(16)
            os.pwrite(fd, data, 16 * (turn % 500))
            grid.write(grid.view().row(7), 16 * (turn % 500), data)
            assert os.pread(fd, 8192, 0) == grid.view().row(7).bytes()
        assert process.wait() == 0
        commit(mnt)
        assert not grid.differs()


def test_mounts_without_it_say_so(grid):
    with mounted(grid.path.parent) as mnt:
        assert not (mnt / ".afbfs/overlay.json").exists()
        for command in ("diff", "commit"):
            answer = afbfs(command, mnt)
            assert answer.returncode == 1 and b"is mounted without --cow" in answer.stderr
    answer = afbfs("diff", grid.path.parent)
    assert answer.returncode == 1 and b"no arrays are mounted there" in answer.stderr


def test_a_file_that_is_gone_is_named_and_the_others_are_done(grid, rng):
    other = save_random(grid.path.parent / "o.npy", rng, "<f8", (64, 64))
    with mounted(grid.path.parent, "--cow") as mnt:
        for array in (grid, other):
            poke(mnt, array, array.view().row(5), 0, rng.bytes(64))
        grid.path.unlink()
        answer = afbfs("diff", mnt)
        assert answer.returncode == 1 and f"{grid.path}: No such file".encode() in answer.stderr
        assert answer.stdout.startswith(b"o.npy: ")
        answer = afbfs("commit", mnt)
        assert answer.returncode == 1 and f"{grid.path}: is gone".encode() in answer.stderr
        assert not other.differs() and not grid.path.exists()
