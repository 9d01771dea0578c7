"""MATLAB files of versions 4 and 5 to 7, written by SciPy and by hand, and read by SciPy."""

import os
import struct

import numpy as np
import pytest
from scipy import sparse
from scipy.io import loadmat, savemat

from harness import mounted
from members import as_in, at, check_member, error_of, info, octave

TYPES = {"4": "f8 f4 i4 i2 u2 u1", "5": "f8 f4 i8 i4 i2 i1 u8 u4 u2 u1 c16 c8 ?"}
CLASSES = {"f8": "double", "f4": "single", "c16": "double", "c8": "single", "?": "logical"}
each_type = pytest.mark.parametrize(("level", "dtype"), [(level, t) for level in TYPES for t in TYPES[level].split()])


def numbers(rng, dtype, shape):
    if dtype == "?":
        return rng.integers(0, 2, shape).astype(dtype)
    if dtype.startswith("c"):
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)
    if dtype.startswith("f"):
        return rng.normal(size=shape).astype(dtype)
    return np.frombuffer(rng.bytes(int(np.prod(shape)) * np.dtype(dtype).itemsize), dtype).reshape(shape)


def check_parts(mnt, path, wanted):
    """An array, or the group of its two parts."""
    if wanted.dtype.kind != "c":
        return check_member(mnt, *at(path), wanted.view("u1") if wanted.dtype == bool else wanted)
    check_member(mnt, *at(f"{path}/real"), wanted.real)
    check_member(mnt, *at(f"{path}/imag"), wanted.imag)


@each_type
def test_matrices_are_those_that_scipy_reads(source, rng, level, dtype):
    shapes = [(3, 4), (1, 1), (1, 7), (5, 1), (0, 0), (0, 3)] + [(2, 3, 4), (2, 1, 3, 2)] * (level == "5")
    wanted = {f"x{number}": numbers(rng, dtype, shape) for number, shape in enumerate(shapes)}
    savemat(source / "a.mat", wanted, format=level)
    read = loadmat(source / "a.mat", mat_dtype=False)
    with mounted(source) as mnt:
        for name, array in wanted.items():
            assert np.array_equal(read[name], array)
            check_parts(mnt, f"a/{name}", array)
        if level == "5":
            path = "a/x0/imag" if dtype.startswith("c") else "a/x0"
            words = {"u": "uint", "i": "int"}
            found = CLASSES.get(dtype) or words[dtype[0]] + str(8 * int(dtype[1]))
            assert info(mnt, *at(path))["attributes"]["class"] == found


def test_complex_numbers_of_level_4(source, rng):
    wanted = numbers(rng, "c16", (3, 5))
    savemat(source / "a.mat", {"z": wanted}, format="4")
    with mounted(source) as mnt:
        check_parts(mnt, "a/z", wanted)


def test_cells_and_structs(source, rng):
    cell = np.empty((2, 2), dtype=object)
    for index, dtype in zip(np.ndindex(2, 2), ["f8", "i2", "c8", "u1"], strict=True):
        cell[index] = numbers(rng, dtype, (2, 3))
    many = np.zeros((1, 3), dtype=[("n", object), ("m", object)])
    for index in range(3):
        many[0, index] = (numbers(rng, "f4", (1, index + 1)), numbers(rng, "i4", (2, 2)))
    one = {"deep": {"deeper": numbers(rng, "f8", (3, 1))}, "cell": cell}
    savemat(source / "a.mat", {"c": cell, "s": many, "t": one}, format="5", do_compression=False)
    read = loadmat(source / "a.mat", struct_as_record=True)
    with mounted(source) as mnt:
        assert sorted(os.listdir(mnt / "a")) == ["c", "s", "t"]
        for place in ("c", "t/cell"):
            for number, index in enumerate([(0, 0), (1, 0), (0, 1), (1, 1)]):
                assert np.array_equal(read["c"][index], cell[index])
                check_parts(mnt, f"a/{place}/{number}", cell[index])
        for index in range(3):
            for field in "nm":
                assert np.array_equal(read["s"][0, index][field], many[0, index][field])
                check_parts(mnt, f"a/s/{index}/{field}", many[0, index][field])
        check_parts(mnt, "a/t/deep/deeper", one["deep"]["deeper"])


@pytest.mark.parametrize("dtype", ["f8", "c16", "?"])
def test_sparse_matrices(source, rng, dtype):
    wanted = sparse.random(6, 5, density=0.4, random_state=1, format="csc")
    wanted.data = numbers(rng, dtype, wanted.nnz) if dtype != "?" else np.ones(wanted.nnz, "?")
    savemat(source / "a.mat", {"s": wanted}, format="5")
    parts = {"ir": wanted.indices.astype("i4"), "jc": wanted.indptr.astype("i4"), "data": wanted.data.real}
    if dtype == "c16":
        parts["imag"] = wanted.data.imag
    with mounted(source) as mnt:
        assert info(mnt, "a/s", "data")["attributes"]["shape"] == [6, 5]
        for name, part in parts.items():
            check_parts(mnt, f"a/s/{name}", part)


def test_sparse_matrices_of_level_4(source):
    wanted = sparse.random(6, 5, density=0.4, random_state=1, format="coo")
    savemat(source / "a.mat", {"s": wanted}, format="4")
    with mounted(source) as mnt:
        facts = info(mnt, "a", "s")
        found = np.frombuffer(mnt.read("a/s/data"), facts["dtype"]).reshape(facts["shape"])
    assert facts["attributes"]["class"] == "sparse" and found[-1].tolist() == [6, 5, 0]
    again = sparse.coo_array((found[:-1, 2], (found[:-1, 0].astype(int) - 1, found[:-1, 1].astype(int) - 1)), (6, 5))
    assert np.array_equal(again.toarray(), loadmat(source / "a.mat")["s"].toarray())


@pytest.mark.parametrize("level", ["4", "5"])
def test_text(source, level):
    savemat(source / "a.mat", {"t": np.array(["hello", "world"])}, format=level)
    with mounted(source) as mnt:
        facts = info(mnt, "a", "t")
        found = np.frombuffer(mnt.read("a/t/data"), facts["dtype"]).reshape(facts["shape"])
        assert facts["attributes"]["class"] == "char"
    assert ["".join(map(chr, row)) for row in found] == loadmat(source / "a.mat")["t"].tolist()


@pytest.mark.parametrize("level", ["-v6", "-v4"])
def test_files_of_octave(source, level):
    octave(f"""x = [1 2 300; -4 5 6]; y = [0.5 1e10]; i = int16([1 -2 3]); z = [1+2i 3.5]; t = 'text';
        save {level} {source}/a.mat x y {"z t" if level == "-v4" else "i z t; c = {1, [2 3; 4 5]}; b = [true false];"}
        {"" if level == "-v4" else f"save {level} {source}/b.mat c b"}""")
    read = loadmat(source / "a.mat", chars_as_strings=False)
    with mounted(source) as mnt:
        for name in ("x", "y", "z/real", "z/imag") + ("i",) * (level == "-v6"):
            group, _, part = name.partition("/")
            wanted = getattr(read[group], part or "real")
            check_member(mnt, *at(f"a/{name}"), as_in(mnt, *at(f"a/{name}"), wanted))
        assert bytes(np.frombuffer(mnt.read("a/t/data"), info(mnt, "a", "t")["dtype"]).astype("u1")) == b"text"
        if level == "-v6":
            assert np.frombuffer(mnt.read("b/c/1/T/data"), info(mnt, "b/c", "1")["dtype"]).tolist() == [2, 4, 3, 5]
            assert mnt.read("b/b/data") == b"\1\0"


def item(order, kind, data):
    return struct.pack(order + "II", kind, len(data)) + data + bytes(-len(data) % 8)


def level_5(order, name, class_number, kind, array):
    """A file with a matrix that is stored in another type than that of its class."""
    array = array.astype(array.dtype.newbyteorder(order))
    parts = item(order, 6, struct.pack(order + "II", class_number, 0))
    parts += item(order, 5, struct.pack(f"{order}{array.ndim}i", *array.shape))
    data = array.tobytes("F")
    if len(name) <= 4:
        parts += struct.pack(order + "I", len(name) << 16 | 1) + name.encode().ljust(4, b"\0")
    else:
        parts += item(order, 1, name.encode())
    parts += item(order, kind, data)
    head = b"MATLAB 5.0 MAT-file, made by hand".ljust(124) + (b"\x00\x01IM" if order == "<" else b"\x01\x00MI")
    return head + item(order, 14, parts)


@pytest.mark.parametrize("order", "<>")
def test_either_byte_order_and_narrow_storage(source, rng, order):
    kinds = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 9}
    arrays = {dtype: numbers(rng, dtype, (4, 3)) for dtype in kinds}
    for dtype, array in arrays.items():
        (source / f"{dtype}.mat").write_bytes(level_5(order, "long name"[: 4 + len(dtype) * 2], 6, kinds[dtype], array))
        codes = {"f8": 0, "f4": 10, "i4": 20, "i2": 30, "u2": 40, "u1": 50}
        if dtype in codes:
            head = struct.pack(order + "5I", codes[dtype] + 1000 * (order == ">"), 4, 3, 0, 2) + b"x\0"
            stored = array.astype(array.dtype.newbyteorder(order))
            (source / f"old-{dtype}.mat").write_bytes(head + stored.tobytes("F"))
    with mounted(source) as mnt:
        for path in sorted(source.glob("*.mat")):
            read = loadmat(path)
            (name,) = [name for name in read if not name.startswith("__")]
            wanted = arrays[path.stem.removeprefix("old-")]
            assert np.array_equal(read[name], wanted)
            check_member(mnt, path.stem, name, wanted.astype(wanted.dtype.newbyteorder(order)))


@pytest.mark.parametrize("level", ["4", "5"])
def test_what_is_written_is_read_back_by_scipy(source, rng, level):
    wanted = numbers(rng, "f8", (3, 4))
    savemat(source / "a.mat", {"first": np.eye(2), "x": wanted}, format=level)
    wanted[1, 2], wanted[:, 0] = -1.5, [7, 8, 9]
    with mounted(source) as mnt:
        mnt.write("a/x/slice/1,2", np.float64(-1.5).tobytes())
        mnt.write("a/x/col/0", np.array([7.0, 8, 9]).tobytes())
    read = loadmat(source / "a.mat")
    assert np.array_equal(read["x"], wanted) and np.array_equal(read["first"], np.eye(2))


def test_files_that_cannot_be_served_are_errors_that_say_so(source, rng):
    wanted = {"a": np.arange(100.0), "b": np.arange(3)}
    savemat(source / "packed.mat", wanted, format="5", do_compression=True)
    savemat(source / "cut.mat", wanted, format="5")
    os.truncate(source / "cut.mat", os.path.getsize(source / "cut.mat") - 9)
    savemat(source / "old.mat", wanted, format="4")
    os.truncate(source / "old.mat", os.path.getsize(source / "old.mat") - 1)
    (source / "text.mat").write_text("1 2 3\n4 5 6\n")
    with mounted(source) as mnt:
        assert os.listdir(mnt / "packed") == ["compressed-1", "compressed-2"]
        words = {"packed/compressed-1": "save -v6", "cut": "damaged", "old": "truncated", "text": "another kind"}
        for name, word in words.items():
            assert word in error_of(mnt, name)
