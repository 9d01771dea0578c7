"""Files of the library safetensors, and files that it refuses."""

import json
import struct

import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.numpy

from harness import mounted
from members import check_member, error_of, folder, info

NUMPY = ["?", "u1", "i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f2", "<f4", "<f8", "<c8"]
# What NumPy has not: bytes of an element, and the name that the mount gives.
FOREIGN = {
    "BF16": (2, "bf16"),
    "F8_E4M3": (1, "f8_e4m3"),
    "F8_E5M2": (1, "f8_e5m2"),
    "F8_E8M0": (1, "f8_e8m0"),
    "F8_E4M3FNUZ": (1, "f8_e4m3fnuz"),
    "F8_E5M2FNUZ": (1, "f8_e5m2fnuz"),
}
SHAPES = [(), (1,), (7,), (3, 5), (2, 0, 3), (2, 3, 4, 5)]


def tensor(dtype, shape, start, end):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


def made(header, data):
    """A file by hand: the library writes neither every dtype nor what it refuses."""
    text = header if isinstance(header, str) else json.dumps(header)
    return struct.pack("<Q", len(text)) + text.encode() + data


def random_array(rng, dtype, shape):
    dtype = np.dtype(dtype)
    count = int(np.prod(shape, dtype=int))
    if dtype == bool:
        return rng.integers(0, 2, shape).astype(bool)
    return np.frombuffer(rng.bytes(count * dtype.itemsize), dtype, count).reshape(shape)


@pytest.fixture
def tensors(rng):
    kinds = [(dtype, axes, shape) for dtype in NUMPY for axes, shape in enumerate(SHAPES)]
    plain = {f"{np.dtype(dtype).name}.{axes}": random_array(rng, dtype, shape) for dtype, axes, shape in kinds}
    return {**plain, "model/layers.0.w:0": random_array(rng, "<f4", (3, 2)), "..": random_array(rng, "u1", (2,))}


def test_every_dtype_and_shape_of_numpy(source, tensors):
    safetensors.numpy.save_file(tensors, source / "a.safetensors", {"format": "np", "step": "7"})
    read = safetensors.numpy.load_file(source / "a.safetensors")
    assert read.keys() == tensors.keys()
    with mounted(source) as mnt:
        for name, array in read.items():
            check_member(mnt, "a", name, array)
            assert info(mnt, "a", name)["container"] == {"format": "np", "step": "7"}
        assert (folder(mnt, "a", "float32.3") / "format").read_text() == "safetensors\n"


def test_dtypes_that_numpy_has_not(source, rng):
    header, data = {}, b""
    for dtype, (size, _) in FOREIGN.items():
        header[dtype] = tensor(dtype, (3, 5), len(data), len(data) + 15 * size)
        data += rng.bytes(15 * size)
    path = source / "a.safetensors"
    path.write_bytes(made(header, data))
    read = dict(safetensors.deserialize(path.read_bytes()))
    with mounted(source) as mnt:
        for dtype, (size, element) in FOREIGN.items():
            stored = np.frombuffer(bytes(read[dtype]["data"]), f"V{size}").reshape(3, 5)
            check_member(mnt, "a", dtype, stored)
            assert info(mnt, "a", dtype)["element"] == element


def test_bf16_as_ml_dtypes_has_it(source, rng):
    array = rng.standard_normal((4, 6)).astype(ml_dtypes.bfloat16)
    (source / "a.safetensors").write_bytes(made({"w": tensor("BF16", array.shape, 0, 48)}, array.tobytes()))
    with mounted(source) as mnt:
        check_member(mnt, "a", "w", array.view("V2"))


def test_what_is_written_is_read_back_by_the_library(source, tensors, rng):
    path = source / "a.safetensors"
    safetensors.numpy.save_file(tensors, path)
    wanted = {name: np.array(array) for name, array in tensors.items()}
    with mounted(source) as mnt:
        for name, array in wanted.items():
            if array.size and array.dtype != bool:
                array[...] = random_array(rng, array.dtype, array.shape)
                mnt.write(folder(mnt, "a", name) / "data", array.tobytes())
    read = safetensors.numpy.load_file(path)
    for name, array in wanted.items():
        assert read[name].tobytes() == array.tobytes(), name


def test_packed_elements_are_refused_and_the_others_served(source):
    header = {"f4": tensor("F4", (2, 4), 0, 4), "f6": tensor("F6_E2M3", (4,), 4, 7), "u1": tensor("U8", (3,), 7, 10)}
    path = source / "a.safetensors"
    path.write_bytes(made(header, bytes(range(10))))
    assert len(safetensors.deserialize(path.read_bytes())) == 3
    with mounted(source) as mnt:
        assert "F4" in error_of(mnt, "a/f4") and "unpack" in error_of(mnt, "a/f4")
        assert "F6_E2M3" in error_of(mnt, "a/f6")
        check_member(mnt, "a", "u1", np.arange(7, 10, dtype="u1"))


A = '"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}'


@pytest.mark.parametrize(
    "header, size, word",
    [
        ({"a": tensor("U8", (4,), 0, 4)}, 3, "truncated"),
        ({"a": tensor("U8", (4,), 0, 4)}, 5, "left over"),
        ({"a": tensor("U8", (4,), 1, 5)}, 5, "hole"),
        ({"a": tensor("U8", (4,), 0, 4), "b": tensor("U8", (4,), 5, 9)}, 9, "hole"),
        ({"a": tensor("U8", (4,), 0, 4), "b": tensor("U8", (4,), 3, 7)}, 7, "overlaps"),
        ({"a": tensor("U8", (4,), 4, 0)}, 4, "ends before it starts"),
        ({"a": tensor("F32", (4,), 0, 4)}, 4, "128 bits"),
        ({"a": tensor("F4", (3,), 0, 2)}, 2, "12 bits"),
        ({"a": tensor("U8", (1 << 32, 1 << 32), 0, 4)}, 4, "too large"),
        ({"a": tensor("U8", (-4,), 0, 4)}, 4, "-4"),
        ({"a": {"dtype": "U8", "shape": [4]}}, 4, "data_offsets"),
        ({"__metadata__": {"x": 1}}, 0, "string"),
        ("[1", 0, "not what the format demands"),
        (f"{{{A}}} {A}", 4, "trailing"),
    ],
)
def test_what_the_library_refuses_is_an_error_that_says_so(source, header, size, word):
    content = made(header, bytes(size))
    with pytest.raises(safetensors.SafetensorError):
        safetensors.deserialize(content)
    (source / "bad.safetensors").write_bytes(content)
    with mounted(source) as mnt:
        assert word in error_of(mnt, "bad")


@pytest.mark.parametrize(
    "content, word",
    [
        (made(f"{{{A},{A}}}", bytes(4)), "twice"),
        (made("{}", b""), "no tensor"),
        (struct.pack("<Q", 100_000_001) + b"{", "100000001"),
        (b"\x01\0\0", "truncated"),
        (b"", "empty"),
    ],
)
def test_what_cannot_be_served_is_an_error_too(source, content, word):
    (source / "bad.safetensors").write_bytes(content)
    with mounted(source) as mnt:
        assert word in error_of(mnt, "bad")


def test_a_file_is_known_by_its_content(source):
    safetensors.numpy.save_file({"w": np.arange(6, dtype="<i4")}, source / "blob")
    with mounted(source) as mnt:
        check_member(mnt, "blob", "w", np.arange(6, dtype="<i4"))
