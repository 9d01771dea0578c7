"""Files of the library gguf, in both byte orders, quantised or not."""

import struct

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type

from harness import mounted
from members import check_member, error_of, folder, info
from oracle import json_dtype

ENDIANS = [gguf.GGUFEndian.LITTLE, gguf.GGUFEndian.BIG]
PLAIN = ["i1", "<i2", "<i4", "<i8", "<f2", "<f4", "<f8"]
# The library gives Q8_1 the size that it had in ggml once; no file holds it.
BLOCKS = [of for of, (block, _) in gguf.GGML_QUANT_SIZES.items() if block > 1 and of is not Type.Q8_1]
SHAPES = [(1,), (7,), (3, 5), (2, 3, 4), (2, 3, 4, 5)]


def write(path, tensors, endian=gguf.GGUFEndian.LITTLE, keys=lambda writer: None):
    """Writes tensors, each an array or a pair of bytes (in the file's order) and type."""
    writer = gguf.GGUFWriter(path, "test", endianess=endian)
    keys(writer)
    for name, tensor in tensors.items():
        if isinstance(tensor, tuple):
            data, of = tensor
            writer.add_tensor(name, data, raw_dtype=of, tensor_endianess=endian)
        else:
            writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def random_array(rng, dtype, shape):
    dtype = np.dtype(dtype)
    return np.frombuffer(rng.bytes(int(np.prod(shape)) * dtype.itemsize), dtype).reshape(shape)


def random_blocks(rng, of, shape):
    """Blocks of a quantised type, as bytes: NumPy's shape, the last axis counting blocks."""
    size = gguf.GGML_QUANT_SIZES[of][1]
    return np.frombuffer(rng.bytes(int(np.prod(shape)) * size), "u1").reshape(*shape[:-1], shape[-1] * size)


def stored(mnt, container, tensor):
    """A tensor as the library reads it, in the type that the mount gives, which must be of the same size."""
    dtype = json_dtype(info(mnt, container, tensor.name)["dtype"])
    data = np.ascontiguousarray(tensor.data)
    if data.dtype == np.uint8:
        return data.view(dtype)
    assert data.dtype == dtype
    return data


@pytest.mark.parametrize("endian", ENDIANS, ids=lambda endian: endian.name)
def test_plain_tensors(source, rng, endian):
    tensors = {
        f"{np.dtype(dtype).name}.{i}": random_array(rng, dtype, shape)
        for dtype in PLAIN
        for i, shape in enumerate(SHAPES)
    }
    write(source / "a.gguf", tensors, endian)
    with mounted(source) as mnt:
        read = gguf.GGUFReader(source / "a.gguf").tensors
        assert {tensor.name for tensor in read} == set(tensors)
        for tensor in read:
            check_member(mnt, "a", tensor.name, stored(mnt, "a", tensor))
            assert tuple(info(mnt, "a", tensor.name)["shape"]) == tensors[tensor.name].shape
            assert "element" not in info(mnt, "a", tensor.name)
        assert (folder(mnt, "a", "float32.2") / "format").read_text() == "gguf\n"


@pytest.mark.parametrize("endian", ENDIANS, ids=lambda endian: endian.name)
def test_blocks_of_every_type(source, rng, endian):
    tensors = {of.name: (random_blocks(rng, of, (3, 2, 2)), of) for of in BLOCKS}
    tensors["BF16"] = (random_array(rng, "u1", (3, 14)), Type.BF16)
    write(source / "a.gguf", tensors, endian)
    with mounted(source) as mnt:
        for tensor in gguf.GGUFReader(source / "a.gguf").tensors:
            facts = info(mnt, "a", tensor.name)
            assert facts["shape"] == ([3, 7] if tensor.name == "BF16" else [3, 2, 2])
            assert json_dtype(facts["dtype"]).itemsize == gguf.GGML_QUANT_SIZES[tensor.tensor_type][1]
            assert facts["element"].upper() == tensor.name
            check_member(mnt, "a", tensor.name, stored(mnt, "a", tensor))


@pytest.mark.parametrize("of", [Type.Q4_0, Type.Q4_1, Type.Q8_0, Type.TQ2_0], ids=lambda of: of.name)
def test_the_fields_of_blocks_are_what_dequantising_needs(source, rng, of):
    values = rng.standard_normal((4, 512)).astype("<f4")
    write(source / "a.gguf", {"w": (gguf.quants.quantize(values, of), of)})
    tensor = gguf.GGUFReader(source / "a.gguf").tensors[0]
    with mounted(source) as mnt:
        blocks = 512 // gguf.GGML_QUANT_SIZES[of][0]

        def field(name, dtype, *inside):
            data = (folder(mnt, "a", "w") / "field" / name / "data").read_bytes()
            return np.frombuffer(data, dtype).reshape(4, blocks, *inside)

        scale = field("d", "<f2").astype("f4")[..., np.newaxis]
        if of is Type.Q8_0:
            found = scale * field("qs", "i1", 32)
        elif of is Type.TQ2_0:
            pairs = field("qs", "u1", 2, 1, 32) >> np.array([0, 2, 4, 6], "u1").reshape(4, 1) & 3
            found = scale * (pairs.reshape(4, blocks, 256).astype("f4") - 1)
        else:
            nibbles = field("qs", "u1", 16)
            low_high = np.concatenate([nibbles & 15, nibbles >> 4], axis=-1).astype("f4")
            low = field("m", "<f2").astype("f4")[..., np.newaxis] if of is Type.Q4_1 else -8 * scale
            found = scale * low_high + low
        wanted = gguf.quants.dequantize(tensor.data, of)
        assert np.allclose(found.reshape(4, 512), wanted, rtol=1e-6, atol=1e-6)


def test_what_is_written_is_read_back_by_the_library(source, rng):
    tensors = {"f": random_array(rng, "<f4", (5, 3)), "q": (random_blocks(rng, Type.Q4_K, (2, 3)), Type.Q4_K)}
    write(source / "a.gguf", tensors)
    new = {"f": random_array(rng, "<f4", (5, 3)), "q": random_blocks(rng, Type.Q4_K, (2, 3))}
    scales = rng.bytes(2 * 3 * 12)
    with mounted(source) as mnt:
        for name, array in new.items():
            mnt.write(folder(mnt, "a", name) / "data", array.tobytes())
        mnt.write(folder(mnt, "a", "q") / "field/scales/data", scales)
    read = {tensor.name: np.array(tensor.data) for tensor in gguf.GGUFReader(source / "a.gguf").tensors}
    assert read["f"].tobytes() == new["f"].tobytes()
    blocks = new["q"].reshape(2, 3, 144).copy()
    blocks[..., 4:16] = np.frombuffer(scales, "u1").reshape(2, 3, 12)
    assert read["q"].tobytes() == blocks.tobytes()


@pytest.mark.parametrize("endian", ENDIANS, ids=lambda endian: endian.name)
def test_metadata_of_every_type(source, endian):
    def keys(writer):
        writer.add_custom_alignment(128)
        writer.add_uint8("t.u8", 200)
        writer.add_int8("t.i8", -5)
        writer.add_uint16("t.u16", 65000)
        writer.add_int16("t.i16", -500)
        writer.add_uint32("t.u32", 4_000_000_000)
        writer.add_int32("t.i32", -70_000)
        writer.add_uint64("t.u64", 2**64 - 1)
        writer.add_int64("t.i64", -(2**63))
        writer.add_float32("t.f32", 1e-6)
        writer.add_float64("t.f64", 0.1)
        writer.add_bool("t.bool", True)
        writer.add_string("t.string", "zwölf")
        writer.add_array("t.numbers", [1, 2, 3])
        writer.add_array("t.texts", ["a", "", "é"])
        writer.add_array("t.vocabulary", [f"token {i}" for i in range(30_000)])
        writer.add_array("t.long", list(range(10_000)))
        writer.add_string("t.template", "x" * 100_000)

    data = np.arange(6, dtype="<f4")
    write(source / "a.gguf", {"w": data, "v": data}, endian, keys)
    reader = gguf.GGUFReader(source / "a.gguf")
    assert all(tensor.data_offset % 128 == 0 for tensor in reader.tensors)
    with mounted(source) as mnt:
        for tensor in reader.tensors:
            check_member(mnt, "a", tensor.name, stored(mnt, "a", tensor))
        attributes = info(mnt, "a", "w")["container"]
        for key, field in reader.fields.items():
            if key in ["t.vocabulary", "t.long", "t.template"]:
                assert key not in attributes
            elif not key.startswith("GGUF."):
                assert attributes[key] == field.contents(), key


def test_a_tensor_that_cannot_be_served_leaves_the_others(source):
    data = np.arange(64, dtype="<f4")
    write(source / "a.gguf", {"first": data, "last": data})
    content = (source / "a.gguf").read_bytes()
    (source / "cut.gguf").write_bytes(content[:-1])
    # The type stands in front of the offset, behind name and dimensions.
    at = content.index(b"first") + 5 + 4 + 8
    for name, of in [("new", 1000), ("old", 31), ("blocks", 12)]:
        changed = content[:at] + struct.pack("<I", of) + content[at + 4 :]
        (source / f"{name}.gguf").write_bytes(changed)
    with mounted(source) as mnt:
        check_member(mnt, "cut", "first", data)
        assert "truncated" in error_of(mnt, "cut/last")
        for name, word in [("new", "1000"), ("old", "taken out"), ("blocks", "no multiple of the 256")]:
            assert word in error_of(mnt, f"{name}/first")
            check_member(mnt, name, "last", data)


def test_files_that_cannot_be_served_are_errors_that_say_so(source):
    write(source / "a.gguf", {"w": np.arange(6, dtype="<f4")})
    write(source / "words.gguf", {}, keys=lambda writer: writer.add_array("t", ["a"]))
    content = (source / "a.gguf").read_bytes()
    (source / "one.gguf").write_bytes(content[:4] + struct.pack("<I", 1) + content[8:])
    (source / "cut.gguf").write_bytes(content[:60])
    (source / "old.gguf").write_bytes(b"tjgg" + content[4:])
    with mounted(source) as mnt:
        for name, word in [("words", "no tensor"), ("one", "version 1"), ("cut", "truncated"), ("old", "magic")]:
            assert word in error_of(mnt, name)


def test_a_file_is_known_by_its_content(source):
    write(source / "a.gguf", {"w": np.arange(6, dtype="<f4")})
    (source / "a.gguf").rename(source / "blob")
    with mounted(source) as mnt:
        check_member(mnt, "blob", "w", np.arange(6, dtype="<f4"))
