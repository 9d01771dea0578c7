"""Others at work, limits that a daemon is started with, and groups whose memory is limited."""

import contextlib
import json
import os
import resource
import subprocess
import threading
from pathlib import Path

import numpy as np

from harness import eventually, needs_root, unavailable
from oracle import save_random

MIB = 1 << 20


class Others:
    """A reader and a writer of two other arrays of the source, who must notice nothing."""

    def __init__(self, source, rng):
        self.steady = save_random(source / "steady.npy", rng, "<f8", (32, 512))
        self.busy = save_random(source / "busy.npy", rng, "<f8", (32, 512))

    @contextlib.contextmanager
    def at_work(self, mnt):
        stop, faults, rounds = threading.Event(), [], {"reads": 0, "writes": 0}
        view = self.steady.view().col(3)
        row, column = self.steady.view().row(5).bytes(), view.bytes()

        def read(row_fd, column_fd):
            assert os.pread(row_fd, 4096, 0) == row, "another row"
            assert os.pread(column_fd, 256, 0) == column, "another column"
            rounds["reads"] += 1

        def write(row_fd, column_fd):
            number = rounds["writes"] % 256
            assert os.pwrite(row_fd, bytes([number]) * 4096, 0) == 4096
            assert os.pwrite(column_fd, bytes([number + 1 & 255]) * 256, 0) == 256
            # Row 5 and column 3 meet in one element.
            seen = os.pread(row_fd, 4096, 0)
            assert seen == bytes([number]) * 24 + bytes([number + 1 & 255]) * 8 + bytes([number]) * 4064
            rounds["writes"] += 1

        def keep_on(work, *fds):
            try:
                while not stop.wait(0.002):
                    work(*fds)
            except (OSError, AssertionError) as error:
                faults.append(f"{work.__name__}: {error}")

        with contextlib.ExitStack() as stack:
            both = [stack.enter_context(mnt.open(f"steady/{name}")) for name in ["row/5", "col/3"]]
            busy = [stack.enter_context(mnt.open(f"busy/{name}", os.O_RDWR)) for name in ["row/5", "col/3"]]
            threads = [threading.Thread(target=keep_on, args=(read, *both)), threading.Thread(target=keep_on, args=(write, *busy))]
            for thread in threads:
                thread.start()
            try:
                yield rounds
                before = dict(rounds)
                eventually(lambda: faults or all(rounds[key] > before[key] + 1 for key in rounds), "others get on", within=30)
            finally:
                stop.set()
                for thread in threads:
                    thread.join()
        assert not faults
        assert mnt.is_alive()


def limited(which, soft, hard=None):
    """How a daemon is started with a limit:  with mounted(source, preexec_fn=limited(RLIMIT_AS, n)) as mnt: ..."""
    return lambda: resource.setrlimit(which, (soft, hard or soft))


def descriptors(mnt):
    return len(os.listdir(f"/proc/{mnt.pid}/fd"))


def addresses(mnt):
    """Bytes of addresses that the daemon uses."""
    return mnt.status("VmSize") * 1024


@contextlib.contextmanager
def memory_group(limit):
    """A group of processes that may use so much memory together, page cache included; of version 2 or 1 of cgroups."""
    needs_root()
    name = f"afbfs-limits-{os.getpid()}"
    tops = [("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")]
    for top, key in tops:
        folder = Path(top) / name
        try:
            folder.mkdir()
        except OSError:
            continue
        if (folder / key).exists():
            break
        folder.rmdir()
    else:
        unavailable("a memory cgroup cannot be made")
    try:
        (folder / key).write_text(str(limit))
        if (folder / "memory.swap.max").exists():
            (folder / "memory.swap.max").write_text("0")
        yield folder
    finally:
        eventually(lambda: not (folder / "cgroup.procs").read_text(), "the processes of the group end", within=30)
        folder.rmdir()


def entering(folder):
    """How a program is started in a group."""
    return lambda: (folder / "cgroup.procs").write_text(str(os.getpid()))


def killed(folder):
    """How many processes the kernel has killed there for want of memory."""
    events = next(path for path in [folder / "memory.events", folder / "memory.oom_control"] if path.exists())
    return next(int(line.split()[1]) for line in events.read_text().splitlines() if line.startswith("oom_kill "))


def save_zarr(folder, array, chunks):
    """An array in as many files as it has chunks, version 2 of the format, without a compressor."""
    folder.mkdir()
    facts = {
        "zarr_format": 2, "shape": array.shape, "chunks": chunks, "dtype": array.dtype.str, "compressor": None,
        "fill_value": 0, "order": "C", "filters": None,
    }  # fmt: skip
    (folder / ".zarray").write_text(json.dumps(facts))
    for index in np.ndindex(*(length // chunk for length, chunk in zip(array.shape, chunks, strict=True))):
        part = tuple(slice(at * chunk, (at + 1) * chunk) for at, chunk in zip(index, chunks, strict=True))
        (folder / ".".join(map(str, index))).write_bytes(array[part].tobytes())


def load_zarr(folder, like, chunks):
    array = np.empty_like(like)
    for index in np.ndindex(*(length // chunk for length, chunk in zip(like.shape, chunks, strict=True))):
        part = tuple(slice(at * chunk, (at + 1) * chunk) for at, chunk in zip(index, chunks, strict=True))
        array[part] = np.fromfile(folder / ".".join(map(str, index)), like.dtype).reshape(chunks)
    return array


def as_user(uid, *command, **options):
    """Starts a program as an ordinary user."""
    words = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *map(os.fspath, command)]
    return subprocess.Popen(words, **options)


@contextlib.contextmanager
def task_group():
    """A group of processes whose number can be limited."""
    for top in ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"]:
        folder = Path(top) / f"afbfs-limits-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            continue
        if (folder / "pids.max").exists():
            break
        folder.rmdir()
    else:
        unavailable("no cgroup that limits the number of processes can be made")
    try:
        yield folder
    finally:
        eventually(lambda: not (folder / "cgroup.procs").read_text(), "the processes of the group end", within=30)
        folder.rmdir()


# Lists, maps and opens without end.
HOG = """
import mmap, os, resource, sys, threading
mount, uid = sys.argv[1], os.getuid()
limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

def list_on():
    while True:
        os.listdir(mount + "/folder")

def map_on():
    kept, number = [], 0
    while True:
        try:
            fd = os.open(f"{mount}/folder/a{number % 3000}/row/1", os.O_RDONLY)
            kept.append(mmap.mmap(fd, 0, mmap.MAP_SHARED, mmap.PROT_READ))
            kept[-1][0]
            os.close(fd)
            number += 1
        except OSError as error:
            print("refused", error.errno, flush=True)
            kept.clear()

def open_on():
    kept, number = [], 0
    while True:
        try:
            kept.append(os.open(f"{mount}/folder/a{number % 3000}/data.txt", os.O_RDONLY))
            number += 1
        except OSError as error:
            while kept:
                os.close(kept.pop())

for work in [list_on, map_on, open_on]:
    threading.Thread(target=work, daemon=True).start()
print("at work", flush=True)
threading.Event().wait()
"""
