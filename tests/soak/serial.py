"""Random operations by several processes, one at a time: after each the view and the array file agree with NumPy."""

import errno
import os
from collections import Counter

from shown import make_arrays
from worker import Gone, Worker

WORKERS = 3


class Loss(AssertionError):
    """The mount and the model differ."""


class Inode:
    """What all handles of a file share."""

    def __init__(self):
        self.writers = 0
        self.handles = 0
        # After a truncation: how far it was truncated and written again since.
        self.end = None
        # Whether another program wrote to the array file since the kernel may have kept pages of the view. Until the view is
        # opened anew, mappings and sendfile(2), and with `--cache pages` reads of what is open for reading only, may show
        # the old bytes: README, "Coherence", "What does not work" and `--cache pages`.
        self.stale = False


class Handle:
    """An open file of a worker."""

    def __init__(self, worker, fd, shown, inode, flags):
        self.worker, self.fd, self.shown, self.inode = worker, fd, shown, inode
        access = flags & os.O_ACCMODE
        self.reads, self.writes = access != os.O_WRONLY, access != os.O_RDONLY
        self.append = bool(flags & os.O_APPEND)
        # Number of each mapping, and whether it is shared, private, or shared and only read.
        self.maps = {}
        self.private = {}

    def call(self, operation, *arguments):
        return self.worker.call(operation, *arguments)


class Serial:
    """Workers, open files, and what is to hold of them. `do_` are the operations: None where one cannot be done now."""

    def __init__(self, mnt, folder, rng, cache):
        self.mnt, self.rng, self.cache = mnt, rng, cache
        self.arrays = make_arrays(folder, rng)
        self.views = [view for _, views in self.arrays for view in views]
        self.files = {array: os.open(array.path, os.O_RDONLY) for array, _ in self.arrays}
        self.workers = [Worker() for _ in range(WORKERS)]
        self.handles, self.inodes = [], {}
        self.counts = Counter()
        self.short = 0
        self.history = []

    # --- one operation after the other

    def run(self, steps, until=None):
        operations = [getattr(self, name) for name in dir(self) if name.startswith("do_")]
        weights = [operation.__func__.__defaults__[0] for operation in operations]
        chances = [weight / sum(weights) for weight in weights]
        step = drawn = 0
        while step < steps and not (until and until()):
            if drawn % 512 == 0:
                order = self.rng.choice(len(operations), 512, p=chances)
            operation = operations[order[drawn % 512]]
            drawn += 1
            self.history = self.history[-60:]
            try:
                shown = operation()
                if shown is None:
                    continue
                self.counts[operation.__name__[3:]] += 1
                step += 1
                self.check(shown)
                if step % 100 == 0:
                    self.check_everything()
            except (OSError, AssertionError, Gone, KeyboardInterrupt) as error:
                told = "\n  ".join(self.history)
                raise Loss(f"step {step}, {operation.__name__}: {error!r}\nbefore:\n  {told}") from error
        self.check_everything()
        return step

    def stop(self, kill=False):
        """Closes everything; or leaves that to the kernel, as when something went wrong."""
        for handle in list(self.handles) * (not kill):
            self.let_go(handle)
        for worker in self.workers:
            worker.kill()
        for fd in self.files.values():
            os.close(fd)

    def note(self, handle, text):
        who = self.workers.index(handle.worker)
        self.history.append(f"{who} fd {handle.fd} {handle.shown.path}: {text}")

    # --- what is to hold

    def check_file(self, array):
        size = len(array.model)
        stored = os.pread(self.files[array], size + 1, 0)
        if stored != array.model:
            unlike = [at for at in range(min(size, len(stored))) if stored[at] != array.model[at]]
            raise Loss(f"{array.path.name}: {len(unlike)} bytes differ: {unlike[:8]}...; {len(stored)} of {size} bytes")

    def check_data(self, shown, data, offset=0, length=None, how="read"):
        wanted = shown.bytes()
        wanted = wanted[offset:] if length is None else wanted[offset : offset + length]
        if not shown.agrees(data, offset, wanted):
            unlike = [at for at in range(min(len(data), len(wanted))) if data[at] != wanted[at]]
            differ = f"{len(unlike)} bytes, the first at {unlike[:1]}, {len(data)} instead of {len(wanted)} bytes"
            raise Loss(f"{shown.path} at {offset}, {how}: {differ}")

    def check(self, shown):
        """The view and the array file, after a step."""
        self.check_file(shown.array)
        open_now = [h for h in self.handles if h.shown is shown and h.reads and not self.may_be_old(h)]
        if open_now:
            handle = open_now[int(self.rng.integers(len(open_now)))]
            self.check_data(shown, handle.call("pread", handle.fd, shown.size + 1, 0), how=f"fd {handle.fd}")
        else:
            self.check_anew(shown)

    def check_anew(self, shown):
        worker = self.workers[int(self.rng.integers(WORKERS))]
        fd, ino, size = worker.call("open", self.mnt / shown.path, os.O_RDONLY)
        assert size == shown.size, f"{shown.path}: {size} instead of {shown.size} bytes"
        if ino in self.inodes:
            self.inodes[ino].stale = False
        self.check_data(shown, worker.call("pread", fd, shown.size + 1, 0), how="opened anew")
        worker.call("close", fd)

    def check_everything(self):
        for handle in self.handles:
            if handle.reads and not self.may_be_old(handle):
                self.check_data(handle.shown, handle.call("pread", handle.fd, handle.shown.size + 1, 0), how="a handle")
            if handle.inode.stale:
                continue
            for number in handle.maps:
                if number not in handle.private:
                    self.check_data(handle.shown, handle.call("load", number, 0, handle.shown.size), how="a mapping")
        for array, views in self.arrays:
            self.check_file(array)
            for shown in views:
                self.check_anew(shown)
        self.counts["whole checks"] += 1

    def may_be_old(self, handle):
        return self.cache == "pages" and handle.inode.stale and not handle.writes

    # --- picks

    def chance(self, share):
        return self.rng.random() < share

    def pick(self, **wanted):
        """A handle with these properties, or none."""
        able = [h for h in self.handles if all(getattr(h, name) == value for name, value in wanted.items())]
        return able[int(self.rng.integers(len(able)))] if able else None

    def writer(self):
        return self.pick(writes=True, append=False)

    def span(self, shown, longest=6000):
        """Where something is written: whole elements of converted views, anything else behind a header."""
        head, unit = len(shown.head), shown.unit
        count = (shown.size - head) // unit
        if self.chance(0.1):
            return head, count * unit
        start = int(self.rng.integers(count))
        length = int(self.rng.integers(1, min(count - start, max(1, longest // unit)) + 1))
        return head + start * unit, length * unit

    # --- writing, in the model

    def apply(self, handle, offset, data):
        """A write: after a truncation it fills the gap first. Gives the error that is to come."""
        shown, inode = handle.shown, handle.inode
        if inode.end is not None and offset > inode.end:
            shown.write(inode.end, bytes(offset - inode.end))
            inode.end = offset
        error = shown.write(offset, data)
        if inode.end is not None and not error:
            inode.end = max(inode.end, offset + len(data))
        return error

    def expect(self, error, handle, operation, *arguments):
        try:
            got = handle.call(operation, *arguments)
        except OSError as failed:
            name = errno.errorcode.get(error, "success")
            assert failed.errno == error, f"{operation}: {failed} instead of {name}"
            return None
        assert not error, f"{operation} gave {got} instead of {errno.errorcode[error]}"
        return got

    def written_by_another(self, array):
        for handle in self.handles:
            if handle.shown.array is array:
                handle.inode.stale = True

    def freshen(self, handle):
        """Opens the view anew, after which nothing is stale."""
        if handle.inode.stale:
            self.check_anew(handle.shown)

    # --- the end of a handle

    def let_go(self, handle):
        """Closes a handle. A truncated view is written to its end before its last writer goes, or said to be short."""
        inode = handle.inode
        self.note(handle, "close")
        short = handle.writes and inode.writers == 1 and inode.end is not None and inode.end < handle.shown.size
        if short and not handle.append and self.chance(0.7):
            data = bytes(handle.shown.size - inode.end)
            handle.call("pwrite", handle.fd, data, inode.end)
            self.apply(handle, inode.end, data)
            short = False
        steps = [("unmap", number) for number in handle.maps]
        steps.insert(int(self.rng.integers(len(steps) + 1)), ("close", handle.fd))
        for operation, number in steps:
            handle.call(operation, number)
        self.handles.remove(handle)
        inode.handles -= 1
        inode.writers -= handle.writes
        if not inode.writers:
            inode.end = None
        if not inode.handles:
            del self.inodes[handle.ino]
        if short:
            self.short += 1
            self.wait_for_short()

    def wait_for_short(self):
        """The kernel lets a file go when it likes, and only then is a truncation over."""
        for _ in range(10_000):
            if self.mnt.stats()["short_overwrites"] == self.short:
                return
        raise Loss(f"{self.mnt.stats()['short_overwrites']} instead of {self.short} short overwrites")
