"""The arrays of the load test: what is in them is known at any moment, from a model in memory that all processes share."""

import functools
import io
import mmap
from pathlib import Path

import numpy as np

# Rows that nobody writes; those behind them belong to one process each.
STEADY = 16
OWN = 4

RECORD = [("time", "<f8"), ("count", ">i2"), ("flag", "u1")]
TYPES = ["<f8", ">i2", "<i4", "<f4", "u1", "<c16", RECORD, ">f8"]
WIDTHS = [96, 250, 517, 1030]
LONGEST = 4096


@functools.cache
def pattern(dtype):
    """A long row of numbers that every type holds; all that is written is a part of it."""
    numbers = np.arange(LONGEST + max(WIDTHS)) * 37 % 101
    if dtype.names:
        row = np.empty(numbers.size, dtype)
        for place, name in enumerate(dtype.names):
            row[name] = np.roll(numbers, place)
        return row
    return numbers.astype(dtype) * dtype.type(1 - 2j) if dtype.kind == "c" else numbers.astype(dtype)


def some(dtype, start, count):
    start %= LONGEST
    return pattern(dtype)[start : start + count]


class Array:
    """A file, and a model of it in which `elements` is the array."""

    def __init__(self, folder, number, rows):
        self.dtype = np.dtype(TYPES[number % len(TYPES)])
        self.order = "CF"[number // len(TYPES) % 2]
        self.rows, self.columns = rows, WIDTHS[number // 3 % len(WIDTHS)]
        is_raw = self.order == "C" and self.dtype == np.dtype("<f4")
        whole = np.empty((rows, self.columns), self.dtype, order=self.order)
        for row in range(rows):
            whole[row] = some(self.dtype, number * 61 + row * 13, self.columns)
        stored = whole.tobytes() if is_raw else saved(whole)
        self.name = f"a{number}_{self.columns}x{rows}_float32" if is_raw else f"a{number}"
        self.path = Path(folder) / f"{self.name}.{'raw' if is_raw else 'npy'}"
        self.path.write_bytes(stored)
        self.model = mmap.mmap(-1, len(stored))
        self.model[:] = stored
        offset = len(stored) - whole.nbytes
        self.elements = np.ndarray(whole.shape, self.dtype, buffer=self.model, offset=offset, order=self.order)

    def differs(self):
        """Where the file is not what the model says; empty where they agree."""
        stored, wanted = np.fromfile(self.path, np.uint8), np.frombuffer(self.model, np.uint8)
        if stored.size != wanted.size:
            return f"{self.path.name}: {stored.size} bytes instead of {wanted.size}"
        unlike = np.flatnonzero(stored != wanted)
        return f"{self.path.name}: {unlike.size} bytes differ, from {unlike[0]} to {unlike[-1]}" if unlike.size else ""


def saved(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


class Shown:
    """A file of the mount: a part of the model, in a form."""

    def __init__(self, array, path, part, as_type=None, form=""):
        self.array, self.part, self.form = array, part, form
        self.path = f"{array.name}/{path}{form}"
        self.as_type = as_type and np.dtype(as_type)
        self.unit = (self.as_type or part.dtype).itemsize

    @functools.cached_property
    def head(self):
        if self.form != ".npy":
            return b""
        file = saved(self.part)
        return file[: len(file) - self.part.nbytes]

    def bytes(self):
        """What reading it gives (of a text: what writing it may say)."""
        if self.form == ".txt":
            return "\n".join(map(str, self.part.tolist())).encode()
        if self.as_type:
            return self.part.astype(self.as_type).tobytes()
        turned = self.head and self.part.flags.f_contiguous and not self.part.flags.c_contiguous
        return self.head + self.part.tobytes("F" if turned else "C")

    def fill(self, start):
        """Changes the model: other numbers of the same type."""
        self.part[:] = some(self.part.dtype, start, self.part.size)

    def agrees(self, data):
        if self.form == ".txt":
            return np.array_equal(np.array(data.split()).astype("f8"), self.part.ravel().astype("f8"))
        return data == self.bytes()


def is_plain_number(dtype):
    return dtype.kind in "iuf"


def of_row(array, row):
    """Views of one row, all of them of the same bytes or of some of them."""
    line = array.elements[row]
    yield Shown(array, f"row/{row}", line)
    yield Shown(array, f"row/{row - array.rows}", line, form=".npy")
    yield Shown(array, f"T/col/{row}", line)
    yield Shown(array, f"slice/{row},::-2", line[::-2])
    yield Shown(array, f"T/slice/5:60:3,{row}", line[5:60:3])
    start = row * array.columns
    yield Shown(array, f"range/{start + 2}:{start + 90}", line[2:90])
    yield from in_other_types(array, f"row/{row}", line)


def of_steady_rows(array, chance):
    """Views of what nobody writes."""
    line, column = chance.randrange(STEADY), chance.randrange(array.columns)
    low, high = sorted(chance.sample(range(array.columns + 1), 2))
    step = chance.choice([1, 2, 3, 7])
    some = array.elements[:STEADY]
    yield from of_row(array, line)
    yield Shown(array, f"slice/:{STEADY},{column}", some[:, column])
    yield Shown(array, f"slice/:{STEADY}:{step},{low}:{high}", some[::step, low:high])
    yield Shown(array, f"T/slice/{low}:{high}:{step},:{STEADY}", some[:, low:high:step].T)
    yield Shown(array, f"range/:{STEADY * array.columns}", some)
    yield Shown(array, f"slice/:{STEADY}", some, form=".npy")
    yield Shown(array, f"row/:{STEADY}", some)


def in_other_types(array, path, part):
    if array.dtype.names:
        yield Shown(array, f"field/count/{path}", part["count"])
        yield Shown(array, f"field/time/{path}", part["time"], form=".npy")
    elif array.dtype.kind == "c":
        yield Shown(array, f"field/imag/{path}", part.imag)
    if is_plain_number(array.dtype):
        yield Shown(array, f"as/f8be/{path}", part, as_type=">f8")
        yield Shown(array, f"as/i2/{path}", part, as_type="<i2")
        yield Shown(array, path, part, form=".txt")


def make(folder, processes, arrays):
    """The arrays, and for each process the rows that belong to it: pairs of an array and a number."""
    each = -(-processes * OWN // arrays)
    made = [Array(folder, number, STEADY + each) for number in range(arrays)]
    owned = [[] for _ in range(processes)]
    for place in range(processes * OWN):
        owned[place // OWN].append((made[place % arrays], STEADY + place // arrays))
    return made, owned
