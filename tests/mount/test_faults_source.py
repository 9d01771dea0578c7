"""Array files, source folders and mount points that are changed under the mount, while others read and write."""

import os
import shutil
import signal
import subprocess

import numpy as np
import pytest

from bystanders import Bystanders, check_files, company_arrays, keep_company
from faulty import tmpfs
from harness import afbfs, as_nobody, cleared, daemons, eventually, is_mounted, mounted, needs_command, needs_root
from harness import refused, unavailable
from harness import run as run_program
from oracle import ArrayFile, check_view, save, save_random

PAGE = 4096


@pytest.fixture
def others(source, rng):
    return company_arrays(source, rng)


@pytest.fixture
def grid(source, others, rng):
    """64 rows of a page each."""
    return save_random(source / "a.npy", rng, "<f8", (64, 512))


def use_first_rows(others, grid, fresh=False):
    """Has the first rows of an array used as well."""
    whole = grid.view()
    others.read(whole[:10].at("slice/:10"), fresh)
    others.read(whole[:10, 5].at("slice/:10,5"))
    others.write(grid, whole.row(11), fresh)
    others.store(grid, whole.row(12))
    others.go_on()


# --- one array file


def test_a_truncation_takes_from_nobody_what_is_left(grid, source, others):
    stored = bytes(grid.model)
    row = grid.view().row(40)
    with mounted(source) as mnt:
        with keep_company(mnt, others) as run, mnt.open(row.path, os.O_RDWR) as fd:
            use_first_rows(run, grid)
            for left in [128 + 30 * PAGE, 128 + 20 * PAGE + 77]:
                os.truncate(grid.path, left)
                with refused("EIO"):
                    os.pread(fd, 100, 0)
                with refused("EIO", "ESTALE"):
                    os.pwrite(fd, b"x", 0)
                with refused("EIO"):
                    os.pread(fd, row.size, 0)
                run.go_on()
                assert grid.path.stat().st_size == left
            with open(grid.path, "r+b", buffering=0) as file:
                os.pwrite(file.fileno(), stored[left:], left)
            assert os.pread(fd, row.size, 0) == row.bytes()
            assert os.pwrite(fd, b"stored", 0) == 6
            os.fsync(fd)
            run.go_on()
        grid.write(row, 0, b"stored")
        check_files(grid, *others)


def test_a_file_that_grows_is_read_and_written_as_before(grid, source, others):
    with mounted(source) as mnt:
        with keep_company(mnt, others) as run:
            use_first_rows(run, grid, fresh=True)
            for _ in range(20):
                with open(grid.path, "ab") as file:
                    file.write(bytes(PAGE // 2))
            run.go_on()
        grid.model += bytes(10 * PAGE)
        check_files(grid, *others)


def test_what_is_rewritten_in_place_is_seen_by_all_who_read_it(grid, source, others):
    whole = grid.view()
    with mounted(source) as mnt:
        with keep_company(mnt, others) as run, mnt.open("a/slice/20:40") as rows, mnt.open("a/slice/20:40,500") as column:
            use_first_rows(run, grid)
            for turn in range(10):
                new = np.full((20, 512), turn, "<f8").tobytes()
                with open(grid.path, "r+b", buffering=0) as file:
                    os.pwrite(file.fileno(), new, 128 + 20 * PAGE)
                grid.write(whole[20:40], 0, new)
                assert os.pread(rows, len(new), 0) == new
                assert os.pread(column, 160, 0) == whole[20:40, 500].bytes()
            run.go_on()
        check_files(grid, *others)


def test_a_header_that_is_rewritten_in_place_refuses_writes_of_the_old_layout(grid, source, others):
    row = grid.view().row(40)
    with mounted(source) as mnt:
        with keep_company(mnt, others) as run, mnt.open(row.path, os.O_RDWR) as fd:
            run.read(grid.view()[:10].at("slice/:10"))
            run.go_on()
            stored = bytes(grid.model)
            turned = np.lib.format.header_data_from_array_1_0(np.zeros((64, 512), ">f8"))
            with open(grid.path, "r+b") as file:
                np.lib.format.write_array_header_1_0(file, turned)
            with refused("ESTALE"):
                os.pwrite(fd, b"x", 0)
            eventually(lambda: mnt.read("a/dtype") == b">f8\n", "the new type shows")
            check_view(mnt, ArrayFile(grid.path).view().row(40))
            run.go_on()
            with open(grid.path, "r+b") as file:
                file.write(stored[:128])
            assert os.pwrite(fd, b"stored", 0) == 6
        grid.write(row, 0, b"stored")
        check_files(grid, *others)


@pytest.mark.parametrize("how", ["replaced", "deleted"])
def test_who_has_a_file_open_keeps_it_whatever_its_name_leads_to(grid, source, scratch, others, how):
    row = grid.view().row(40)
    kept = scratch / "kept.npy"
    os.link(grid.path, kept)
    with mounted(source) as mnt:
        with keep_company(mnt, others) as run, mnt.open(row.path, os.O_RDWR) as fd:
            use_first_rows(run, grid)
            if how == "replaced":
                for value in range(5):
                    new = save(source / "a.new", np.full((64, 512), float(value)))
                    os.replace(new.path, grid.path)
                    wanted = ArrayFile(grid.path).view().row(3)
                    eventually(lambda wanted=wanted: mnt.read(wanted.path) == wanted.bytes(), "new opens see the new file")
            else:
                grid.path.unlink()
                eventually(lambda: not (mnt / "a").exists(), "the array is gone")
            os.pwrite(fd, b"into the old one", 0)
            os.fsync(fd)
            run.go_on()
        grid.path = kept
        grid.write(row, 0, b"into the old one")
        check_files(grid, *others)


# --- permissions


@pytest.mark.parametrize("how", ["mode", "owner", "acl"])
def test_who_has_a_file_open_keeps_it_when_its_permissions_go(grid, source, others, how):
    needs_root()
    grid.path.chmod(0o644)
    takes = {
        "mode": lambda: grid.path.chmod(0),
        "owner": lambda: (grid.path.chmod(0o600), os.chown(grid.path, 12345, 12345)),
        "acl": lambda: subprocess.run([needs_command("setfacl"), "-m", "u:65534:-", grid.path], check=True),
    }

    def reading():
        return as_nobody("cat", mnt / "a/row/40")

    with mounted(source, "--allow-other") as mnt:
        with keep_company(mnt, others) as run:
            use_first_rows(run, grid)
            assert reading().stdout == grid.view().row(40).bytes()
            takes[how]()
            eventually(lambda: b"Permission denied" in reading().stderr, "others are kept out")
            run.go_on()
            subprocess.run(["setfacl", "-b", grid.path], check=how == "acl")
            os.chown(grid.path, 0, 0)
            grid.path.chmod(0o644)
            eventually(lambda: reading().returncode == 0, "others are let in again")
            run.go_on()
        check_files(grid, *others)


@pytest.fixture
def chattr(grid):
    needs_root()
    command = needs_command("chattr")

    def change(flag):
        done = run_program(command, flag, grid.path)
        if done.returncode:
            unavailable(f"chattr {flag}: {done.stderr.decode().strip()}")

    yield change
    change("-ia")


def test_an_immutable_file_is_read_by_all_and_written_by_nobody(grid, source, others, chattr):
    row = grid.view().row(40)
    with mounted(source) as mnt:
        with keep_company(mnt, others) as run, mnt.open(row.path, os.O_RDWR) as fd:
            run.read(grid.view()[:10].at("slice/:10"), fresh=True)
            os.pwrite(fd, b"before", 0)
            run.go_on()
            chattr("+i")
            with refused("EPERM"):
                os.pwrite(fd, b"x", 0)
                os.fsync(fd)
            run.go_on()
            chattr("-i")
            assert os.pwrite(fd, b"after.", 0) == 6
            os.fsync(fd)
        grid.write(row, 0, b"after.")
        check_files(grid, *others)


def test_an_append_only_file_is_opened_for_writing_by_nobody(grid, source, others, chattr):
    with mounted(source) as mnt:
        with keep_company(mnt, others) as run:
            run.read(grid.view()[:10].at("slice/:10"), fresh=True)
            run.go_on()
            chattr("+a")
            with refused("EPERM"):
                os.open(mnt / "a/row/40", os.O_RDWR)
            run.go_on()
            chattr("-a")
            mnt.write("a/row/40", b"after.")
        grid.write(grid.view().row(40), 0, b"after.")
        check_files(grid, *others)


# --- the source, and the mount point


@pytest.fixture
def loose(scratch, rng):
    """A source on a file system of its own, and arrays in it."""
    with tmpfs(scratch / "loose", "16M") as disk:
        source = disk / "source"
        source.mkdir()
        array = save_random(source / "a.npy", rng, "<f8", (64, 512))
        yield disk, source, array, company_arrays(source, rng)


@pytest.mark.parametrize("how", ["busy", "lazily"])
def test_a_source_that_is_unmounted_is_served_as_before(loose, scratch, how):
    disk, source, grid, others = loose
    kept = os.open(source, os.O_PATH)
    (scratch / "point").mkdir()
    try:
        with cleared(scratch / "point") as mnt:
            assert afbfs("mount", source, mnt).returncode == 0
            mnt.watch()
            with keep_company(mnt, others) as run:
                use_first_rows(run, grid, fresh=True)
                done = run_program("umount", *(["-l"] if how == "lazily" else []), disk)
                assert (done.returncode == 0) == (how == "lazily"), done.stderr
                assert is_mounted(disk) == (how == "busy")
                run.go_on()
                assert sorted(os.listdir(mnt)) == [".afbfs", "a", "columns", "rows"]
            mnt.unmount()
        for array in [grid, *others]:
            with open(os.open(array.path.name, os.O_RDONLY, dir_fd=kept), "rb") as file:
                assert file.read() == array.model, array.path
    finally:
        os.close(kept)
        (scratch / "point").rmdir()


def test_a_source_that_is_renamed_is_served_as_before(grid, source, scratch, others):
    with mounted(source) as mnt:
        with keep_company(mnt, others) as run:
            use_first_rows(run, grid, fresh=True)
            moved = source.rename(scratch / "elsewhere")
            run.go_on()
            new = save(moved / "new.npy", np.arange(6.0))
            eventually(lambda: (mnt / "new").exists(), "a new array is there")
            check_view(mnt, new.view().at("data"))
        mnt.unmount()
    for array in [grid, *others]:
        array.path = moved / array.path.name
    check_files(grid, *others)


def test_a_source_that_is_removed_is_kept_by_those_who_have_it_open(grid, source, scratch, others):
    arrays = [grid, *others]
    for number, array in enumerate(arrays):
        os.link(array.path, scratch / f"{number}.npy")
    with mounted(source) as mnt:
        with Bystanders(mnt) as run:
            use_first_rows(run, grid)
            run.write(others[1], others[1].view().col(3))
            run.go_on()
            shutil.rmtree(source)
            eventually(lambda: not (mnt / "a").exists(), "the array is gone")
            with refused("ENOENT"):
                os.open(mnt / "rows/data", os.O_RDONLY)
            assert os.listdir(mnt) in ([], [".afbfs"])
            run.go_on()
        mnt.unmount()
    for number, array in enumerate(arrays):
        array.path = scratch / f"{number}.npy"
    check_files(*arrays)


@pytest.mark.parametrize("end", ["umount", "signal"])
def test_a_mount_point_whose_parent_is_renamed_is_unmounted_where_it_is(grid, source, scratch, others, end):
    (scratch / "above/point").mkdir(parents=True)
    with cleared(scratch / "above/point") as mnt, cleared(scratch / "moved/point") as moved:
        assert afbfs("mount", source, mnt).returncode == 0
        mnt.watch()
        with Bystanders(mnt) as run:
            use_first_rows(run, grid)
            run.write(others[0], others[0].view().row(3))
            run.go_on()
            (scratch / "above").rename(scratch / "moved")
            run.go_on()
            assert moved.read("a/row/40") == grid.view().row(40).bytes()
        if end == "umount":
            assert afbfs("umount", moved).returncode == 0
        else:
            os.kill(mnt.pid, signal.SIGTERM)
        eventually(lambda: not is_mounted(moved), "the mount is gone")
        eventually(lambda: not daemons(mnt), "the daemon ends")
        check_files(grid, *others)


def test_a_source_that_becomes_read_only_is_read_by_all_and_opened_for_writing_by_nobody(loose, source, rng):
    disk, _, grid, _ = loose
    company = company_arrays(source, rng)
    (source / "x").mkdir()
    subprocess.run(["mount", "--bind", disk, source / "x"], check=True)

    def remount(how):
        return run_program("mount", "-o", f"remount,{how}", disk)

    try:
        with mounted(source) as mnt:
            with keep_company(mnt, company) as run:
                run.read(grid.view("x/source/a")[:10].at("slice/:10"), fresh=True)
                run.go_on()
                assert remount("ro").returncode == 0
                with refused("EROFS"):
                    os.open(mnt / "x/source/a/row/3", os.O_RDWR)
                run.go_on()
                assert remount("rw").returncode == 0
                with mnt.open("x/source/a/row/40", os.O_RDWR) as fd:
                    os.pwrite(fd, b"stored", 0)
                    # As with any other program that writes.
                    assert remount("ro").returncode != 0
                    os.fsync(fd)
                run.go_on()
            grid.write(grid.view().row(40), 0, b"stored")
            check_files(grid, *company)
    finally:
        subprocess.run(["umount", "-l", source / "x"], check=True)
