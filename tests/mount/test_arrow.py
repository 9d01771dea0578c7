"""Arrow IPC and Feather files of pyarrow: columns in one batch and in several."""

import datetime
import decimal
import os

import numpy as np
import pyarrow
import pytest
from pyarrow import feather

from harness import mounted
from members import check_member, error_of, folder, info

NUMBERS = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"]
MOMENTS = [f"{letter}8[{unit}]" for letter in "Mm" for unit in ["s", "ms", "us", "ns"]]


def values(rng, dtype, rows):
    return np.frombuffer(rng.bytes(rows * np.dtype(dtype).itemsize), dtype)


def table(rng, rows):
    """All that is served, among much that is not: a buffer that is not counted would move all behind it."""
    columns = {}
    for dtype in NUMBERS + MOMENTS:
        columns[dtype] = pyarrow.array(values(rng, dtype, rows))
        columns[f"text {dtype}"] = pyarrow.array(["x" * (i % 5) for i in range(rows)])
    columns["nulls"] = pyarrow.array([i if i % 3 else None for i in range(rows)], pyarrow.int32())
    columns["bools"] = pyarrow.array([i % 2 == 0 for i in range(rows)])
    columns["null"] = pyarrow.nulls(rows)
    columns["list"] = pyarrow.array([[1] * (i % 3) for i in range(rows)], pyarrow.list_(pyarrow.int16()))
    columns["large"] = pyarrow.array([b"x" * (i % 3) for i in range(rows)], pyarrow.large_binary())
    columns["map"] = pyarrow.array([[("a", i)] for i in range(rows)], pyarrow.map_(pyarrow.string(), pyarrow.int64()))
    columns["view"] = pyarrow.array([f"long text number {i:09}" for i in range(rows)], pyarrow.string_view())
    columns["dictionary"] = pyarrow.array([f"c{i % 4}" for i in range(rows)]).dictionary_encode()
    dense = pyarrow.array([1] * rows, pyarrow.int8()), pyarrow.array(range(rows), pyarrow.int32())
    columns["union"] = pyarrow.UnionArray.from_dense(*dense, [columns["text i1"], columns["i8"]])
    columns["sparse"] = pyarrow.UnionArray.from_sparse(dense[0], [columns["text i1"], columns["i8"]])
    columns["runs"] = pyarrow.RunEndEncodedArray.from_arrays([rows], [7])
    columns["vector"] = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(values(rng, "f4", 3 * rows)), 3)
    grid = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(values(rng, "i2", 6 * rows)), 3)
    columns["matrix"] = pyarrow.FixedSizeListArray.from_arrays(grid, 2)
    columns["binary"] = pyarrow.array([rng.bytes(5) for _ in range(rows)], pyarrow.binary(5))
    columns["decimal"] = pyarrow.array([decimal.Decimal(i) / 100 for i in range(rows)], pyarrow.decimal128(20, 2))
    columns["date"] = pyarrow.array([datetime.date(2026, 1, 1 + i % 20) for i in range(rows)])
    columns["time"] = pyarrow.array(range(rows), pyarrow.time64("us"))
    columns["struct"] = pyarrow.StructArray.from_arrays([columns["i4"], columns["text i1"], columns["f8"]], "atb")
    columns["last"] = pyarrow.array(values(rng, "i8", rows))
    return pyarrow.table(columns)


REFUSED = ["text i1", "bools", "null", "list", "large", "map", "view", "union", "sparse", "runs", "struct/t"]


def check_table(mnt, path, wanted):
    """Every column that is served, as pyarrow reads it; and why the others are not."""

    def check(name, array, null_count=0):
        check_member(mnt, path, name, array)
        assert info(mnt, path, name)["attributes"]["null_count"] == null_count

    for dtype in NUMBERS + MOMENTS:
        # What pyarrow makes of a moment without a value is another number than the one that was written.
        size = np.dtype(dtype).itemsize
        bits = wanted[dtype].combine_chunks().view(f"int{8 * size}") if dtype in MOMENTS else wanted[dtype]
        check(dtype, bits.to_numpy().view(dtype))
    check("last", wanted["last"].to_numpy())
    found = np.frombuffer((folder(mnt, path, "nulls") / "data").read_bytes(), "<i4")
    is_valid = wanted["nulls"].is_valid().to_numpy()
    assert np.array_equal(found[is_valid], wanted["nulls"].drop_null().to_numpy())
    assert info(mnt, path, "nulls")["attributes"]["null_count"] == wanted["nulls"].null_count
    flat = wanted["vector"].combine_chunks().flatten()
    check("vector", flat.to_numpy().reshape(-1, 3))
    check("matrix", wanted["matrix"].combine_chunks().flatten().flatten().to_numpy().reshape(-1, 2, 3))
    check("binary", np.frombuffer(b"".join(wanted["binary"].to_pylist()), "V5"))
    check("date", np.array(wanted["date"].cast(pyarrow.int32())))
    check("time", np.array(wanted["time"].cast(pyarrow.int64())))
    digits = [int(value * 100) for value in wanted["decimal"].to_pylist()]
    check("decimal", np.frombuffer(b"".join(n.to_bytes(16, "little", signed=True) for n in digits), "V16"))
    assert info(mnt, path, "decimal")["element"] == "decimal128"
    indices = wanted["dictionary"].unify_dictionaries().combine_chunks().indices
    check("dictionary", indices.to_numpy())
    parts = wanted["struct"].combine_chunks()
    check_member(mnt, f"{path}/struct", "a", parts.field("a").to_numpy())
    check_member(mnt, f"{path}/struct", "b", parts.field("b").to_numpy())
    for name in REFUSED:
        assert "convert it" in error_of(mnt, f"{path}/{name}")


def write(path, table, rows_of_a_batch=None):
    with pyarrow.ipc.new_file(path, table.schema) as file:
        file.write_table(table, rows_of_a_batch)


@pytest.mark.parametrize("rows_of_a_batch", [None, 40, 100, 7])
def test_columns_are_those_that_pyarrow_reads(source, rng, rows_of_a_batch):
    write(source / "a.arrow", table(rng, 100), rows_of_a_batch)
    with mounted(source) as mnt:
        check_table(mnt, "a", pyarrow.ipc.open_file(source / "a.arrow").read_all())


@pytest.mark.parametrize("version", ["V4", "V5"])
def test_old_metadata(source, rng, version):
    wanted = table(rng, 20)
    if version == "V4":
        wanted = wanted.drop_columns(["union", "sparse"])
    options = pyarrow.ipc.IpcWriteOptions(
        metadata_version=getattr(pyarrow.ipc.MetadataVersion, version), use_legacy_format=version == "V4"
    )
    with pyarrow.ipc.new_file(source / "a.ipc", wanted.schema, options=options) as file:
        file.write_table(wanted)
    with mounted(source) as mnt:
        for name in ["i1", "f8", "last"]:
            check_member(mnt, "a", name, wanted[name].to_numpy())


def test_batches_of_various_lengths(source, rng):
    whole = table(rng, 16)
    parts = [whole.slice(start, rows) for start, rows in [(0, 5), (5, 9), (14, 2)]]
    with pyarrow.ipc.new_file(source / "a.arrow", parts[0].schema) as file:
        for part in parts:
            for batch in part.to_batches():
                file.write_batch(batch)
    with mounted(source) as mnt:
        for number, part in enumerate(parts):
            check_table(mnt, f"a/{number}", part)


def test_feather(source, rng):
    wanted = pyarrow.table({dtype: values(rng, dtype, 1000) for dtype in NUMBERS})
    feather.write_feather(wanted, source / "a.feather", compression="uncompressed", chunksize=300)
    feather.write_feather(wanted, source / "packed.feather", compression="lz4")
    (source / "old.feather").write_bytes(b"FEA1" + bytes(100) + b"FEA1")
    with mounted(source) as mnt:
        for dtype in NUMBERS:
            check_member(mnt, "a", dtype, wanted[dtype].to_numpy())
        assert "uncompressed" in error_of(mnt, "packed/i4")
        assert "version 1" in error_of(mnt, "old")


@pytest.mark.parametrize("rows_of_a_batch", [None, 30])
def test_what_is_written_is_read_back_by_pyarrow(source, rng, rows_of_a_batch):
    write(source / "a.arrow", table(rng, 100), rows_of_a_batch)
    new = {dtype: values(rng, dtype, 100).copy() for dtype in NUMBERS}
    vectors = rng.normal(0, 1, 100).astype("f4")
    with mounted(source) as mnt:
        for dtype, array in new.items():
            mnt.write(f"a/{dtype}/data", array.tobytes())
        new["f8"][10:90:7] = 1.5
        mnt.write("a/f8/range/10:90:7", np.full(12, 1.5).tobytes())
        mnt.write("a/vector/col/1", vectors.tobytes())
    found = pyarrow.ipc.open_file(source / "a.arrow").read_all()
    for dtype, array in new.items():
        assert found[dtype].to_numpy().tobytes() == array.tobytes(), dtype
    assert np.array_equal(found["vector"].combine_chunks().flatten().to_numpy()[1::3], vectors)


def test_files_that_cannot_be_served_are_errors_that_say_so(source, rng):
    wanted = pyarrow.table({"a": [1, 2, 3]})
    write(source / "cut.arrow", wanted)
    os.truncate(source / "cut.arrow", (source / "cut.arrow").stat().st_size - 1)
    write(source / "empty.arrow", wanted.slice(0, 0))
    with pyarrow.ipc.new_stream(source / "stream.ipc", wanted.schema) as file:
        file.write_table(wanted)
    with mounted(source) as mnt:
        for name, word in {"cut": "truncated", "stream": "new_file", "empty": "no batch"}.items():
            assert word in error_of(mnt, name)


def test_a_file_is_known_by_its_content(source, rng):
    write(source / "blob", pyarrow.table({"a": [1, 2, 3]}))
    with mounted(source) as mnt:
        check_member(mnt, "blob", "a", np.array([1, 2, 3]))
