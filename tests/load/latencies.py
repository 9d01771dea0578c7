"""What processes at work tell the one that watches them, through memory that they share: what each is doing and since
when, how many operations it has done, and how long they took."""

import mmap
import time

import numpy as np

KINDS = ["read", "write", "read back", "read text", "write text", "map", "sync", "list"]

# Counts by time in microseconds, as HdrHistogram keeps them: 32 steps to each power of two, so that a time is known to 3 %.
STEPS = 32
BUCKETS = 1024
MICROSECOND = 1000
TEXT = 224

SLOT = np.dtype([("started", "u8"), ("length", "u8"), ("what", "u1", TEXT), ("counts", "u4", (len(KINDS), BUCKETS))])


def bucket_of(microseconds):
    shift = max(0, microseconds.bit_length() - 6)
    return min((shift * STEPS) + (microseconds >> shift), BUCKETS - 1)


def highest_of(bucket):
    """The longest time in microseconds that is counted in a bucket."""
    shift = max(0, bucket // STEPS - 1)
    return ((bucket - shift * STEPS + 1) << shift) - 1


def percentile(counts, share):
    """The time in microseconds within which so much of all that was counted was done; nothing where nothing was."""
    total = int(counts.sum())
    if not total:
        return None
    return highest_of(int(np.searchsorted(np.cumsum(counts), share * total)))


class Board:
    """A slot for each process."""

    def __init__(self, processes):
        self.slots = np.frombuffer(mmap.mmap(-1, SLOT.itemsize * processes), SLOT)
        # When all of it ends, by time.monotonic().
        self.end = np.frombuffer(mmap.mmap(-1, 8), "f8")

    def slot(self, number):
        return Slot(self.slots[number : number + 1])

    def counts(self):
        """For each kind, the counts of all processes."""
        return self.slots["counts"].sum(axis=0, dtype=np.int64)

    def longest(self):
        """How many seconds the operation takes that has taken longest so far, whose it is, and what."""
        started = self.slots["started"].copy()
        at_work = np.flatnonzero(started)
        if not at_work.size:
            return 0.0, 0, ""
        number = int(at_work[np.argmin(started[at_work])])
        slot = self.slots[number]
        what = slot["what"].tobytes()[: int(slot["length"])].decode(errors="replace")
        return (time.monotonic_ns() - int(started[number])) / 1e9, number, what


class Slot:
    """The slot of one process:  with slot.timed("read", path): ..."""

    def __init__(self, slot):
        self._times = memoryview(slot["started"])
        self._length = memoryview(slot["length"])
        self._what = memoryview(slot["what"][0])
        self._counts = [memoryview(counts) for counts in slot["counts"][0]]
        self._numbers = {kind: number for number, kind in enumerate(KINDS)}
        self._kind = None

    def timed(self, kind, path):
        text = f"{kind} {path}".encode()[:TEXT]
        self._what[: len(text)] = text
        self._length[0] = len(text)
        self._kind = self._counts[self._numbers[kind]]
        return self

    def __enter__(self):
        self._times[0] = time.monotonic_ns()

    def __exit__(self, *_):
        self._kind[bucket_of((time.monotonic_ns() - self._times[0]) // MICROSECOND)] += 1
        self._times[0] = 0
