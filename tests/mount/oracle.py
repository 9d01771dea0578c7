"""What every view must hold: NumPy's answer, and where in the file each of its bytes lies.

A `View` goes two ways at once. `numpy` is the view that NumPy makes of the file's bytes. `address` is an
array of the same shape that holds, for each element, the byte of the file where it starts; whatever is done
to the one is done to the other. The first says what a read must give, the second what a write must change,
and both must agree.
"""

import ast
import os
from pathlib import Path

import numpy as np
from numpy.lib import _format_impl

ANY = slice(None)


def file_name(field):
    """A field's name as afbfs shows it: percent-escaped where it does not fit into a file name."""
    escaped = field.replace("/", "%2F").replace("\0", "%00")
    return {".": "%2E", "..": "%2E%2E"}.get(escaped, escaped)


class View:
    """A view of an array in a file; `path` is where the mount shows it."""

    def __init__(self, path, array, address):
        assert array.shape == address.shape, f"{path}: {array.shape} but {address.shape}"
        self.path = path
        self.numpy = array
        self.address = address

    @property
    def itemsize(self):
        return self.numpy.dtype.itemsize

    @property
    def shape(self):
        return self.numpy.shape

    @property
    def ndim(self):
        return self.numpy.ndim

    @property
    def size(self):
        """Bytes, not elements."""
        return self.numpy.size * self.itemsize

    def bytes(self):
        """The elements in C order, each as stored, padding included."""
        return as_stored(self.numpy)

    def positions(self):
        """For each byte of the view, its position in the file."""
        return (self.address.ravel()[:, np.newaxis] + np.arange(self.itemsize)).ravel()

    def __getitem__(self, expression):
        """The same path, indexed: the caller says how the path goes on."""
        # A tuple with an Ellipsis never gives a scalar, so that the result stays a view.
        words = expression if isinstance(expression, tuple) else (expression,)
        if not any(word is Ellipsis for word in words):
            words = (*words, Ellipsis)
        return View(self.path, self.numpy[words], self.address[words])

    def at(self, path):
        return View(f"{self.path}/{path}", self.numpy, self.address)

    def transposed(self):
        return View(f"{self.path}/T", self.numpy.T, self.address.T)

    def field_names(self):
        """Fields of a structured type; real and imag of a complex one."""
        if self.numpy.dtype.kind == "c":
            return ("real", "imag")
        return self.numpy.dtype.names or ()

    def field(self, name):
        path = f"{self.path}/field/{file_name(name)}"
        if self.numpy.dtype.kind == "c":
            part = getattr(self.numpy, name)
            return View(path, part, self.address + (part.dtype.itemsize if name == "imag" else 0))
        dtype, offset = self.numpy.dtype.fields[name][:2]
        address = self.address + offset
        if dtype.subdtype:
            base, shape = dtype.subdtype
            inside = np.arange(np.prod(shape, dtype=int)).reshape(shape) * base.itemsize
            address = address.reshape(address.shape + (1,) * inside.ndim) + inside
        return View(path, self.numpy[name], address)

    def raveled(self):
        """Elements in C order. NumPy may copy here, so the bytes come in void elements, padding included."""
        return View(self.path, as_void(self.numpy).ravel(), self.address.ravel())

    def row(self, index, spelled=None):
        return self[(index,)].at(f"row/{index if spelled is None else spelled}")

    def col(self, index, spelled=None):
        return self[ANY, index].at(f"col/{index if spelled is None else spelled}")

    def axis(self, axis, index, spelled=None):
        words = (ANY,) * (axis % self.ndim) + (index,)
        return self[words].at(f"axis/{axis}/{index if spelled is None else spelled}")


def as_void(array):
    if array.dtype.itemsize == 0:
        return array
    return array.view(np.dtype((np.void, array.dtype.itemsize)))


def as_stored(array):
    """The elements in C order, each as stored."""
    return b"" if array.dtype.itemsize == 0 else as_void(array).tobytes()


class ArrayFile:
    """An .npy file, and a model of its bytes that NumPy views."""

    def __init__(self, path):
        self.path = Path(path)
        self.model = bytearray(self.path.read_bytes())
        with open(self.path, "rb") as file:
            self.shape, fortran, self.dtype = read_header(file)
            self.offset = file.tell()
        self.order = "F" if fortran else "C"

    def view(self, name=None):
        """The whole array, under the stem of its file or another name."""
        layout = {"offset": self.offset, "order": self.order}
        array = np.ndarray(self.shape, self.dtype, buffer=self.model, **layout)
        numbers = np.arange(array.size).reshape(self.shape, order=self.order)
        return View(name or self.path.stem, array, self.offset + numbers * self.dtype.itemsize)

    def stored(self, view):
        """The bytes of a view by address: right after writes, too, where NumPy's view is a copy (`raveled`)."""
        return bytes(np.frombuffer(self.model, np.uint8)[view.positions()])

    def write(self, view, offset, data):
        """Changes the model as a write of the view at this byte must change the file."""
        where = view.positions()[offset : offset + len(data)]
        np.frombuffer(self.model, np.uint8)[where] = np.frombuffer(data, np.uint8)

    def differs(self):
        """Where the file is not what the model says; empty where they agree."""
        stored = self.path.read_bytes()
        if len(stored) != len(self.model):
            return f"{len(stored)} bytes instead of {len(self.model)}"
        if stored == self.model:
            return ""
        unlike = np.flatnonzero(np.frombuffer(stored, np.uint8) != np.frombuffer(self.model, np.uint8))
        return f"{unlike.size} bytes differ, from {unlike[0]} to {unlike[-1]}"


def read_header(file):
    """NumPy's reading of an .npy header: shape, whether in Fortran order, type."""
    version = np.lib.format.read_magic(file)
    return _format_impl._read_array_header(file, version, max_header_size=10**7)


def save(path, array):
    """Writes an .npy file, and gives its model."""
    with open(path, "wb") as file:
        np.save(file, array)
    return ArrayFile(path)


def save_random(path, rng, dtype, shape, order="C"):
    """Writes an array of random bytes: every bit pattern, whatever the type makes of it."""
    dtype = np.dtype(dtype)
    count = int(np.prod(shape, dtype=int))
    if dtype.itemsize == 0:
        return save(path, np.empty(shape, dtype, order))
    data = np.frombuffer(rng.bytes(count * dtype.itemsize), dtype, count) if count else np.empty(0, dtype)
    return save(path, data.reshape(shape, order=order))


def parse_dtype(text):
    """The type that a `dtype` file names: a string, or Python's repr of dtype.descr."""
    text = text.strip()
    return np.lib.format.descr_to_dtype(ast.literal_eval(text) if text.startswith("[") else text)


def json_dtype(value):
    """The type that the `dtype` of info.json names: JSON lists stand for tuples."""
    if isinstance(value, str):
        return np.dtype(value)

    def field(entry):
        title_and_name, inner, *shape = entry
        name = tuple(title_and_name) if isinstance(title_and_name, list) else title_and_name
        inner = inner if isinstance(inner, str) else descr(inner)
        return (name, inner, *(tuple(sides) for sides in shape))

    def descr(entries):
        return [field(entry) for entry in entries]

    return np.lib.format.descr_to_dtype(descr(value))


def spell_index(rng, index, length):
    """An index, in one of the ways in which it may be written."""
    return str(rng.choice([str(index), str(index - length), f"{index:05d}", f"{index}"]))


def random_range(rng, length):
    """A random range for an axis of this length, and one of its spellings."""
    bounds = [None, *rng.integers(-length - 3, length + 4, 2).tolist(), 10**30, -(10**30)]
    weights = [0.2, 0.38, 0.38, 0.02, 0.02]
    start, stop = (bounds[i] for i in rng.choice(len(bounds), 2, p=weights))
    step = [None, 1, 2, 3, -1, -2, -3, length + 1, -(10**30)][rng.choice(9, p=[0.3] + [0.1] * 6 + [0.05] * 2)]
    parts = ["" if part is None else str(part) for part in (start, stop, step)]
    if step is None:
        parts = parts[: 2 if rng.random() < 0.9 else 3]
    # `..` may stand for each colon where a number stands beside it.
    beside = any(parts) if len(parts) == 2 else parts[1] and parts[2]
    dotted = beside and rng.random() < 0.3
    return slice(start, stop, step), ("..".join(parts) if dotted else ":".join(parts))


def random_pick(rng, length):
    """An index or a range, and its spelling."""
    if length and rng.random() < 0.5:
        index = int(rng.integers(length))
        return index, spell_index(rng, index, length)
    return random_range(rng, length)


def random_expression(rng, shape):
    """Something that may stand between NumPy's brackets, and its spelling."""
    count = int(rng.integers(0, min(len(shape), 8) + 1))
    ellipsis = int(rng.integers(0, count + 1)) if count == 0 or rng.random() < 0.3 else count
    before = shape[:ellipsis]
    after = shape[len(shape) - (count - ellipsis) :] if ellipsis < count else ()
    picks = [random_pick(rng, length) for length in (*before, *after)]
    if count == 0 or ellipsis < count:
        picks.insert(ellipsis, (Ellipsis, "..."))
    return tuple(pick for pick, _ in picks), ",".join(spelled for _, spelled in picks)


def random_view(rng, view):
    """A random view of an array, through any of the folders that show one."""
    view = _random_tree(rng, view)
    kinds = ["data", "range", "slice"] + ["row", "axis"] * (view.ndim >= 1) + ["col"] * (view.ndim >= 2)
    view = globals()[f"_random_{rng.choice(kinds)}"](rng, view)
    if rng.random() < 0.2:
        view = View(view.path + ".raw", view.numpy, view.address)
    return view


def _random_tree(rng, view):
    may_transpose = True
    while True:
        steps = ["field"] * bool(view.field_names()) + ["T"] * may_transpose
        if not steps or rng.random() < 0.6:
            return view
        if rng.choice(steps) == "T":
            view, may_transpose = view.transposed(), False
        else:
            names = view.field_names()
            view = view.field(names[rng.integers(len(names))])


def _random_data(_rng, view):
    return view.at("data")


def _random_row(rng, view):
    pick, spelled = random_pick(rng, view.shape[0])
    return view.row(pick, spelled)


def _random_col(rng, view):
    pick, spelled = random_pick(rng, view.shape[1])
    return view.col(pick, spelled)


def _random_axis(rng, view):
    axis = int(rng.integers(-view.ndim, view.ndim))
    pick, spelled = random_pick(rng, view.shape[axis])
    return view.axis(axis, pick, spelled)


def _random_range(rng, view):
    flat = view.raveled()
    pick, spelled = random_pick(rng, flat.shape[0])
    return flat[pick].at(f"range/{spelled}")


def _random_slice(rng, view):
    expression, spelled = random_expression(rng, view.shape)
    return view[expression].at(f"slice/{spelled}")


def check_view(root, view, rng=None, preads=0):
    """The file of a view, below `root`, holds exactly what NumPy says."""
    wanted = view.bytes()
    path = os.path.join(root, view.path)
    fd = os.open(path, os.O_RDONLY)
    try:
        assert os.fstat(fd).st_size == len(wanted), f"st_size of {view.path}"
        assert read_all(fd, len(wanted) + 1) == wanted, view.path
        for _ in range(preads if wanted else 0):
            offset, length = (int(rng.integers(len(wanted) + 5)) for _ in range(2))
            assert os.pread(fd, length, offset) == wanted[offset : offset + length], f"{view.path} at {offset}+{length}"
    finally:
        os.close(fd)


def read_all(fd, limit):
    """What a descriptor gives until its end."""
    pieces = []
    while limit > 0:
        piece = os.read(fd, min(limit, 1 << 20))
        if not piece:
            break
        pieces.append(piece)
        limit -= len(piece)
    return b"".join(pieces)
