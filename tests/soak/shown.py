"""Arrays and views with NumPy as the model: what reading a view gives, and what writing it changes in the array file."""

import errno
import io

import numpy as np

from oracle import ArrayFile, View, save_random

FINITE = 1000.0


class RawFile(ArrayFile):
    """A raw file in C order, described by its name."""

    def __init__(self, path, shape, dtype):
        self.path = path
        self.model = bytearray(path.read_bytes())
        self.shape, self.dtype, self.offset, self.order = shape, np.dtype(dtype), 0, "C"


class Shown:
    """A file of the mount. `head` stands before the elements; `as_type` is what they are converted to."""

    def __init__(self, array, view, head=b"", as_type=None):
        self.array, self.path, self.head = array, view.path, head
        self.stored_type = view.numpy.dtype
        self.as_type = as_type and np.dtype(as_type)
        self.positions = view.positions()
        self.count = view.numpy.size
        width = self.as_type.itemsize if as_type else view.itemsize
        self.width = width
        self.size = len(head) + self.count * width
        # Plain bytes may be written anywhere, converted elements as wholes.
        self.unit = width if as_type else 1
        self.is_plain = not head and not as_type
        self.is_whole = self.is_plain and np.array_equal(self.positions, np.arange(len(array.model)))

    def _bytes(self):
        return np.frombuffer(self.array.model, np.uint8)

    def _convert(self, stored):
        with np.errstate(all="ignore"):
            if self.as_type.kind == "i" and stored.dtype.kind == "f":
                limits = np.iinfo(self.as_type)
                whole = np.clip(np.nan_to_num(np.trunc(stored), nan=0.0), limits.min, limits.max)
                return whole.astype(self.as_type)
            return stored.astype(self.as_type)

    def bytes(self):
        stored = self._bytes()[self.positions]
        if self.as_type:
            return self._convert(stored.view(self.stored_type)).tobytes()
        return self.head + stored.tobytes()

    def agrees(self, data, offset, wanted):
        """Whether data read at an offset are what is wanted; one NaN is as good as another after a conversion."""
        if data == wanted:
            return True
        if not self.as_type or self.as_type.kind != "f" or len(data) != len(wanted) or offset % self.width:
            return False
        usable = len(data) // self.width * self.width
        left, right = (np.frombuffer(x[:usable], self.as_type) for x in (data, wanted))
        same = (left == right) | (np.isnan(left) & np.isnan(right))
        return bool(same.all()) and data[usable:] == wanted[usable:]

    def write(self, offset, data):
        """Changes the model; gives the error that is to come, if one is."""
        if self.as_type:
            return self._write_converted(offset, data)
        inside = max(0, len(self.head) - offset)
        assert data[:inside] == self.head[offset : offset + inside][: len(data)]
        start = max(0, offset - len(self.head))
        rest = data[inside:]
        self._bytes()[self.positions[start : start + len(rest)]] = np.frombuffer(rest, np.uint8)
        return 0

    def _write_converted(self, offset, data):
        first, count = offset // self.width, len(data) // self.width
        size = self.stored_type.itemsize
        where = self.positions[first * size : (first + count) * size]
        stored = self._bytes()[where].view(self.stored_type)
        new = np.frombuffer(data, self.as_type)
        if self.stored_type.kind == "i":
            limits = np.iinfo(self.stored_type)
            if ((new < limits.min) | (new > limits.max)).any():
                return errno.ERANGE
        now = np.frombuffer(self._convert(stored).tobytes(), np.uint8).reshape(count, self.width)
        unlike = (now != np.frombuffer(data, np.uint8).reshape(count, self.width)).any(axis=1)
        stored = np.where(unlike, new.astype(self.stored_type), stored).astype(self.stored_type)
        self._bytes()[where] = np.frombuffer(stored.tobytes(), np.uint8)
        return 0

    def make(self, rng, length):
        """Something to write: whole elements that are ordinary numbers, or any bytes."""
        if self.as_type:
            count = length // self.width
            if self.as_type.kind == "i":
                return rng.integers(-30000, 30000, count).astype(self.as_type).tobytes()
            if self.stored_type.kind == "i":
                edge = 40000 if rng.random() < 0.1 else 32000
                return rng.integers(-edge, edge, count).astype(self.as_type).tobytes()
            return (FINITE * rng.standard_normal(count)).astype(self.as_type).tobytes()
        if self.stored_type.kind == "f" and length > 8:
            size = self.stored_type.itemsize
            numbers = FINITE * rng.standard_normal(length // size + 1)
            return numbers.astype(self.stored_type).tobytes()[:length]
        return rng.bytes(length)


def converted(array, view, dtype, place, name):
    """`as/NAME` before the last part of a path."""
    *head, last = view.path.rsplit("/", place)
    path = "/".join([*head[:1], "as", name, *([*head[1:], last])])
    return Shown(array, View(path, view.numpy, view.address), as_type=dtype)


def as_npy(array, view):
    """The .npy form: byte for byte what numpy.save writes."""
    file = io.BytesIO()
    np.save(file, view.numpy)
    head = file.getvalue()[: len(file.getvalue()) - view.numpy.nbytes]
    flags = view.numpy.flags
    if flags.f_contiguous and not flags.c_contiguous:
        view = View(view.path, view.numpy.T, view.address.T)
    return Shown(array, View(view.path + ".npy", view.numpy, view.address), head=head)


def views_of(array, rng, name=None):
    """Many views of an array of two axes, plain and converted, which overlap each other everywhere."""
    whole = array.view(name)
    rows, columns = array.shape
    across, down = whole.transposed(), whole
    plain = [whole.at("data"), across.at("data"), whole[::-1, ::-1].at("slice/::-1,::-1"), whole[:, ::-2].at("slice/:,::-2")]
    plain += [down.row(int(i)) for i in rng.choice(rows, 4, replace=False)]
    plain += [down.col(int(j)) for j in rng.choice(columns, 4, replace=False)]
    plain += [across.row(int(rng.integers(columns))), across.col(int(rng.integers(rows)))]
    for _ in range(6):
        a, b = sorted(rng.integers(0, rows + 1, 2).tolist())
        c, d = sorted(rng.integers(0, columns + 1, 2).tolist())
        k, m = (int(step) for step in rng.choice([1, 2, 3, 5], 2))
        if a < b and c < d:
            plain.append(whole[a:b:k, c:d:m].at(f"slice/{a}:{b}:{k},{c}:{d}:{m}"))
    flat = whole.raveled()
    at = int(rng.integers(flat.shape[0] // 2))
    long = flat.shape[0] // 3
    ranges = [flat[at : at + long].at(f"range/{at}:{at + long}"), flat[at::7].at(f"range/{at}::7")]
    ranges.append(flat[::-3].at("range/::-3"))
    found = [Shown(array, view) for view in [*plain, *ranges]]
    for field in whole.field_names():
        part = whole.field(field)
        parts = [part.at("data"), part.row(int(rng.integers(rows))), part.transposed().at("data")]
        found += [Shown(array, view) for view in parts]
        if part.numpy.dtype == np.dtype(">i2"):
            found += [converted(array, view, "<f8", 1, "f8") for view in parts[:1]]
            found += [converted(array, view, "<f8", 2, "f8") for view in parts[1:2]]
            found.append(as_npy(array, parts[1]))
    if array.dtype.kind == "f":
        for view in (plain[4], plain[8], plain[2]):
            found += [converted(array, view, ">f4", 2, "f4be"), converted(array, view, "<i2", 2, "i2")]
        found.append(converted(array, plain[0], ">f4", 1, "f4be"))
    found += [as_npy(array, view) for view in (plain[0], plain[1], plain[4], plain[8], plain[-1])]
    return found


RECORD = [("time", "<f8"), ("count", ">i2"), ("at", "<f4", (2,)), ("flag", "u1")]


def make_arrays(folder, rng):
    """Arrays of all kinds, and the views of each."""
    made = []
    for name, dtype, shape, order in [
        ("c", "<f8", (12, 700), "C"),
        ("f", "<f8", (90, 24), "F"),
        ("s", RECORD, (20, 32), "C"),
    ]:
        array = save_random(folder / f"{name}.npy", rng, dtype, shape, order)
        if array.dtype.kind == "f":
            view = array.view().numpy
            view[:] = FINITE * rng.standard_normal(shape)
            array.path.write_bytes(array.model)
        made.append((array, views_of(array, rng)))
    path = folder / "w_96x40_float32.raw"
    path.write_bytes((FINITE * rng.standard_normal((40, 96))).astype("<f4").tobytes())
    raw = RawFile(path, (40, 96), "<f4")
    made.append((raw, views_of(raw, rng, path.stem)))
    return made
