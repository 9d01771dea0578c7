"""What the kernel keeps or reads by itself: `--cache pages`, whole files passed through, dirty pages of mappings."""

import mmap
import os
import resource
import subprocess
import sys
import threading

import numpy as np
import pytest

from harness import mounted, needs_root, refused
from kernel import sent
from oracle import check_view, save_random

PAGE = mmap.PAGESIZE


@pytest.fixture
def grid(source, rng):
    return save_random(source / "a.npy", rng, "<f8", (64, 1024))


@pytest.fixture
def whole(source, rng):
    """A raw file whose `data` is the file itself."""
    path = source / "w_512x64_float32.raw"
    path.write_bytes(rng.bytes(512 * 64 * 4))
    return path


def reads(mnt):
    return mnt.stats()["reads"]


def test_a_write_is_not_undone_by_dirty_pages_of_another_view(grid, rng):
    rows, whole = grid.view(), grid.view()
    with mounted(grid.path.parent) as mnt, mnt.open("a/data", os.O_RDWR) as fd:
        with mmap.mmap(fd, 0) as mapping:
            for row in range(8):
                at = row * 8192
                stored, written = rng.bytes(8), rng.bytes(16)
                mapping[at : at + 8] = stored
                grid.write(whole.at("data"), at, stored)
                with mnt.open(f"a/row/{row}", os.O_WRONLY) as other:
                    assert os.pwrite(other, written, 8) == 16
                grid.write(rows.row(row), 8, written)
                assert mapping[at : at + 24] == stored + written
            mapping.flush()
            assert not grid.differs()
        assert not grid.differs()


def test_copies_are_not_undone_by_dirty_pages_either(grid, rng):
    with mounted(grid.path.parent) as mnt, mnt.open("a/data", os.O_RDWR) as fd, mmap.mmap(fd, 0) as mapping:
        stored = rng.bytes(8)
        mapping[8192 * 5 : 8192 * 5 + 8] = stored
        grid.write(grid.view().at("data"), 8192 * 5, stored)
        with mnt.open("a/row/3") as source, mnt.open("a/row/5", os.O_RDWR) as target:
            assert os.copy_file_range(source, target, 8000, 8, 16) == 8000
        grid.write(grid.view().row(5), 16, grid.view().row(3).bytes()[8:8008])
        mapping.flush()
        assert not grid.differs()


def test_other_mappings_show_what_was_stored_once_msync_returns(grid, rng):
    row = grid.view().row(5)
    with mounted(grid.path.parent) as mnt, mnt.open("a/data", os.O_RDWR) as fd, mnt.open("a/row/5", os.O_RDWR) as other:
        with mmap.mmap(fd, 0) as mapping, mmap.mmap(other, 0) as shown:
            for turn in range(300):
                assert shown[:] == row.bytes()
                data = rng.bytes(4000)
                mapping[8192 * 5 + 96 : 8192 * 5 + 96 + 4000] = data
                mapping.flush()
                grid.write(row, 96, data)
                shown[turn : turn + 1] = b"x"
                shown.flush()
                grid.write(row, turn, b"x")
                assert not grid.differs(), f"turn {turn}"


@pytest.mark.parametrize("options", [[], ["--cache", "pages"]])
def test_mappings_show_what_an_fsync_stored(grid, options):
    row = grid.view().row(5)
    with mounted(grid.path.parent, *options) as mnt, mnt.open("a/row/5") as fd:
        with mmap.mmap(fd, 0, access=mmap.ACCESS_READ) as shown:
            for turn in range(20):
                with mnt.open("a/row/5.txt", os.O_WRONLY | os.O_TRUNC) as text:
                    os.write(text, f"{turn} ".encode() * 1024)
                    assert shown[:] == row.bytes() == os.pread(fd, 8192, 0), f"turn {turn}, too early"
                    row.numpy[:] = turn
                    os.fsync(text)
                    assert shown[:] == row.bytes() == os.pread(fd, 8192, 0), f"turn {turn}"
            assert not grid.differs()


def test_pages_read_again_cost_no_request(grid):
    with mounted(grid.path.parent, "--cache", "pages") as mnt, mnt.open("a/data") as fd:
        size = grid.view().size
        assert os.pread(fd, size, 0) == grid.view().bytes()
        before = reads(mnt)
        for _ in range(5):
            assert os.pread(fd, size, 0) == grid.view().bytes()
        # Each look at the counters is a read or two itself.
        assert reads(mnt) - before < 5


def test_without_a_cache_each_read_is_a_request(grid):
    with mounted(grid.path.parent) as mnt, mnt.open("a/data") as fd:
        before = reads(mnt)
        for _ in range(20):
            os.pread(fd, PAGE, 0)
        assert reads(mnt) - before >= 20


def test_kept_pages_go_when_another_view_writes(grid, rng):
    with mounted(grid.path.parent, "--cache", "pages") as mnt, mnt.open("a/data") as reader:
        for step in range(30):
            assert os.pread(reader, grid.view().size, 0) == grid.view().bytes()
            view = [grid.view().row(step), grid.view().col(step), grid.view()[:, ::-2].at("slice/:,::-2")][step % 3]
            data = rng.bytes(100)
            with mnt.open(view.path, os.O_WRONLY) as writer:
                os.pwrite(writer, data, 40)
            grid.write(view, 40, data)
            assert os.pread(reader, grid.view().size, 0) == grid.view().bytes(), view.path
        assert not grid.differs()


def test_kept_pages_are_checked_at_each_open(grid, rng):
    start = int(grid.view().address.min())
    with mounted(grid.path.parent, "--cache", "pages") as mnt:
        for _ in range(5):
            check_view(mnt, grid.view().at("data"))
            data = rng.bytes(64)
            with open(grid.path, "r+b", buffering=0) as file:
                os.pwrite(file.fileno(), data, start)
            grid.model[start : start + 64] = data
            check_view(mnt, grid.view().at("data"))


def test_a_whole_file_is_read_by_the_kernel(whole):
    needs_root()
    with mounted(whole.parent, "--cache", "pages") as mnt, mnt.open("w_512x64_float32/data") as fd:
        before = reads(mnt)
        for _ in range(50):
            assert os.pread(fd, 1 << 20, 0) == whole.read_bytes()
        assert reads(mnt) - before < 5


def test_a_file_that_is_passed_through_agrees_with_its_other_views(whole, rng):
    needs_root()
    model = np.frombuffer(bytearray(whole.read_bytes()), "<f4").reshape(64, 512)
    with mounted(whole.parent, "--cache", "pages") as mnt:
        data = "w_512x64_float32/data"
        with mnt.open(data) as reader, mnt.open(data, os.O_RDWR) as writer, mmap.mmap(writer, 0) as mapping:
            for step in range(20):
                row, values = step % 64, rng.random(512, "f4")
                model[row] = values
                with mnt.open(f"w_512x64_float32/row/{row}", os.O_WRONLY) as other:
                    os.write(other, values.tobytes())
                assert os.pread(reader, 1 << 20, 0) == os.pread(writer, 1 << 20, 0) == model.tobytes()
                assert mapping[:] == model.tobytes()
                column = rng.random(64, "f4")
                model[:, step] = column
                buffer = np.frombuffer(mapping, "<f4").reshape(64, 512)
                buffer[:, step] = column
                del buffer
                assert mnt.read(f"w_512x64_float32/col/{step}") == column.tobytes()
                os.pwrite(writer, b"abcd", 4 * step)
                model.reshape(-1)[step] = np.frombuffer(b"abcd", "<f4")[0]
                assert mnt.read("w_512x64_float32/row/0") == model[0].tobytes()
            os.ftruncate(writer, 0)
            assert os.fstat(reader).st_size == model.nbytes
            with refused("ENOSPC"):
                os.pwrite(writer, b"x", model.nbytes)
        assert whole.read_bytes() == model.tobytes()
        with mnt.open(data) as reader:
            assert os.pread(reader, 1 << 20, 0) == model.tobytes()


def test_a_view_of_a_whole_file_keeps_its_size(whole):
    size = whole.stat().st_size
    with mounted(whole.parent) as mnt, mnt.open("w_512x64_float32/data") as fd:
        with open(whole, "ab") as file:
            file.write(b"more")
        assert len(mnt.read("w_512x64_float32/data")) == size
        assert len(os.pread(fd, 2 * size, 0)) == size
        os.truncate(whole, 100)
        with refused("EIO"):
            os.pread(fd, 200, 0)


def stores_of_two(grid, rng, first, second):
    """Bytes stored to two mappings, element by element in turn, as the file has them once both are written back."""
    whole = grid.view()
    views = [whole.at("data"), whole.transposed().at("data"), whole.row(3), whole.col(5), whole[::-1].at("slice/::-1")]
    views += [whole[2:5, ::2].at("slice/2:5,::2"), whole.raveled()[10:30000].at("range/10:30000")]
    one, other = (next(view for view in views if view.path == f"a/{path}") for path in (first, second))
    model = np.frombuffer(grid.model, np.uint8)
    with mounted(grid.path.parent) as mnt:
        with mnt.open(one.path, os.O_RDWR) as fd, mnt.open(other.path, os.O_RDWR) as across:
            mappings = mmap.mmap(fd, 0), mmap.mmap(across, 0)
            taken = set()
            for turn in range(400):
                view, mapping = ((one, mappings[0]), (other, mappings[1]))[turn % 2]
                at = int(rng.integers(view.numpy.size))
                element = view.address.ravel()[at]
                if element in taken:
                    continue
                taken.add(element)
                data = rng.bytes(8)
                mapping[8 * at : 8 * at + 8] = data
                model[element : element + 8] = np.frombuffer(data, np.uint8)
                if rng.random() < 0.05:
                    mapping.flush()
            for mapping in mappings:
                mapping.flush()
            for mapping, view in zip(mappings, (one, other)):
                assert mapping[:] == view.bytes()
                mapping.close()
    assert grid.path.read_bytes() == grid.model


@pytest.mark.parametrize(
    "first, second",
    [("data", "T/data"), ("row/3", "slice/2:5,::2"), ("col/5", "data"), ("slice/::-1", "range/10:30000")],
)
def test_two_mappings_keep_what_is_stored_to_different_elements(grid, rng, first, second):
    """Though they show the same pages of the file: of a page that is written back only what was changed is stored."""
    stores_of_two(grid, rng, first, second)


def test_a_mapping_keeps_what_another_program_stored_beside_it(grid, rng):
    """A page that is written back does not undo what came into the array file behind the mount's back."""
    view = grid.view().row(3)
    with mounted(grid.path.parent) as mnt, mnt.open("a/row/3", os.O_RDWR) as fd, mmap.mmap(fd, 0) as mapping:
        mapping[0:8] = b"abcdefgh"
        with open(grid.path, "r+b") as file:
            os.pwrite(file.fileno(), b"12345678", int(view.address[1]))
        mapping.flush()
        assert grid.path.read_bytes()[view.address[0] :][:16] == b"abcdefgh12345678"


def in_time(seconds, script, *arguments):
    """Runs a Python script that would hang for ever if the mount did."""
    return subprocess.run([sys.executable, "-c", script, *map(str, arguments)], timeout=seconds, check=True)


def test_extending_a_view_under_a_dirty_mapping_of_it(grid):
    script = """if True:
        import mmap, os, sys
        for _ in range(50):
            fd = os.open(sys.argv[1], os.O_RDWR)
            os.ftruncate(fd, 0)
            mapping = mmap.mmap(fd, 8192)
            mapping[0:8] = b"abcdefgh"
            os.ftruncate(fd, 8192)
            mapping.close()
            os.close(fd)
    """
    with mounted(grid.path.parent) as mnt:
        in_time(30, script, mnt / "a/row/3")


@pytest.mark.parametrize("length", [8192, 5000, 300])
def test_zeros_of_an_extension_are_seen_by_mappings_and_sendfile_at_once(grid, length):
    """In the view itself and in one across it, whose pages the kernel has; what is stored to a mapping before is not lost."""
    with mounted(grid.path.parent) as mnt:
        with mnt.open("a/row/3", os.O_RDWR) as fd, mnt.open("a/slice/2:5,::2", os.O_RDWR) as across:
            mapping, other = mmap.mmap(fd, 8192), mmap.mmap(across, 0)
            for turn in range(60):
                start = turn * 17 % length
                os.pwrite(fd, bytes([turn + 1]) * 8192, 0)
                mapping[8000:8008] = b"abcdefgh"
                other[0:4] = b"1234"
                os.ftruncate(fd, start)
                os.ftruncate(fd, length)
                wanted = bytearray(bytes([turn + 1]) * start + bytes(length - start))
                wanted += bytes([turn + 1]) * (8192 - length)
                if length <= 8000:
                    wanted[8000:8008] = b"abcdefgh"
                assert sent(fd, 8192) == wanted, turn
                assert mapping[:] == wanted, turn
                row = b"".join(wanted[at : at + 8] for at in range(0, 8000, 16))
                assert other[4096:8096] == row, turn
            mapping.close()
            other.close()


@pytest.mark.parametrize(
    "rounds, views", [(300, ["a/row/3", "a/slice/2:5,::2", "a/slice/::-1"]), (10, ["a/row/3", "a/row/3"])]
)
def test_programs_that_extend_views_across_each_other(grid, rounds, views):
    """Each waits for pages of the other's view that the kernel does not write before that one is answered."""
    script = """if True:
        import mmap, os, sys
        fd = os.open(sys.argv[1], os.O_RDWR)
        mapping = mmap.mmap(fd, 0)
        size = len(mapping)
        for _ in range(int(sys.argv[2])):
            for at in range(0, size, 4096):
                mapping[at : at + 8] = b"abcdefgh"
            os.ftruncate(fd, 0)
            mapping[0:8] = b"abcdefgh"
            os.ftruncate(fd, size)
    """
    with mounted(grid.path.parent) as mnt:
        programs = [subprocess.Popen([sys.executable, "-c", script, mnt / view, str(rounds)]) for view in views]
        try:
            for program in programs:
                assert program.wait(60) == 0
        finally:
            for program in programs:
                program.kill()


def test_truncating_a_view_that_another_program_stores_to(grid):
    store = """if True:
        import mmap, os, sys
        mapping = mmap.mmap(os.open(sys.argv[1], os.O_RDWR), 8192)
        print("ready", flush=True)
        while True:
            for i in range(0, 8192, 512):
                mapping[i : i + 8] = os.urandom(8)
    """
    truncate = """if True:
        import os, sys
        for _ in range(200):
            fd = os.open(sys.argv[1], os.O_WRONLY | os.O_TRUNC)
            os.pwrite(fd, b"x" * 8000, 100)
            os.ftruncate(fd, 8192)
            os.close(fd)
    """
    with mounted(grid.path.parent) as mnt:
        path = mnt / "a/row/3"
        with subprocess.Popen([sys.executable, "-c", store, path], stdout=subprocess.PIPE) as storer:
            try:
                storer.stdout.readline()
                in_time(60, truncate, path)
            finally:
                storer.kill()


def test_writes_survive_a_program_that_stores_to_a_mapping_all_the_time(grid):
    store = """if True:
        import mmap, os, sys
        mapping = mmap.mmap(os.open(sys.argv[1], os.O_RDWR), 0)
        print("ready", flush=True)
        while True:
            for i in range(0, 8, 1):
                mapping[i : i + 1] = b"s"
    """
    write = """if True:
        import os, sys, time
        fd = os.open(sys.argv[1], os.O_RDWR)
        end, count = time.monotonic() + 4, 0
        while time.monotonic() < end:
            data = count.to_bytes(8, "little")
            os.pwrite(fd, data, 64)
            assert os.pread(fd, 8, 64) == data, f"write {count} was undone"
            count += 1
        assert count > 100, count
    """
    with mounted(grid.path.parent) as mnt:
        with subprocess.Popen([sys.executable, "-c", store, mnt / "a/col/:16"], stdout=subprocess.PIPE) as storer:
            try:
                storer.stdout.readline()
                writers = [
                    subprocess.Popen([sys.executable, "-c", write, mnt / f"a/row/{row}"]) for row in (0, 1, 2)
                ]
                assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
            finally:
                storer.kill()


def test_parallel_writes_after_a_truncation_do_not_clear_each_other(source, rng):
    array = save_random(source / "p.npy", rng, "u1", (1 << 20,))
    piece = (1 << 20) // 8
    with mounted(source) as mnt:
        for step in range(40):
            with mnt.open("p/data", os.O_WRONLY | os.O_TRUNC) as fd:
                data = bytes([step + 1]) * piece
                writers = [threading.Thread(target=os.pwrite, args=(fd, data, k * piece)) for k in range(8)]
                [writer.start() for writer in writers]
                [writer.join() for writer in writers]
            array.write(array.view().at("data"), 0, data * 8)
            assert not array.differs(), f"step {step}"


@pytest.mark.parametrize("flag", [os.O_SYNC, os.O_DSYNC])
def test_synchronous_handles_write_through(grid, rng, flag):
    with mounted(grid.path.parent) as mnt:
        before = mnt.stats()["errors"]
        for view in [grid.view().row(3), grid.view().col(7)]:
            with mnt.open(view.path, os.O_RDWR | flag) as fd:
                data = rng.bytes(view.size)
                assert os.pwrite(fd, data, 0) == view.size
                grid.write(view, 0, data)
        assert mnt.stats()["errors"] == before
        assert not grid.differs()


def test_many_handles_of_a_whole_file_share_one_passage(whole):
    needs_root()
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with mounted(whole.parent, "--cache", "pages") as mnt:
        fds = [os.open(mnt / "w_512x64_float32/data", flags) for _ in range(200) for flags in (os.O_RDONLY, os.O_RDWR)]
        try:
            assert {os.pread(fd, 8, 16) for fd in fds} == {whole.read_bytes()[16:24]}
        finally:
            for fd in fds:
                os.close(fd)
