"""Programs that read and write slices all the while, to which a fault elsewhere must not happen.

    with Bystanders(mnt) as others:
        others.read(array.view().col(3))
        others.write(array, array.view().row(5))
        ...
        others.go_on()

`go_on` waits until each of them has done more since then, so that a test can show that they are served while a fault
lasts. At the end each is asked what it met: no error, and never another byte than NumPy's (or its own); and what was
written last, which was synced, is put into the models, so that `differs` compares whole files with what they must be.
"""

import contextlib
import ctypes
import mmap
import multiprocessing
import os
import signal
import time
import traceback

import numpy as np

from harness import eventually
from oracle import save_random

# Out of step with pages and rows, so that windows begin and end anywhere.
WINDOW = 1719


def pattern(turn, size):
    """What a writer writes at its turn."""
    return (np.arange(size, dtype=np.uint64) * 7 + turn * 13).astype(np.uint8).tobytes()


def keep_open(path, flags):
    """Gives the same descriptor again and again."""
    fd = os.open(path, flags)
    while True:
        yield fd


def open_anew(path, flags):
    """Gives a new descriptor each time, and closes the one before."""
    while True:
        fd = os.open(path, flags)
        try:
            yield fd
        finally:
            os.close(fd)


def reading(fd, wanted, turn):
    """The whole view, and a window of it."""
    assert os.pread(fd, len(wanted) + 1, 0) == wanted, "other bytes than NumPy's"
    start = turn * WINDOW % len(wanted)
    assert os.pread(fd, WINDOW, start) == wanted[start : start + WINDOW], f"other bytes than NumPy's at {start}"


def writing(fd, size, turn):
    data = pattern(turn, size)
    assert os.pwrite(fd, data, 0) == size
    assert os.pread(fd, size, 0) == data, f"not what was just written, turn {turn}"
    os.fsync(fd)


def storing(fd, size, turn):
    data = pattern(turn, size)
    with mmap.mmap(fd, size) as mapping:
        mapping[:] = data
        mapping.flush()
    assert os.pread(fd, size, 0) == data, f"not what was just stored, turn {turn}"


class Bystander:
    """A process that does one thing over and over."""

    def __init__(self, path, flags, work, subject, fresh):
        self.what = f"{work.__name__} {path}"
        # Forked: NumPy is loaded already.
        context = multiprocessing.get_context("fork")
        self._turns = context.RawValue(ctypes.c_uint64)
        self._ends = context.RawValue(ctypes.c_bool)
        self._said, said = context.Pipe(duplex=False)
        fds = (open_anew if fresh else keep_open)(path, flags)
        self._process = context.Process(target=self._run, args=(fds, work, subject, said), daemon=True)
        self._process.start()
        said.close()

    def _run(self, fds, work, subject, said):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            while not self._ends.value:
                work(next(fds), subject, self._turns.value + 1)
                self._turns.value += 1
                time.sleep(0.001)
            fds.close()
            said.send("")
        except BaseException:
            said.send(traceback.format_exc())
        # At once: what the tests have set up for the end of the program is theirs.
        os._exit(0)

    def turns(self):
        assert self._process.is_alive(), f"{self.what}: {self._said.recv()}"
        return self._turns.value

    def end(self):
        """How many turns it took, and what went wrong."""
        self._ends.value = True
        said = self._said.recv() if self._said.poll(30) else "hangs"
        self.kill()
        return self._turns.value, said

    def kill(self):
        self._process.kill()
        self._process.join(30)


class Bystanders:
    """All of a test: they go on until the block ends."""

    def __init__(self, mnt):
        self._mnt = mnt
        self._all = []
        self._written = []

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.end()
        for other in self._all:
            other.kill()

    def _add(self, view, flags, work, subject, fresh):
        other = Bystander(self._mnt / view.path, flags, work, subject, fresh)
        self._all.append(other)
        return other

    def read(self, view, fresh=False):
        """Has a view read, opened once or each time anew. Nobody is to write to it."""
        self._add(view, os.O_RDONLY, reading, view.bytes(), fresh)

    def write(self, array, view, fresh=False):
        """Has a view of an array written, read back and synced."""
        other = self._add(view, os.O_RDWR, writing, view.size, fresh)
        self._written.append((array, view, other))

    def store(self, array, view, fresh=False):
        """The same through a mapping."""
        other = self._add(view, os.O_RDWR, storing, view.size, fresh)
        self._written.append((array, view, other))

    def go_on(self, more=3):
        """Waits until all of them have done more, which shows that nothing keeps them from it."""
        before = [other.turns() for other in self._all]
        for other, turns in zip(self._all, before, strict=True):
            eventually(lambda other=other, turns=turns: other.turns() >= turns + more, f"goes on: {other.what}", within=60)

    def end(self):
        """Ends them (as the end of the block does), checks what they met, and notes in the models what they have written."""
        ended = [(other, *other.end()) for other in self._all]
        self._all = []
        for other, turns, said in ended:
            assert not said, f"{other.what}: {said}"
            assert turns > 0, f"{other.what}: nothing was done"
        turns = {other: count for other, count, _ in ended}
        for array, view, other in self._written:
            array.write(view, 0, pattern(turns[other], view.size))
        self._written = []


def company_arrays(source, rng):
    """Two arrays for company: one in C order, one in Fortran order."""
    rows = save_random(source / "rows.npy", rng, "<f8", (64, 512))
    columns = save_random(source / "columns.npy", rng, ">i4", (48, 300), "F")
    return [rows, columns]


@contextlib.contextmanager
def keep_company(mnt, arrays):
    """Bystanders who use these arrays of the mount in every way."""
    rows, columns = (array.view() for array in arrays)
    with Bystanders(mnt) as run:
        run.read(rows[:30].at("slice/:30"), fresh=True)
        run.read(rows[:40, 7].at("slice/:40,7"))
        run.write(arrays[0], rows.row(40))
        run.store(arrays[0], rows.row(41), fresh=True)
        run.write(arrays[1], columns[9, :40].at("slice/9,:40"), fresh=True)
        yield run


def check_files(*arrays):
    """Each file holds what its model says, in every byte."""
    for array in arrays:
        assert not array.differs(), f"{array.path.name}: {array.differs()}"
