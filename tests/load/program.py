"""One of the processes: it reads what nobody writes, writes rows of its own, and compares all that it reads with the model."""

import gc
import mmap
import os
import random
import time

import numpy as np

from contents import STEADY, of_row, of_steady_rows

HELD = 3


class Program:
    def __init__(self, mnt, arrays, owned, slot, seed):
        self.mnt, self.arrays, self.slot = os.fspath(mnt), arrays, slot
        self.chance = random.Random(seed)
        self.owned = [(array, row, list(of_row(array, row))) for array, row in owned]
        # Views of rows of its own that stay open: descriptor, view, and which row.
        self.held = []
        works = {
            self.read_steady: 30,
            self.read_own: 12,
            self.write_own: 25,
            self.write_held: 14,
            self.read_mixed: 6,
            self.write_text: 2,
            self.load_mapped: 3,
            self.store_mapped: 4,
            self.sync: 2,
            self.look: 3,
        }
        self.works, self.weights = list(works), list(works.values())

    def run(self, end):
        gc.disable()
        while time.monotonic() < end:
            for work in self.chance.choices(self.works, self.weights, k=16):
                work()
        for fd, *_ in self.held:
            with self.slot.timed("write", "close"):
                os.close(fd)

    # --- what all of them do

    def whole(self, shown, kind="read"):
        """Opens a file anew, reads it in one to three pieces, and compares."""
        path = f"{self.mnt}/{shown.path}"
        with self.slot.timed("read text" if shown.form == ".txt" else kind, path):
            fd = os.open(path, os.O_RDONLY)
            try:
                size = os.fstat(fd).st_size
                step = size // self.chance.choice([1, 1, 1, 2, 3]) + 1
                data = b"".join(os.pread(fd, step, at) for at in range(0, size, step))
            finally:
                os.close(fd)
        if len(data) != size or not shown.agrees(data):
            raise AssertionError(f"{path}: {len(data)} bytes of {size}, not what is stored")

    def pick(self):
        """An array, a row of it that is this process's own, and the views of that row."""
        return self.chance.choice(self.owned)

    def change(self, shown):
        """Changes what a view shows in the model, and gives what has to be written for it."""
        shown.fill(self.chance.randrange(1 << 20))
        return shown.bytes()

    def check_row(self, views):
        """What was written is there in another view of the same row."""
        self.whole(self.chance.choice(views), "read back")

    # --- the operations

    def read_steady(self):
        self.whole(self.chance.choice(list(of_steady_rows(self.chance.choice(self.arrays), self.chance))))

    def read_own(self):
        self.whole(self.chance.choice(self.pick()[2]))

    def write_own(self):
        """In place, or as cp does."""
        _, _, views = self.pick()
        shown = self.chance.choice([view for view in views if view.form != ".txt"])
        data, path = self.change(shown), f"{self.mnt}/{shown.path}"
        flags = os.O_RDWR | self.chance.choice([0, 0, os.O_TRUNC])
        with self.slot.timed("write", path):
            fd = os.open(path, flags)
            try:
                write_all(fd, data, self.chance.choice([1, 1, 2]), shown.unit, len(shown.head))
            finally:
                os.close(fd)
        self.check_row(views)

    def write_held(self):
        """Through a descriptor that stays open for a while."""
        if len(self.held) < HELD or self.chance.random() < 0.2:
            self.reopen()
        fd, shown, views = self.chance.choice(self.held)
        data, path = self.change(shown), f"{self.mnt}/{shown.path}"
        with self.slot.timed("write", path):
            write_all(fd, data, self.chance.choice([1, 1, 2]), shown.unit, len(shown.head))
        if self.chance.random() < 0.5:
            self.check_row(views)
            return
        with self.slot.timed("read back", path):
            found = os.pread(fd, len(data) + 1, 0)
        if found != data:
            raise AssertionError(f"{path}: through one descriptor, not what was just written")

    def reopen(self):
        _, _, views = self.pick()
        shown = self.chance.choice([view for view in views if view.form != ".txt"])
        with self.slot.timed("write", f"{self.mnt}/{shown.path}"):
            if len(self.held) == HELD:
                os.close(self.held.pop(0)[0])
            self.held.append((os.open(f"{self.mnt}/{shown.path}", os.O_RDWR), shown, views))

    def read_mixed(self):
        """A column, in which this process knows the elements that are its own or nobody's."""
        array, row, _ = self.pick()
        column = self.chance.randrange(array.columns)
        path = f"{self.mnt}/{array.name}/" + self.chance.choice([f"col/{column}", f"T/row/{column}", f"slice/:,{column}"])
        with self.slot.timed("read", path), open(path, "rb", buffering=0) as file:
            data = file.read()
        found, wanted = np.frombuffer(data, array.dtype), array.elements[:, column]
        if found.shape != wanted.shape or not (found[:STEADY] == wanted[:STEADY]).all() or found[row] != wanted[row]:
            raise AssertionError(f"{path}: not what is stored")

    def write_text(self):
        _, _, views = self.pick()
        texts = [view for view in views if view.form == ".txt"]
        if not texts:
            return
        data, path = self.change(texts[0]), f"{self.mnt}/{texts[0].path}"
        with self.slot.timed("write text", path), open(path, "wb", buffering=0) as file:
            file.write(data)
        self.check_row(views)

    def load_mapped(self):
        """Of what nobody writes, though others write to the same pages."""
        array = self.chance.choice(self.arrays)
        shown = self.chance.choice(list(of_steady_rows(array, self.chance)))
        path = f"{self.mnt}/{shown.path}"
        if shown.form == ".txt":
            return
        with self.slot.timed("map", path), open(path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            data = b""
            if size:
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pages:
                    data = pages[:]
        if not shown.agrees(data):
            raise AssertionError(f"{path}: mapped, it is not what is stored")

    def store_mapped(self):
        """A view of a row that is the process's own, so that no other's mapping has its bytes."""
        _, _, views = self.pick()
        shown = views[0]
        data, path = self.change(shown), f"{self.mnt}/{shown.path}"
        with self.slot.timed("map", path), open(path, "r+b", buffering=0) as file:
            with mmap.mmap(file.fileno(), 0) as pages:
                pages[:] = data
                if self.chance.random() < 0.7:
                    pages.flush()
        self.check_row(views)

    def sync(self):
        _, _, views = self.pick()
        shown = views[0]
        data, path = self.change(shown), f"{self.mnt}/{shown.path}"
        with self.slot.timed("sync", path), open(path, "r+b", buffering=0) as file:
            file.write(data)
            os.fsync(file.fileno())
        self.check_row(views)

    def look(self):
        """What the folders list, and the facts say."""
        array = self.chance.choice(self.arrays)
        path = f"{self.mnt}/{array.name}"
        with self.slot.timed("list", path):
            names = os.listdir(f"{path}/row")
            with open(f"{path}/shape", "rb", buffering=0) as file:
                shape = file.read()
            size = os.stat(f"{path}/data").st_size
        if len(names) != array.rows or shape.split() != [b"%d" % n for n in array.elements.shape] or size != array.elements.nbytes:
            raise AssertionError(f"{path}: {len(names)} rows listed, shape {shape}, size {size}")


def write_all(fd, data, pieces, unit, head):
    """In so many pieces, none of which ends within an element or the header."""
    step = -(-(len(data) - head) // pieces // unit) * unit
    start = 0
    while start < len(data):
        end = start + step + (head if start == 0 else 0)
        count = os.pwrite(fd, data[start:end], start)
        if count != len(data[start:end]):
            raise AssertionError(f"{count} bytes written of {len(data[start:end])} at {start}")
        start += count
