"""All views of an array alias the same bytes: through handles, mappings, copies in the kernel, and other programs."""

import mmap
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from harness import eventually, mounted, needs_root, refused, unavailable
from kernel import sent
from oracle import ArrayFile, check_view, save, save_random

PAGE = mmap.PAGESIZE


@pytest.fixture
def grid(source, rng):
    """16 rows of 4 pages each."""
    return save_random(source / "a.npy", rng, "<f8", (16, 2048))


@pytest.fixture
def mnt(grid):
    with mounted(grid.path.parent) as mnt:
        yield mnt


def views_of(array):
    """Views that all meet in element [3, 5]."""
    whole = array.view()
    return [
        whole.at("data"),
        whole.row(3),
        whole.row(3, "-13.raw"),
        whole.col(5),
        whole.transposed().at("data"),
        whole.transposed().row(5),
        whole[1:9, 5].at("slice/1:9,5"),
        whole.raveled()[2048 * 3 : 2048 * 4].at("range/6144:8192"),
        whole.raveled()[5::2048].at("range/5::2048"),
        whole[::-1, ::-1].at("slice/::-1,::-1"),
    ]


def test_what_one_view_writes_every_other_reads_at_once(mnt, grid, rng):
    views = views_of(grid)
    fds = [os.open(mnt / view.path, os.O_RDWR) for view in views]
    try:
        for writer, fd in zip(views, fds, strict=True):
            data = rng.bytes(writer.size)
            assert os.pwrite(fd, data, 0) == writer.size
            grid.write(writer, 0, data)
            for reader, other in zip(views, fds, strict=True):
                assert os.pread(other, reader.size + 1, 0) == reader.bytes(), f"{writer.path}, then {reader.path}"
                assert mnt.read(reader.path) == reader.bytes(), f"{writer.path}, then {reader.path} opened anew"
            assert not grid.differs()
    finally:
        for fd in fds:
            os.close(fd)


def test_what_another_program_writes_into_the_file_is_seen_at_once(mnt, grid, rng):
    views = views_of(grid)
    at = int(grid.view().address[3, 5])
    fds = [os.open(mnt / view.path, os.O_RDONLY) for view in views]
    try:
        with open(grid.path, "r+b", buffering=0) as file, mmap.mmap(file.fileno(), 0) as mapping:
            for round_ in range(20):
                data = rng.bytes(8)
                if round_ % 2:
                    os.pwrite(file.fileno(), data, at)
                else:
                    mapping[at : at + 8] = data
                grid.model[at : at + 8] = data
                for view, fd in zip(views, fds, strict=True):
                    assert os.pread(fd, view.size, 0) == view.bytes(), view.path
    finally:
        for fd in fds:
            os.close(fd)


def test_numpy_memmap_of_the_file_and_views_share_memory(mnt, grid):
    array = np.load(grid.path, mmap_mode="r+")
    array[3, 5] = 1234.5
    assert np.fromfile(mnt / "a/row/3")[5] == 1234.5
    mnt.write("a/slice/3,5", np.float64(-1).tobytes())
    assert array[3, 5] == -1


# --- mappings of views


def touched(mapping):
    """Reads a byte of every page, so that the kernel holds them all."""
    return sum(mapping[::PAGE])


@pytest.mark.parametrize("mapped", ["data", "row/3", "T/data", "col/5"])
def test_a_mapping_sees_what_other_views_wrote(mnt, grid, rng, mapped):
    shown = next(view for view in views_of(grid) if view.path == f"a/{mapped}")
    with mnt.open(shown.path) as fd, mmap.mmap(fd, 0, access=mmap.ACCESS_READ) as mapping:
        assert mapping[:] == shown.bytes()
        for writer in views_of(grid):
            touched(mapping)
            data = rng.bytes(writer.size)
            mnt.write(writer.path, data)
            grid.write(writer, 0, data)
            assert mapping[:] == shown.bytes(), f"{writer.path} was written"


def test_a_mapping_sees_a_write_through_its_own_view(mnt, grid, rng):
    row = grid.view().row(3)
    with mnt.open(row.path, os.O_RDWR) as fd, mmap.mmap(fd, 0, access=mmap.ACCESS_READ) as mapping:
        touched(mapping)
        data = rng.bytes(5000)
        os.pwrite(fd, data, 777)
        grid.write(row, 777, data)
        assert mapping[:] == row.bytes()


def test_many_mappings_of_one_array_stay_fresh(mnt, grid, rng):
    whole = grid.view()
    shown = [whole.row(i) for i in range(16)]
    fds = [os.open(mnt / view.path, os.O_RDONLY) for view in shown]
    mappings = [mmap.mmap(fd, 0, access=mmap.ACCESS_READ) for fd in fds]
    try:
        for j in rng.integers(2048, size=10).tolist():
            for mapping in mappings:
                touched(mapping)
            column = whole.col(j)
            data = rng.bytes(column.size)
            mnt.write(column.path, data)
            grid.write(column, 0, data)
            for view, mapping in zip(shown, mappings, strict=True):
                assert mapping[:] == view.bytes(), f"{column.path}, then {view.path}"
    finally:
        for mapping, fd in zip(mappings, fds, strict=True):
            mapping.close()
            os.close(fd)


@pytest.mark.parametrize("mapped", ["data", "row/3", "T/data", "col/5"])
def test_a_writable_mapping_reaches_the_file_at_msync(mnt, grid, rng, mapped):
    view = next(view for view in views_of(grid) if view.path == f"a/{mapped}")
    with mnt.open(view.path, os.O_RDWR) as fd, mmap.mmap(fd, 0) as mapping:
        for offset, length in [(0, 1), (view.size - 3, 3), (view.size // 2, 20), (0, view.size)]:
            data = rng.bytes(length)
            mapping[offset : offset + length] = data
            mapping.flush()
            grid.write(view, offset, data)
            assert not grid.differs(), f"after msync of {length} bytes at {offset}"
            check_view(mnt, grid.view().at("data"))


def test_a_writable_mapping_reaches_the_file_when_it_goes(mnt, grid, rng):
    row = grid.view().row(3)
    data = rng.bytes(100)
    with mnt.open(row.path, os.O_RDWR) as fd:
        with mmap.mmap(fd, 0) as mapping:
            mapping[50:150] = data
        os.fsync(fd)
    grid.write(row, 50, data)
    eventually(lambda: not grid.differs(), "what was stored is in the file")


def test_numpy_maps_views_as_arrays(mnt, grid):
    column = np.memmap(mnt / "a/col/5", "<f8", "r")
    assert column.tobytes() == grid.view().col(5).bytes()
    row = np.memmap(mnt / "a/row/3", "<f8", "r+")
    row[:] = 7
    row.flush()
    assert np.memmap(mnt / "a/col/5", "<f8", "r")[3] == 7


# --- copies inside the kernel


@pytest.mark.parametrize("shown", ["data", "row/3", "col/5"])
def test_sendfile_sends_what_is_stored_now(mnt, grid, rng, shown):
    view = next(view for view in views_of(grid) if view.path == f"a/{shown}")
    with mnt.open(view.path) as fd:
        assert sent(fd, view.size) == view.bytes()
        for writer in views_of(grid):
            data = rng.bytes(writer.size)
            mnt.write(writer.path, data)
            grid.write(writer, 0, data)
            assert sent(fd, view.size) == view.bytes(), f"{writer.path} was written"


def test_sendfile_of_a_file_opened_anew_sends_what_another_program_stored(mnt, grid, rng):
    # Through a descriptor that was open before, it may send what the kernel still holds: nobody tells of that write.
    row = grid.view().row(3)
    start = int(row.address[0])
    for _ in range(3):
        with mnt.open(row.path) as fd:
            assert sent(fd, row.size) == row.bytes()
        data = rng.bytes(row.size)
        with open(grid.path, "r+b", buffering=0) as file:
            os.pwrite(file.fileno(), data, start)
        grid.model[start : start + row.size] = data


def test_copy_file_range_between_views(mnt, grid, rng):
    whole = grid.view()
    for source, target in [(whole.row(2), whole.row(9)), (whole.row(9), whole.raveled()[:2048].at("range/:2048"))]:
        changed = rng.bytes(64)
        mnt.write(source.path, changed, 100)
        grid.write(source, 100, changed)
        with mnt.open(source.path) as src, mnt.open(target.path, os.O_RDWR) as dst:
            done = 0
            while done < source.size:
                count = os.copy_file_range(src, dst, source.size - done, done, done)
                assert count > 0
                done += count
        grid.write(target, 0, source.bytes())
        assert not grid.differs(), target.path
        check_view(mnt, target)


# --- concurrent writers


def test_aligned_elements_never_tear(mnt, grid):
    patterns = [b"\x00" * 8, b"\xff" * 8]
    whole = grid.view()
    targets = [whole.at("data"), whole.row(3), whole.col(5), whole.transposed().at("data")]
    mnt.write("a/data", bytes(whole.size))
    stop = threading.Event()
    faults = []

    def keep_writing(view):
        with mnt.open(view.path, os.O_RDWR) as fd:
            turn = 0
            while not stop.is_set():
                os.pwrite(fd, patterns[turn % 2] * (view.size // 8), 0)
                turn += 1

    def keep_reading(view):
        with mnt.open(view.path) as fd:
            for _ in range(60):
                elements = np.frombuffer(os.pread(fd, view.size, 0), "<u8")
                torn = elements[(elements != 0) & (elements != 2**64 - 1)]
                if torn.size:
                    faults.append(f"{view.path}: {torn[0]:016x}")

    writers = [threading.Thread(target=keep_writing, args=[view]) for view in targets]
    readers = [threading.Thread(target=keep_reading, args=[view]) for view in targets]
    for thread in writers + readers:
        thread.start()
    for thread in readers:
        thread.join()
    stop.set()
    for thread in writers:
        thread.join()
    assert not faults


def test_disjoint_writers_do_not_disturb_each_other(mnt, grid):
    script = """
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
for turn in range(300):
    os.pwrite(fd, bytes([turn % 256]) * int(sys.argv[2]), 0)
"""
    whole = grid.view()
    views = [whole.row(i) for i in range(4)] + [whole[8:, j].at(f"slice/8:,{j}") for j in range(4)]
    programs = [subprocess.Popen([sys.executable, "-c", script, mnt / view.path, str(view.size)]) for view in views]
    assert [program.wait(timeout=60) for program in programs] == [0] * len(views)
    for view in views:
        grid.write(view, 0, bytes([299 % 256]) * view.size)
    assert not grid.differs()


# --- durability


def test_fsync_of_handles_of_all_kinds(mnt, grid):
    for view in views_of(grid):
        with mnt.open(view.path, os.O_RDWR) as fd:
            os.fsync(fd)
            os.pwrite(fd, b"durable?", 0)
            os.fsync(fd)
            os.fdatasync(fd)
    with mnt.open("a") as fd:
        os.fsync(fd)


def is_dirty(path, offset):
    """Whether the page of the file at this offset waits to be written back, as the kernel's own table says."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapping:
        mapping[offset]
        address = np.frombuffer(mapping, np.uint8).__array_interface__["data"][0] + offset
        with open("/proc/self/pagemap", "rb") as pagemap:
            entry = int.from_bytes(os.pread(pagemap.fileno(), 8, address // PAGE * 8), "little")
        assert entry >> 63, "the page is not in memory"
        with open("/proc/kpageflags", "rb") as flags:
            bits = int.from_bytes(os.pread(flags.fileno(), 8, (entry & ((1 << 55) - 1)) * 8), "little")
    return bool(bits & (1 << 4))


def test_fsync_writes_back_the_view_and_not_the_rest(source, rng):
    needs_root()
    if not os.path.exists("/proc/kpageflags"):
        unavailable("the kernel has no /proc/kpageflags")
    array = save_random(source / "a.npy", rng, "<f8", (64, 1 << 16))
    first, last = (int(array.view().address[row, 0]) + 200_000 for row in (1, -1))
    with mounted(source) as mnt:
        # The kernel may write the last row back by itself at any time: not every time, though.
        for _ in range(10):
            with mnt.open("a/data", os.O_RDWR) as fd:
                os.fsync(fd)
            mnt.write("a/row/-1", rng.bytes(400_000))
            with mnt.open("a/row/1", os.O_RDWR) as fd:
                os.pwrite(fd, rng.bytes(400_000), 0)
                os.fsync(fd)
                assert not is_dirty(array.path, first), "fsync has returned, but the view is not on disk"
            if is_dirty(array.path, last):
                return
    pytest.fail("fsync of one row wrote back another row as well, ten times")


# --- arrays that change their form


def header_of(array, **changes):
    """The .npy header of an array with some facts changed; it must be as long as before."""
    facts = {"shape": array.shape, "fortran_order": array.order == "F", "descr": array.dtype.str} | changes
    with open(array.path.with_suffix(".header"), "w+b") as file:
        np.lib.format.write_array_header_1_0(file, facts)
        assert file.tell() == array.offset
        file.seek(0)
        return file.read()


def rewrite_header(array, **changes):
    header = header_of(array, **changes)
    with open(array.path, "r+b", buffering=0) as file:
        file.write(header)
    array.model[: array.offset] = header


def test_rows_appended_leave_open_handles_at_work(mnt, grid, rng):
    row = grid.view().row(3)
    more = rng.bytes(2 * 2048 * 8)
    with mnt.open(row.path, os.O_RDWR) as fd:
        os.pwrite(fd, b"before", 0)
        grid.write(row, 0, b"before")
        with open(grid.path, "ab") as file:
            file.write(more)
        rewrite_header(grid, shape=(18, 2048))
        grown = ArrayFile(grid.path)
        row = grown.view().row(3)
        assert os.pwrite(fd, b"after", 10) == 5
        grown.write(row, 10, b"after")
        assert os.pread(fd, 2048 * 8, 0) == row.bytes()
        assert not grown.differs()
    eventually(lambda: (mnt / "a/row/17").exists(), "the new rows are there", within=2)
    assert mnt.read("a/row/17") == more[2048 * 8 :]
    eventually(lambda: mnt.read("a/row/-1") == more[2048 * 8 :], "row/-1 is the new last row", within=2)
    assert (mnt / "a/shape").read_text() == "18 2048\n"


@pytest.mark.parametrize(
    "changes",
    [
        {"descr": "<i8"},
        {"descr": ">f8"},
        {"descr": "<f4"},
        {"shape": (2048, 16)},
        {"fortran_order": True},
        {"shape": (16, 1024)},
    ],
)
def test_a_write_into_an_array_of_another_form_is_refused(mnt, grid, changes):
    with mnt.open("a/row/3", os.O_RDWR) as row, mnt.open("a/col/5", os.O_RDWR) as column:
        os.pwrite(row, b"before", 0)
        grid.write(grid.view().row(3), 0, b"before")
        rewrite_header(grid, **changes)
        for fd in (row, column):
            with refused("ESTALE"):
                os.pwrite(fd, b"after", 0)
        assert not grid.differs()


def test_a_file_that_became_another_format_is_not_written(mnt, grid):
    with mnt.open("a/row/3", os.O_RDWR) as fd:
        with open(grid.path, "r+b", buffering=0) as file:
            file.write(b"garbage!")
        grid.model[:8] = b"garbage!"
        with refused("ESTALE"):
            os.pwrite(fd, b"after", 0)
        assert not grid.differs()


def test_views_of_the_new_form_appear(mnt, grid):
    assert (mnt / "a/dtype").read_text() == "<f8\n"
    new = save(grid.path, np.arange(30, dtype=">i2").reshape(3, 10))
    eventually(lambda: (mnt / "a/dtype").read_text() == ">i2\n", "the new type shows", within=2)
    eventually(lambda: mnt.read("a/data") == new.view().bytes(), "the new data show", within=2)
    check_view(mnt, new.view().row(-1))
    with refused("ENOENT"):
        os.stat(mnt / "a/row/5")
