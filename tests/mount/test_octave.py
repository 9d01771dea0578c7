"""Octave's binary files: written and read by Octave where it is installed, and by hand where it is not."""

import struct

import numpy as np
import pytest
from scipy.io import loadmat

from harness import mounted
from members import at, check_member, error_of, info, octave

INTEGERS = [f"{sign}int{bits}" for sign in ("u", "") for bits in (8, 16, 32, 64)]


def text(order, word):
    return struct.pack(order + "i", len(word)) + word.encode()


def variable(order, name, kind, value):
    return text(order, name) + text(order, "") + b"\0\xff" + text(order, kind) + value


def lengths(order, *shape):
    return struct.pack(f"{order}{1 + len(shape)}i", -len(shape), *shape)


def by_hand(order, *variables):
    return (b"Octave-1-L\0" if order == "<" else b"Octave-1-B\1") + b"".join(variables)


def made(rng, dtype, shape):
    return np.frombuffer(rng.bytes(int(np.prod(shape)) * np.dtype(dtype).itemsize), dtype).reshape(shape)


@pytest.mark.parametrize("order", "<>")
def test_every_stored_type(source, rng, order):
    types = ["u1", "u2", "u4", "i1", "i2", "i4", "f4", "f8", "u8", "i8"]
    real = {t: rng.normal(size=(4, 3)).astype(t) if t[0] == "f" else made(rng, t, (4, 3)) for t in types}
    variables = []
    for number, (dtype, array) in enumerate(real.items()):
        stored = array.astype(order + dtype).tobytes("F")
        parts = np.stack([array, array[::-1]]).astype(order + dtype).tobytes("F")
        variables.append(variable(order, dtype, "matrix", lengths(order, 4, 3) + bytes([number]) + stored))
        variables.append(variable(order, f"z{dtype}", "complex matrix", lengths(order, 4, 3) + bytes([number]) + parts))
    (source / "a.octave").write_bytes(by_hand(order, *variables))
    with mounted(source) as mnt:
        for dtype, array in real.items():
            check_member(mnt, "a", dtype, array.astype(order + dtype))
            if dtype[0] == "f":
                wanted = (array + 1j * array[::-1]).astype(f"{order}c{2 * int(dtype[1])}")
            else:
                wanted = np.empty((4, 3), [("real", order + dtype), ("imag", order + dtype)])
                wanted["real"], wanted["imag"] = array, array[::-1]
            check_member(mnt, "a", f"z{dtype}", wanted)
            assert info(mnt, "a", dtype)["attributes"] == {"class": "double", "type": "matrix"}


VALUES = {
    "x": "reshape(1:24, 2, 3, 4) / 7", "e": "zeros(0, 3)", "s": "pi", "z": "[1+2i 3; 4 5i]", "zs": "1-2i",
    "f": "single([1.5 2 3])", "fs": "single(2.5)", "fz": "single([1+2i 3i])", "t": "'hello'",
    "t2": "['one';'two']", "dq": '"text"', "b": "true",
    "bm": "[true false; false true]", "large": "reshape(0:9999, 100, 100)", "index": "find([0 1 1 0 1])",
}  # fmt: skip


def numbers_in_octave():
    lines = [f"{name} = {value};" for name, value in VALUES.items()]
    for word in INTEGERS:
        lines.append(f"{word}s = {word}(-7); {word}m = {word}([1 200 -3; 4 5 6e9]); {word}e = {word}([]);")
    return "\n".join(lines)


def reference(path):
    return {name: value for name, value in loadmat(path, chars_as_strings=False).items() if not name.startswith("__")}


def as_stored(array):
    """Texts are bytes of characters, truth values bytes."""
    if array.dtype.kind == "U":
        return np.vectorize(ord, otypes=["u1"])(array) if array.size else array.astype("u1")
    return array.view("u1") if array.dtype == bool else array


def test_variables_are_those_that_octave_saves(source):
    script = f"{numbers_in_octave()} save -binary {source}/a.octave; save -v6 {source}/reference.mat"
    octave(script)
    wanted = reference(source / "reference.mat")
    assert len(wanted) == len(VALUES) + 3 * len(INTEGERS)
    classes = {"f4": "single", "f8": "double", "c16": "double", "c8": "single"}
    with mounted(source) as mnt:
        for name, array in wanted.items():
            stored = as_stored(array)
            facts = info(mnt, "a", name)
            if name.startswith("f") and array.dtype.kind == "f":
                stored = stored.astype("f4")
            elif array.dtype.kind in "iuf" and facts["attributes"]["class"] == "double":
                stored = stored.astype(facts["dtype"])
            elif name == "fz":
                stored = stored.astype("c8")
            check_member(mnt, "a", name, stored)
            if name[-1] in "me" and name[:-1] in INTEGERS:
                assert facts["attributes"]["class"] == name[:-1]
            elif array.dtype.str[1:] in classes and name in ("x", "z", "f", "fz", "s"):
                assert facts["attributes"]["class"] == classes[stored.dtype.str[1:]]


def test_cells_structs_and_sparse_matrices(source):
    octave(f"""
        c = {{[1 2; 3 4], 'abc'; int8(5), {{1+2i}}}}; s.one = c; s.two.deep = [7 8 9]; t = struct('q', {{1, [2 3]}});
        p = sparse([1 0 2; 0 0 3]); pz = sparse([0 2i; 0 3]); pb = sparse([true false; true true]);
        r = 2:3:14; d = diag([1 2 3]); none = {{}}; save -binary {source}/a.octave""")
    numbers = {
        "c/0": [[1.0, 2], [3, 4]], "c/3/0": [[1 + 2j]], "s/one/0": [[1.0, 2], [3, 4]], "s/two/deep": [[7.0, 8, 9]],
        "t/q/0": [[1.0]], "t/q/1": [[2.0, 3]], "p/data": [1.0, 2, 3], "pz/data": [2j, 3], "d": [1.0, 2, 3],
    }  # fmt: skip
    integers = {"p/ir": [0, 0, 1], "p/jc": [0, 1, 1, 3], "pz/ir": [0, 1], "pz/jc": [0, 0, 2]}
    with mounted(source) as mnt:
        for name, array in numbers.items():
            check_member(mnt, *at(f"a/{name}"), np.array(array))
        for name, array in integers.items():
            check_member(mnt, *at(f"a/{name}"), np.array(array, "i4"))
        check_member(mnt, *at("a/c/1"), np.array([[5]], "i1"))
        check_member(mnt, *at("a/c/2"), np.array([list(b"abc")], "u1"))
        check_member(mnt, *at("a/pb/data"), np.array([1, 1, 1], "u1"))
        assert info(mnt, "a/p", "data")["attributes"]["shape"] == [2, 3]
        assert info(mnt, "a", "d")["attributes"]["shape"] == [3, 3]
        base, limit, increment = np.frombuffer(mnt.read("a/r/data"))
        assert (base, increment) == (2, 3) and limit >= 14
        assert "holds nothing" in error_of(mnt, "a/none")


def test_what_is_written_is_read_back_by_octave(source):
    octave(f"x = reshape(1:6, 2, 3) / 7; z = [1+2i 3i]; s.f = int16([1 2 3]); save -binary {source}/a.octave")
    with mounted(source) as mnt:
        mnt.write("a/x/slice/1,2", np.float64(-1.5).tobytes())
        mnt.write("a/z/field/imag/data", np.array([[8.0, 9.0]]).tobytes())
        mnt.write("a/s/f/col/1", np.array([-77], "i2").tobytes())
    octave(f"load {source}/a.octave; f = s.f; save -v6 {source}/back.mat x z f")
    back = reference(source / "back.mat")
    wanted = (np.arange(1, 7) / 7).reshape(2, 3, order="F")
    wanted[1, 2] = -1.5
    assert np.array_equal(back["x"], wanted)
    assert back["z"].tolist() == [[1 + 8j, 9j]] and back["f"].tolist() == [[1, -77, 3]]


def test_floats_on_demand(source):
    octave(f"x = [1.5 2; 3 4]; z = x * i; save -float-binary {source}/a.octave")
    with mounted(source) as mnt:
        check_member(mnt, "a", "x", np.array([[1.5, 2], [3, 4]], "f4"))
        check_member(mnt, "a", "z", 1j * np.array([[1.5, 2], [3, 4]], "c8"))
        assert info(mnt, "a", "x")["attributes"]["class"] == "double"


def test_what_cannot_be_served_is_an_error_that_says_so(source):
    scalar = variable("<", "x", "scalar", b"\7" + bytes(8))
    handle = variable("<", "f", "function handle", text("<", "sin"))
    (source / "some.octave").write_bytes(by_hand("<", scalar, handle, scalar))
    (source / "cut.octave").write_bytes(by_hand("<", scalar, scalar)[:-1])
    (source / "text.octave").write_text("# Created by Octave\n")
    (source / "known by content").write_bytes(by_hand("<", scalar))
    words = {"some/f": "file of its own", "cut/x-2": "truncated", "text": "another kind"}
    with mounted(source) as mnt:
        for name, word in words.items():
            assert word in error_of(mnt, name)
        for name in ("some", "cut", "known by content"):
            check_member(mnt, name, "x", np.zeros((1, 1)))
