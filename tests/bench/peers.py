"""What else shows slices: nbdkit under nbdfuse, a file system in Python, h5py; each against afbfs."""

import contextlib
import os
import shutil
import statistics
import sys
from pathlib import Path

import numpy as np

from lab import MIB, Unavailable, buffer, compare, forget, opened, read_through, timed


def measure(lab):
    lab.warm(lab.npy)
    for name, peer in [("nbdkit file under nbdfuse", nbd), ("a FUSE file system in Python", python), ("h5py", hdf)]:
        try:
            peer(lab, name)
        except Unavailable as reason:
            lab.table.row(name, "", f"not available: {reason}")


def report(lab, name, what, times):
    lab.table.row(f"{name}: {what}: time / afbfs", "", times["peer"] / times["mount"])


def streams(lab, name, view, peer):
    """1 MiB requests of the whole array."""
    size, memory = 64 * MIB, buffer(MIB)
    sides = {
        "mount": lambda: read_through(view, size, memory, MIB),
        "peer": peer if callable(peer) else lambda: read_through(peer, size, memory, MIB),
    }
    times = compare(sides, 5, (lab.table, f"{name}: whole array, 1 MiB", size // MIB))
    report(lab, name, "the whole array, 1 MiB", times)


def opening(path, memory, count=50):
    def action():
        for _ in range(count):
            with opened(path) as fd:
                os.preadv(fd, [memory], 0)

    return action


def nbd(lab, name):
    if not shutil.which("nbdfuse") or not shutil.which("nbdkit"):
        raise Unavailable("nbdkit and nbdfuse")
    length = lab.side * 8

    @contextlib.contextmanager
    def served(offset, size):
        point = lab.folder("nbd-")
        nbdkit = ["nbdkit", "--exit-with-parent", "--filter=offset", "file", str(lab.npy), f"offset={offset}", f"range={size}"]
        with lab.served(["nbdfuse", str(point), "[", *nbdkit, "]"], point, lambda: (point / "nbd").exists()):
            yield point / "nbd"
        point.rmdir()

    with lab.mounted() as mnt:
        whole = lab.side * length
        with served(128, whole) as file, mnt.open("big/data") as view, opened(file) as fd:
            streams(lab, name, view, fd)
        with served(128 + 42 * length, length) as file:
            memory = buffer(length)
            sides = {"mount": opening(mnt / "big/row/42", memory), "peer": opening(file, memory)}
            times = compare(sides, 7, (lab.table, f"{name}: a row", 50))
            report(lab, name, "a row, opened and closed", times)


def python(lab, name):
    try:
        import fuse  # noqa: F401
    except (ImportError, OSError) as reason:
        raise Unavailable(reason) from reason
    script = str(Path(__file__).with_name("pyfuse.py"))

    @contextlib.contextmanager
    def served():
        point = lab.folder("py-")
        with lab.served([sys.executable, script, str(lab.npy), str(point)], point, lambda: (point / "data").exists()):
            yield point
        point.rmdir()

    memory = buffer(lab.side * 8)
    with lab.mounted() as mnt, served() as peer:
        with mnt.open("big/data") as view, opened(peer / "data") as fd:
            streams(lab, name, view, fd)
        sides = {"mount": opening(mnt / "big/row/42", memory), "peer": opening(peer / "row/42", memory)}
        report(lab, name, "a row, opened and closed", compare(sides, 7, (lab.table, f"{name}: a row", 50)))
        with mnt.open("big/col/77") as view, opened(peer / "col/77") as fd:
            sides = {"mount": lambda: os.preadv(view, [memory], 0), "peer": lambda: os.preadv(fd, [memory], 0)}
            report(lab, name, "a column, warm", compare(sides, 15, (lab.table, f"{name}: a column", 1)))

    def theirs():
        with served() as peer, opened(peer / "col/1000") as fd:
            return timed(lambda: os.preadv(fd, [memory], 0))

    cold(lab, name, memory, theirs, [lab.npy])


def cold(lab, name, memory, theirs, files):
    ours, peer = [], []
    for _ in range(1 if lab.quick else 3):
        forget(lab.npy)
        with lab.mounted() as mnt, mnt.open("big/col/1000") as fd:
            ours.append(timed(lambda fd=fd: os.preadv(fd, [memory], 0)))
        forget(*files)
        peer.append(theirs())
    times = {"mount": statistics.median(ours), "peer": statistics.median(peer)}
    lab.table.note(f"{name}: a column, cold: mount {times['mount'] * 1e3:.0f} ms, peer {times['peer'] * 1e3:.0f} ms")
    report(lab, name, "a column, cold", times)


def hdf(lab, name):
    try:
        import h5py
    except ImportError as reason:
        raise Unavailable(reason) from reason
    path = lab.scratch / "big.h5"
    array = np.load(lab.npy, mmap_mode="r")
    with h5py.File(path, "w") as file:
        data = file.create_dataset("x", array.shape, array.dtype)
        for start in range(0, lab.side, 512):
            data[start : start + 512] = array[start : start + 512]
    del array
    rows = MIB // (lab.side * 8)
    piece, one = np.empty((rows, lab.side)), np.empty(lab.side)
    memory = buffer(lab.side * 8)
    with lab.mounted() as mnt, h5py.File(path, "r") as file:
        data = file["x"]

        def stream():
            for start in range(0, 64 * rows, rows):
                data.read_direct(piece, np.s_[start : start + rows])

        def open_row():
            for _ in range(50):
                with h5py.File(path, "r") as again:
                    again["x"].read_direct(one, np.s_[42])

        with mnt.open("big/data") as view:
            streams(lab, name, view, stream)
        sides = {"mount": opening(mnt / "big/row/42", memory), "peer": open_row}
        report(lab, name, "a row, opened and closed", compare(sides, 7, (lab.table, f"{name}: a row", 50)))
        with mnt.open("big/col/77") as view:
            sides = {"mount": lambda: os.preadv(view, [memory], 0), "peer": lambda: data.read_direct(one, np.s_[:, 77])}
            report(lab, name, "a column, warm", compare(sides, 5, (lab.table, f"{name}: a column", 1)))

    def theirs():
        with h5py.File(path, "r") as file:
            return timed(lambda: file["x"].read_direct(one, np.s_[:, 1000]))

    cold(lab, name, memory, theirs, [path])
    path.unlink()
