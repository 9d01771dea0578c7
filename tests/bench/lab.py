"""Scratch files, mounts, timing, and what the kernel tells about pages and processes."""

import contextlib
import ctypes
import mmap
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

LIBC = ctypes.CDLL(None, use_errno=True)
PAGE = mmap.PAGESIZE
MIB = 1 << 20
CORES = len(os.sched_getaffinity(0))
THREADS = min(max(2 * CORES, 4), 16)


class Unavailable(Exception):
    """What is to be measured cannot be measured here."""


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


class Table:
    """The rows: what, goal, figure, whether it is met; and the raw numbers behind them."""

    def __init__(self):
        self.rows = []
        self.raw = []

    def row(self, what, goal, figure, met=None, form="{:.2f}"):
        text = figure if isinstance(figure, str) else form.format(figure)
        self.rows.append((what, goal, text, "" if met is None else "yes" if met else "no"))
        say(f"  {what}: {text} ({goal})")

    def at_least(self, what, figure, goal):
        self.row(what, f">= {goal:g}", figure, round(figure, 2) >= goal)

    def at_most(self, what, figure, goal):
        self.row(what, f"<= {goal:g}", figure, round(figure, 2) <= goal)

    def note(self, text):
        self.raw.append(text)

    def print(self, verbose):
        widths = [max(len(row[i]) for row in self.rows) for i in range(3)]
        head = ("what", "goal", "figure", "met?")
        widths = [max(width, len(word)) for width, word in zip(widths, head, strict=False)]
        for row in [head, *self.rows]:
            print("  ".join([row[0].ljust(widths[0]), row[1].ljust(widths[1]), row[2].rjust(widths[2]), row[3]]).rstrip())
        if verbose:
            print("\nraw numbers:")
            print("\n".join(self.raw))


def buffer(size):
    """Memory that is there already, on a page boundary."""
    memory = mmap.mmap(-1, size)
    memory.write(bytes(size))
    return memory


def timed(action):
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def compare(sides, rounds, note=None):
    """Seconds of each side: the median of rounds that take turns, after one that does not count.

    A side is a function, or a pair of one that prepares and one that is timed.
    """
    seconds = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for name, side in sides.items():
            prepare, action = side if isinstance(side, tuple) else (None, side)
            given = prepare() if prepare else None
            elapsed = timed(lambda action=action, given=given: action(*([] if given is None else [given])))
            if turn or rounds == 1:
                seconds[name].append(elapsed)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    if note:
        table, what, operations = note
        figures = ", ".join(f"{name} {1e6 * median / operations:.1f} us" for name, median in medians.items())
        table.note(f"{what}: {figures}")
    return medians


def read_through(fd, size, memory, request, offset=0):
    """Reads size bytes in requests of one size."""
    view = memoryview(memory)[:request]
    end = offset + size
    while offset < end:
        got = os.preadv(fd, [view[: min(request, end - offset)]], offset)
        if not got:
            raise EOFError("the file is shorter than it should be")
        offset += got


def at_once(actions):
    """Runs each action in a process of its own, all started at once; seconds until the last is done."""
    start_read, start_write = os.pipe()
    done_read, done_write = os.pipe()
    children = []
    for action in actions:
        pid = os.fork()
        if not pid:
            status = 1
            try:
                os.close(start_write)
                os.write(done_write, b"r")
                os.read(start_read, 1)
                action()
                os.write(done_write, b"d")
                status = 0
            finally:
                os._exit(status)
        children.append(pid)
    os.close(start_read)
    os.close(done_write)

    def hear(count):
        while count:
            heard = len(os.read(done_read, count))
            if not heard:
                raise RuntimeError("a process of the benchmark failed")
            count -= heard

    try:
        hear(len(children))
        start = time.perf_counter()
        os.close(start_write)
        start_write = None
        hear(len(children))
        return time.perf_counter() - start
    finally:
        if start_write is not None:
            os.close(start_write)
        os.close(done_read)
        for pid in children:
            os.waitpid(pid, 0)


class CachestatRange(ctypes.Structure):
    _fields_ = [("off", ctypes.c_uint64), ("len", ctypes.c_uint64)]


class Cachestat(ctypes.Structure):
    """Pages of a file, by what they are."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("cache", "dirty", "writeback", "evicted", "recently_evicted")]


def cachestat(path):
    with open(path, "rb") as file:
        whole, answer = CachestatRange(0, 0), Cachestat()
        if LIBC.syscall(451, file.fileno(), ctypes.byref(whole), ctypes.byref(answer), 0):
            raise Unavailable("cachestat (Linux 6.5)")
    return answer


def forget(*paths):
    """Has the kernel forget the pages of files."""
    for path in paths:
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):
            Path("/proc/sys/vm/drop_caches").write_text("1")
    for path in paths:
        with contextlib.suppress(Unavailable):
            if left := cachestat(path).cache:
                say(f"  {left} pages of {Path(path).name} stay in memory")


def io_of(pid, key):
    for line in Path(f"/proc/{pid}/io").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value)
    raise KeyError(key)


def anonymous(pid):
    """MiB of memory of a process that no file backs."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    raise KeyError("RssAnon")


def is_mounted(path):
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return any(line.split()[4] == os.fspath(path) for line in lines)


def wait_for(condition, what, within=20):
    end = time.monotonic() + within
    while not condition():
        if time.monotonic() > end:
            raise Unavailable(f"not within {within} s: {what}")
        time.sleep(0.005)


class Lab:
    """The scratch folder, and what is mounted below it."""

    def __init__(self, scratch, afbfs, empty, quick, long):
        self.scratch = Path(scratch)
        self.afbfs = afbfs
        self.empty = empty
        self.quick = quick
        self.long = long
        self.table = Table()
        self.round_trip = 0.0
        self.side = 4096 if quick else 8192
        self.source = self.scratch / "source"
        self.npy = self.source / "big.npy"
        self.raw = self.source / f"whole_{self.side}x{self.side}_float64.raw"

    def make_arrays(self):
        say(f"making arrays of {self.side} x {self.side} float64")
        self.source.mkdir()
        random = np.random.default_rng(1)
        array = np.lib.format.open_memmap(self.npy, "w+", "f8", (self.side, self.side))
        for start in range(0, self.side, 512):
            array[start : start + 512] = random.random((512, self.side))
        array.flush()
        array.tofile(self.raw)

    def measure_round_trip(self):
        count = "20000" if self.quick else "50000"
        times = [int(subprocess.check_output([self.empty, "ping", count])) for _ in range(5)]
        self.round_trip = statistics.median(times) / 1e9
        self.table.note(f"round trip between two processes over pipes: {self.round_trip * 1e6:.1f} us")

    def memmap(self):
        return np.load(self.npy, mmap_mode="r+")

    def warm(self, *paths):
        for path in paths or (self.npy, self.raw):
            with open(path, "rb", buffering=0) as file:
                memory = bytearray(MIB)
                while file.readinto(memory):
                    pass

    def folder(self, prefix="mnt-"):
        return Path(tempfile.mkdtemp(prefix=prefix, dir=self.scratch))

    @contextlib.contextmanager
    def mounted(self, source=None, *options, wrap=()):
        """The source mounted by afbfs: a path with the daemon's pid."""
        point = self.folder()
        subprocess.run([*wrap, self.afbfs, "mount", *options, source or self.source, point], check=True)
        try:
            yield Mount(point, pid_of(point))
        finally:
            subprocess.run([self.afbfs, "umount", point], check=False)
            if is_mounted(point):
                subprocess.run(["umount", "-l", point], check=False)
            point.rmdir()

    @contextlib.contextmanager
    def served(self, command, point, ready):
        """Another program that serves the mount point in the foreground."""
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: process.poll() is not None or ready(), f"{command[0]} serves")
            if process.poll() is not None:
                raise Unavailable(f"{Path(command[0]).name} ended")
            yield point
        finally:
            for _ in range(50):
                if not is_mounted(point) or not subprocess.run(["umount", point], stderr=subprocess.DEVNULL, check=False).returncode:
                    break
                time.sleep(0.02)
            else:
                subprocess.run(["umount", "-l", point], check=False)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(3)
            process.kill()
            process.wait()

    @contextlib.contextmanager
    def empty_fuse(self, size=1 << 30):
        point = self.folder("empty-")
        command = [self.empty, point, str(size), str(THREADS)]
        with self.served(command, point, lambda: is_mounted(point)):
            yield point / "zeros"
        point.rmdir()


class Mount:
    """A mounted afbfs."""

    def __init__(self, path, pid):
        self.path = path
        self.pid = pid

    def __truediv__(self, name):
        return self.path / name

    @contextlib.contextmanager
    def open(self, name, flags=os.O_RDONLY):
        with opened(self.path / name, flags) as fd:
            yield fd


@contextlib.contextmanager
def opened(path, flags=os.O_RDONLY):
    fd = os.open(path, flags)
    try:
        yield fd
    finally:
        os.close(fd)


def pid_of(point):
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if os.fsencode(point) in words and b"--background-child" in words:
                    return int(entry.name)
    raise Unavailable("the daemon's process")
