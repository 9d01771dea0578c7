"""IDX and vectors, written and read by the few lines of NumPy that everybody uses: they have no library."""

import struct

import numpy as np
import pytest

from harness import mounted
from members import check_member, error_of

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def write_idx(path, array):
    code = next(code for code, dtype in TYPES.items() if np.dtype(dtype) == array.dtype)
    path.write_bytes(struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape) + array.tobytes())


def read_idx(path):
    content = path.read_bytes()
    shape = struct.unpack_from(f">{content[3]}I", content, 4)
    return np.frombuffer(content, TYPES[content[2]], offset=4 + 4 * len(shape)).reshape(shape)


def write_vecs(path, array):
    heads = np.full((len(array), 1), array.shape[1], "<i4")
    path.write_bytes(np.hstack([heads.view("u1"), array.view("u1").reshape(len(array), -1)]).tobytes())


def read_vecs(path, dtype):
    content = np.fromfile(path, "u1")
    size = 4 + int(content[:4].view("<i4")[0]) * np.dtype(dtype).itemsize
    return np.ascontiguousarray(content.reshape(-1, size)[:, 4:]).view(dtype)


@pytest.mark.parametrize("dtype", TYPES.values())
def test_idx(source, rng, dtype):
    paths = [source / "a-images-idx3-ubyte", source / "a-labels.idx1-ubyte", source / "c-idx4-ubyte"]
    for path, shape in zip(paths, [(10, 28, 28), (10,), (2, 3, 4, 5)]):
        write_idx(path, rng.integers(0, 100, shape).astype(dtype))
    with mounted(source) as mnt:
        for path, name in zip(paths, ["a-images", "a-labels", "c"]):
            check_member(mnt, "", name, read_idx(path))
        image = rng.integers(0, 100, (28, 28)).astype(dtype)
        mnt.write("a-images/row/3", image.tobytes())
        mnt.write("c-idx4-ubyte/slice/0,0,0,0", image[0, :1].tobytes())
    assert np.array_equal(read_idx(paths[0])[3], image)
    assert read_idx(paths[2])[0, 0, 0, 0] == image[0, 0]


@pytest.mark.parametrize(("extension", "dtype"), [("fvecs", "<f4"), ("ivecs", "<i4"), ("bvecs", "u1")])
def test_vectors(source, rng, extension, dtype):
    path, other = source / f"a.{extension}", source / f"b.{extension}"
    write_vecs(path, rng.integers(0, 100, (50, 128)).astype(dtype))
    write_vecs(other, rng.integers(0, 100, (1, 3)).astype(dtype))
    with mounted(source) as mnt:
        check_member(mnt, "", "a", read_vecs(path, dtype))
        check_member(mnt, "", "b", read_vecs(other, dtype))
        values = rng.integers(0, 100, (50, 128)).astype(dtype)
        mnt.write("a/data", values.tobytes())
        mnt.write("a/col/7", values[::-1, 7].tobytes())
    values[:, 7] = values[::-1, 7].copy()
    assert np.array_equal(read_vecs(path, dtype), values)


def test_files_that_cannot_be_served_are_errors_that_say_so(source):
    write_idx(source / "long-idx3-ubyte", np.zeros((4, 28, 28), "u1"))
    (source / "cut-idx3-ubyte").write_bytes((source / "long-idx3-ubyte").read_bytes()[:-1])
    content = bytearray((source / "long-idx3-ubyte").read_bytes())
    content[11] = 14
    (source / "long-idx3-ubyte").write_bytes(content)
    write_vecs(source / "cut.fvecs", np.zeros((4, 5), "<f4"))
    content = (source / "cut.fvecs").read_bytes()
    (source / "cut.fvecs").write_bytes(content[:-1])
    (source / "ragged.fvecs").write_bytes(content[:-24] + struct.pack("<i5f", 4, *[0] * 5))
    words = {"long": "correct its lengths", "cut-idx3-ubyte": "truncated", "cut.fvecs": "left over", "ragged": "claims 4"}
    with mounted(source) as mnt:
        for name, word in words.items():
            assert word in error_of(mnt, name)
