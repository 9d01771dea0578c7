"""Opening is quick, only what is asked for is loaded and stored, and names cost no memory."""

import itertools
import mmap
import os
import resource
import time

import numpy as np
import pytest

from harness import eventually, mounted, needs_root, unavailable
from kernel import Opens, buffers_sent, drop_from_memory, resident_pages
from oracle import save_random

PAGE = mmap.PAGESIZE
MIB = 1 << 20


def save_sparse(path, shape, dtype="<f8"):
    """An .npy file whose elements are one hole; gives the offset of the first."""
    facts = {"shape": shape, "fortran_order": False, "descr": dtype}
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, facts)
        offset = file.tell()
        try:
            file.truncate(offset + int(np.prod(shape)) * np.dtype(dtype).itemsize)
        except OSError as error:
            unavailable(f"no file of that size can be made in {path.parent}: {error.strerror}")
    return offset


def used(path):
    """Bytes that a file takes on the disk."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
    return path.stat().st_blocks * 512


@pytest.fixture
def huge(source):
    """8 TiB: 8 388 608 rows of 1 MiB."""
    save_sparse(source / "huge.npy", (1 << 23, 1 << 17))
    return source / "huge.npy"


def test_a_slice_of_eight_terabytes_costs_what_a_slice_costs(huge):
    with mounted(huge.parent) as mnt:
        assert (mnt / "huge/data").stat().st_size == 1 << 43
        before = used(huge)
        started = time.monotonic()
        assert mnt.read("huge/row/-1") == bytes(MIB)
        assert mnt.read("huge/slice/::524288,7") == bytes(16 * 8)
        assert used(huge) == before, "reading has taken disk space"
        mnt.write("huge/row/-1", b"\x01" * MIB)
        assert used(huge) - before <= MIB + 64 * 1024
        before = used(huge)
        mnt.write("huge/slice/::524288,7", b"\x02" * (16 * 8))
        assert used(huge) - before <= 16 * 64 * 1024
        for view in ["huge/range/-1", "huge/slice/-1,-1", "huge/T/slice/-1,-1"]:
            assert mnt.read(view) == b"\x01" * 8, view
        with mnt.open("huge/T/data") as fd:
            assert os.pread(fd, 8, (1 << 43) - 8) == b"\x01" * 8
            assert os.pread(fd, 8, 7 * 8 << 23) == b"\x02" * 8
        # Reading or scanning even a thousandth of it would take longer.
        assert time.monotonic() - started < 20


def test_a_listing_of_eight_terabytes_is_empty_and_quick(huge):
    with mounted(huge.parent) as mnt:
        assert os.listdir(mnt / "huge/row") == []
        assert os.listdir(mnt / "huge/axis/1") == []
        assert mnt.status("VmRSS") < 64 * 1024


@pytest.mark.parametrize(
    "view, touched", [("row/5", 17), ("col/3", 4096), ("slice/100:200,4000:4008", 100), ("range/:4096", 9)]
)
def test_only_the_pages_of_a_slice_are_loaded(source, view, touched):
    # 4096 rows of 16 pages.
    save_sparse(source / "a.npy", (4096, 8192))
    path = source / "a.npy"
    with mounted(source) as mnt:
        with mnt.open(f"a/{view}") as fd:
            drop_from_memory(path)
            before = resident_pages(path)
            assert before < 64, "the file could not be dropped from memory"
            size = os.fstat(fd).st_size
            assert len(os.pread(fd, size, 0)) == size
        assert touched / 2 <= resident_pages(path) <= before + touched + touched // 4 + 16


# --- memory that names do not take


def test_a_slice_of_which_only_the_ends_are_in_memory_is_asked_for_all_the_same(source):
    offset = save_sparse(source / "a.npy", (4096, 8192))
    with open(source / "a.npy", "r+b") as file:
        file.seek(offset)
        file.write(os.urandom(4096 * 8192 * 8))
    drop_from_memory(source / "a.npy")
    with mounted(source) as mnt:
        for row in [*range(32), *range(4064, 4096)]:
            mnt.read(f"a/slice/{row},3")
        assert resident_pages(source / "a.npy") <= 64 + 1
        before = mnt.stats()["prefetches"]
        column = mnt.read("a/col/3")
        # Found out by the faults of the first pages, so that the others were asked for together.
        assert mnt.stats()["prefetches"] == before + 1
        assert 4096 <= resident_pages(source / "a.npy") <= 4096 * 1.02
        assert column == np.load(source / "a.npy", mmap_mode="r")[:, 3].tobytes()


def test_what_lies_between_is_read_along_on_demand(source):
    np.save(source / "a.npy", np.random.default_rng(1).random((512, 4096)))
    pages = -(-(source / "a.npy").stat().st_size // PAGE)
    for gap, expected in [("0", 512), ("16K", 512), ("32K", pages - 8), ("1M", pages - 8)]:
        drop_from_memory(source / "a.npy")
        with mounted(source, "--fetch-gap", gap) as mnt:
            column = mnt.read("a/col/3")
            found = resident_pages(source / "a.npy")
        assert expected <= found <= expected * 1.02 + 8, gap
        assert column == np.load(source / "a.npy", mmap_mode="r")[:, 3].tobytes()


def test_opening_many_names_and_listing_more_takes_no_memory(source):
    count = 2_000_000
    save_sparse(source / "a.npy", (count, 1), "u1")
    with mounted(source, "--list-max", "3000000") as mnt:

        def open_some(names):
            for name in names:
                os.close(os.open(f"{mnt.path}/a/row/{name}", os.O_RDONLY))

        def count_names(folder):
            with os.scandir(mnt / folder) as entries:
                return sum(1 for _ in entries)

        open_some(range(2000))
        count_names("a/col")
        before = mnt.status("RssAnon")
        open_some(range(0, count, count // 100_000))
        after_opening = mnt.status("RssAnon")
        assert count_names("a/row") == count
        after_listing = mnt.status("RssAnon")
        # 8 MiB is 80 bytes for each name opened, and 4 for each one listed.
        assert after_opening - before < 8 * 1024, f"opening took {after_opening - before} kB"
        assert after_listing - after_opening < 8 * 1024, f"listing took {after_listing - after_opening} kB"


def test_slices_without_end_take_no_memory(source):
    np.save(source / "a.npy", np.arange(200.0 * 200).reshape(200, 200))
    names = [f"{kind}/{first},{second}" if kind == "slice" else f"{kind}/{first * 200 + second}:"
             for first in range(200) for second in range(0, 200, 2) for kind in ("slice", "range")]
    with mounted(source) as mnt, mnt.open("a/slice/0,0") as held:

        def visit(names):
            for name in names:
                assert (mnt / "a" / name).stat().st_size > 0

        def few():
            return mnt.stats()["inodes"] < 5000

        visit(names[:8000])
        eventually(few, "the kernel forgets old names")
        before = mnt.status("RssAnon")
        visit(names[8000:])
        eventually(few, "the kernel forgets old names")
        # Of 72 000 names that are remembered each would have 58 bytes.
        assert mnt.status("RssAnon") - before <= 4096
        # A file that is open is none the worse for it, nor is a name that is used again.
        assert os.pread(held, 8, 0) == np.float64(0).tobytes()
        assert mnt.read("a/slice/0,2") == np.float64(2).tobytes()


def test_a_listing_holds_each_name_once_and_in_any_pieces(source):
    save_sparse(source / "a.npy", (30_000,), "u1")
    with mounted(source) as mnt:
        names = os.listdir(mnt / "a/row")
        assert len(names) == 30_000
        assert set(names) == {str(i) for i in range(30_000)}
        with os.scandir(mnt / "a/row") as some:
            assert len(list(itertools.islice(some, 100))) == 100
        assert len(os.listdir(mnt / "a/row")) == 30_000


def test_copying_much_takes_little_memory(source):
    # 128 MiB, once as they lie and once turned round.
    save_sparse(source / "a.npy", (2048, 8192))
    with mounted(source) as mnt:
        peak = 0
        for view in ["a/data", "a/T/data"]:
            with open(mnt / view, "rb", buffering=0) as file:
                while file.read(MIB):
                    peak = max(peak, mnt.status("RssAnon"))
        assert peak < 48 * 1024


# --- folders of many files


def test_listing_a_large_folder_opens_no_file(source, rng):
    model = save_random(source / "a00000.npy", rng, "<f8", (4, 3))
    for number in range(1, 20_000):
        (source / f"a{number:05d}.npy").write_bytes(model.model)
    with Opens(source) as opens:
        started = time.monotonic()
        with mounted(source) as mnt:
            mounting = time.monotonic() - started
            assert opens.names() == [], "mounting opened files"
            names = set(os.listdir(mnt)) - {".afbfs"}
            assert names == {f"a{number:05d}" for number in range(20_000)}
            assert opens.names() == [], "listing opened files"
            assert mnt.read("a00042/row/1") == model.view().row(1).bytes()
            assert set(opens.names()) == {"a00042.npy"}, "one array was read"
        print(f"mounting a folder of 20 000 files took {mounting:.3f} s")


def test_five_thousand_arrays_are_read_with_few_descriptors(source, rng):
    model = save_random(source / "a0.npy", rng, "<f8", (4, 3))
    for number in range(1, 5000):
        (source / f"a{number}.npy").write_bytes(model.model)
    wanted = model.view().row(-1).bytes()

    def as_few_as_most_systems_allow():
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))

    with mounted(source, preexec_fn=as_few_as_most_systems_allow) as mnt:
        for number in range(5000):
            assert mnt.read(f"a{number}/row/-1") == wanted
        assert len(os.listdir(f"/proc/{mnt.pid}/fd")) < 1024
        with open(f"/proc/{mnt.pid}/maps", "rb") as maps:
            assert len(maps.readlines()) < 4096
        assert len(mnt.arrays()) == 5000


# --- no copy where none is needed


def read_aligned(fd, length, offset):
    """Reads into whole pages, as large requests as the kernel makes."""
    with mmap.mmap(-1, length) as pages:
        assert os.preadv(fd, [pages], offset) == length
        return pages[:]


@pytest.mark.parametrize("view", ["data", "row/:", "slice/10:60", "range/0:400000", "T/slice/:,20"])
def test_a_contiguous_slice_is_sent_straight_from_the_file(source, rng, view):
    needs_root()
    # Rows of 64 KiB.
    array = save_random(source / "a.npy", rng, "<f8", (64, 8192))
    with mounted(source) as mnt, mnt.open(f"a/{view}") as fd:
        size = os.fstat(fd).st_size
        length = min(MIB, size // PAGE * PAGE)
        read_aligned(fd, length, 0)
        calls = buffers_sent(mnt.pid, lambda: read_aligned(fd, length, 0))
        payloads = [buffer for call in calls for buffer in call if buffer[1] >= 32 * 1024]
        assert sum(size for _, size in payloads) >= length, f"seen were {calls}"
        assert {name for name, _ in payloads} == {str(array.path)}
