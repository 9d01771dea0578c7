"""afbfs unpack on arrays in chunks: Zarr and HDF5, with every codec that their libraries offer."""

import itertools
import os
import subprocess
import sys
import warnings
from pathlib import Path

import h5py
import numcodecs
import numpy as np
import pytest
import zarr
import zarr.codecs.numcodecs as zarr_numcodecs
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, ShardingCodec, TransposeCodec, ZstdCodec

from harness import afbfs, mounted

SHAPE = (37, 53, 11)
CHUNK = (10, 20, 5)


@pytest.fixture(autouse=True)
def no_warnings():
    # Of codecs that other implementations of Zarr may lack.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def numbers(rng, dtype, shape=SHAPE):
    """Numbers that change slowly, as measured ones do, so that compressors find something."""
    steps = rng.integers(-3, 4, int(np.prod(shape))).cumsum()
    return steps.reshape(shape).astype(dtype)


def unpacked(source, out, *options):
    """What a copy holds."""
    answer = afbfs("unpack", source, out, *options)
    assert answer.returncode == 0, answer.stderr.decode()
    return np.load(out)


def check(source, out, wanted, *options):
    found = unpacked(source, out, *options)
    assert found.dtype == wanted.dtype
    assert found.flags.c_contiguous
    assert found.shape == wanted.shape
    # By bytes: NaN is equal to itself here, and -0 is not 0.
    assert found.tobytes() == wanted.tobytes()


def refusal(source, out, *options):
    """The message of a failure, which leaves nothing behind."""
    before = sorted(os.listdir(out.parent))
    answer = afbfs("unpack", source, out, *options)
    assert answer.returncode == 1
    assert sorted(os.listdir(out.parent)) == before
    return answer.stderr.decode()


BLOSC = [
    numcodecs.Blosc(compressor, 5, shuffle, block)
    for compressor in numcodecs.blosc.list_compressors()
    for shuffle, block in itertools.product((0, 1, 2), (0, 1024))
]
COMPRESSORS = [
    None,
    numcodecs.BZ2(),
    numcodecs.GZip(),
    numcodecs.LZ4(),
    numcodecs.LZMA(),
    numcodecs.LZMA(format=2),
    numcodecs.Zlib(),
    numcodecs.Zstd(1),
    numcodecs.Zstd(19, checksum=True),
    *BLOSC,
]


@pytest.mark.parametrize("compressor", COMPRESSORS, ids=str)
def test_zarr_2_compressors(scratch, rng, compressor):
    for number, (dtype, order) in enumerate([("<i4", "C"), (">f8", "F"), ("S3", "F")]):
        folder = scratch / f"{number}.zarr"
        array = zarr.create_array(
            folder, shape=SHAPE, chunks=CHUNK, dtype=dtype, zarr_format=2, compressors=compressor, order=order
        )
        # The last chunks are never written.
        array[:30] = numbers(rng, dtype)[:30]
        check(folder, scratch / f"{number}.npy", array[...])


@pytest.mark.parametrize(
    "filters",
    [
        [numcodecs.Shuffle(4)],
        [numcodecs.Shuffle(8)],
        [numcodecs.Delta("<i4", "<i2")],
        [numcodecs.Delta("<i4")],
        [numcodecs.FixedScaleOffset(100, 0.5, "<i4", "<i2")],
        [numcodecs.CRC32()],
        [numcodecs.CRC32(location="end"), numcodecs.Adler32()],
        [numcodecs.CRC32C(), numcodecs.CRC32C(location="start")],
        [numcodecs.Fletcher32()],
        [numcodecs.AsType("<f8", "<i4")],
        [numcodecs.Delta("<i4"), numcodecs.Shuffle(4), numcodecs.Fletcher32()],
    ],
    ids=str,
)
def test_zarr_2_filters(scratch, rng, filters):
    for compressor in (None, numcodecs.Zstd()):
        folder = scratch / f"{compressor}.zarr"
        array = zarr.create_array(
            folder, shape=SHAPE, chunks=CHUNK, dtype="<i4", zarr_format=2, filters=filters, compressors=compressor
        )
        array[...] = numbers(rng, "<i4")
        check(folder, scratch / f"{compressor}.npy", array[...])


@pytest.mark.parametrize(
    ("dtype", "filter_"),
    [
        ("<f4", numcodecs.Delta("<f4")),
        (">f8", numcodecs.Delta(">f8")),
        ("<f8", numcodecs.FixedScaleOffset(3.25, 10, "<f8", "<i4")),
        ("<f4", numcodecs.FixedScaleOffset(1000, 7, "<f4", "<u1")),
        ("<f4", numcodecs.FixedScaleOffset(0.1, 3, "<f4", "<f4")),
        ("<f8", numcodecs.Quantize(2, "<f8", "<f4")),
        ("<f2", numcodecs.Quantize(1, "<f2")),
        ("<f4", numcodecs.BitRound(5)),
        ("?", numcodecs.PackBits()),
        ("<u8", numcodecs.Delta("<u8")),
        ("i1", numcodecs.Delta("i1")),
    ],
    ids=str,
)
def test_zarr_2_filters_of_other_types(scratch, rng, dtype, filter_):
    folder = scratch / "a.zarr"
    array = zarr.create_array(
        folder, shape=(1000,), chunks=(300,), dtype=dtype, zarr_format=2, filters=[filter_], compressors=numcodecs.Zlib()
    )
    array[...] = numbers(rng, "f8", 1000) % 50 if dtype != "?" else numbers(rng, "i4", 1000) % 3 > 0
    check(folder, scratch / "a.npy", array[...])


V3 = {
    "blosc": [BloscCodec(cname=cname, shuffle=shuffle) for cname in ("blosclz", "lz4", "lz4hc", "zlib", "zstd")
              for shuffle in ("noshuffle", "shuffle", "bitshuffle")],
    "others": [GzipCodec(), ZstdCodec(), ZstdCodec(level=9, checksum=True), Crc32cCodec()],
    "numcodecs": [zarr_numcodecs.BZ2(), zarr_numcodecs.LZ4(), zarr_numcodecs.LZMA(), zarr_numcodecs.Zlib(),
                  zarr_numcodecs.Zstd(), zarr_numcodecs.GZip(), zarr_numcodecs.Blosc(cname="zstd", shuffle=1),
                  zarr_numcodecs.Shuffle(elementsize=4), zarr_numcodecs.CRC32(), zarr_numcodecs.CRC32C(),
                  zarr_numcodecs.Adler32(), zarr_numcodecs.Fletcher32()],
}  # fmt: skip


@pytest.mark.parametrize("codec", list(itertools.chain(*V3.values())), ids=str)
def test_zarr_3_codecs(scratch, rng, codec):
    for number, (dtype, endian) in enumerate([("int32", "little"), ("float64", "big"), ("uint16", "big")]):
        folder = scratch / f"{number}.zarr"
        codecs = {"compressors": [codec, Crc32cCodec()], "serializer": BytesCodec(endian=endian)}
        if number:
            codecs["filters"] = [TransposeCodec(order=(2, 0, 1))]
        array = zarr.create_array(folder, shape=SHAPE, chunks=CHUNK, dtype=dtype, fill_value=7, **codecs)
        array[:, :40] = numbers(rng, dtype)[:, :40]
        check(folder, scratch / f"{number}.npy", array[...].astype(f"{'<' if endian == 'little' else '>'}{array.dtype.str[1:]}"))


@pytest.mark.parametrize(
    "filter_",
    [
        zarr_numcodecs.Delta(dtype="<i4"),
        zarr_numcodecs.FixedScaleOffset(offset=1, scale=1, dtype="<i4", astype="<i8"),
        zarr_numcodecs.AsType(encode_dtype="<i8", decode_dtype="<i4"),
    ],
    ids=str,
)
def test_zarr_3_filters(scratch, rng, filter_):
    folder = scratch / "a.zarr"
    array = zarr.create_array(folder, shape=SHAPE, chunks=CHUNK, dtype="int32", filters=[filter_], compressors=ZstdCodec())
    array[...] = numbers(rng, "i4")
    check(folder, scratch / "a.npy", array[...])


@pytest.mark.parametrize("location", ["start", "end"])
@pytest.mark.parametrize("endian", ["little", "big"])
@pytest.mark.parametrize("codec", [None, BloscCodec(), GzipCodec(), ZstdCodec(), Crc32cCodec()], ids=str)
def test_zarr_shards(scratch, rng, codec, endian, location):
    sharding = ShardingCodec(
        chunk_shape=(5, 4, 2),
        codecs=[TransposeCodec(order=(1, 2, 0)), BytesCodec(endian=endian), *([codec] if codec else [])],
        index_location=location,
    )
    folder = scratch / "a.zarr"
    array = zarr.create_array(folder, shape=SHAPE, chunks=(10, 20, 6), dtype="int16", fill_value=-3, serializer=sharding,
                              compressors=None)  # fmt: skip
    wanted = numbers(rng, "i2")
    array[3:17, :41, 1:] = wanted[3:17, :41, 1:]
    array[30:, 50:, :] = wanted[30:, 50:, :]
    check(folder, scratch / "a.npy", array[...].astype(">i2" if endian == "big" else "<i2"))


def test_zarr_shards_in_shards_and_transposed_ones(scratch, rng):
    inner = ShardingCodec(chunk_shape=(2, 5, 5), codecs=[BytesCodec(), ZstdCodec()])
    outer = ShardingCodec(chunk_shape=(4, 10, 5), codecs=[TransposeCodec(order=(0, 1, 2)), inner])
    folder = scratch / "a.zarr"
    array = zarr.create_array(folder, shape=(30, 20, 21), chunks=(20, 20, 20), dtype="float32", compressors=None,
                              serializer=outer, filters=[TransposeCodec(order=(2, 0, 1))])  # fmt: skip
    array[:25, :, 2:] = numbers(rng, "f4", (30, 20, 21))[:25, :, 2:]
    check(folder, scratch / "a.npy", array[...])


def test_zarr_group_becomes_a_folder(scratch, rng):
    group = zarr.create_group(scratch / "g.zarr")
    wanted = {
        "plain": numbers(rng, "i4"),
        "deep/er/packed": numbers(rng, "f4"),
        "scalar": np.array(3.5),
        "empty": np.zeros((0, 3), "u1"),
    }
    for name, array in wanted.items():
        made = group.create_array(name, shape=array.shape, chunks=tuple(max(1, n // 2) for n in array.shape),
                                  dtype=array.dtype, compressors=None if name == "plain" else "auto")  # fmt: skip
        made[...] = array
    assert afbfs("unpack", scratch / "g.zarr", scratch / "out").returncode == 0
    found = {str(path.relative_to(scratch / "out"))[:-4]: np.load(path) for path in (scratch / "out").rglob("*.npy")}
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        assert np.array_equal(found[name], array)
    check(scratch / "g.zarr", scratch / "one.npy", wanted["deep/er/packed"], "--array", "deep/er/packed")
    assert "holds several arrays" in refusal(scratch / "g.zarr", scratch / "two.npy")


def test_zarr_without_a_codec_says_so_by_name(scratch, rng):
    folder = scratch / "a.zarr"
    zarr.create_array(folder, shape=(4,), chunks=(2,), dtype="i4", zarr_format=2, compressors=numcodecs.Zlib())
    text = (folder / ".zarray").read_text()
    for name in ("zfpy", "pcodec", "jenkins_lookup3"):
        (folder / ".zarray").write_text(text.replace('"zlib"', f'"{name}"'))
        assert f"codec {name}, which is not built in" in refusal(folder, scratch / "a.npy")


@pytest.mark.parametrize("compressor", [c for c in COMPRESSORS if c], ids=str)
def test_zarr_damage_is_found(scratch, rng, compressor):
    folder = scratch / "a.zarr"
    array = zarr.create_array(folder, shape=(400,), chunks=(200,), dtype="f8", zarr_format=2, compressors=compressor)
    wanted = rng.random(400)
    wanted[:50] = 1
    array[...] = wanted
    chunk = folder / "1"
    whole = chunk.read_bytes()
    for cut in (0, 3, 11, len(whole) // 2, len(whole) - 1):
        chunk.write_bytes(whole[:cut])
        message = refusal(folder, scratch / "a.npy")
        assert "file 1: " in message and "copy the file again" in message
    # What claims to be longer than a chunk, by a chunk that is.
    long = np.zeros(100_000)
    chunk.write_bytes(bytes(compressor.encode(long)))
    assert "more than the 1600 bytes" in refusal(folder, scratch / "a.npy")
    chunk.write_bytes(bytes(compressor.encode(wanted[:199])))
    assert "it holds 1592 bytes where a chunk has 1600" in refusal(folder, scratch / "a.npy")
    # Damage that no checksum tells may go unnoticed, but never ends the program otherwise.
    for at in range(0, len(whole), 7):
        chunk.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        answer = afbfs("unpack", folder, scratch / "a.npy", "--force")
        assert answer.returncode in (0, 1), answer.stderr


def test_zarr_checksums_are_verified(scratch, rng):
    folder = scratch / "a.zarr"
    array = zarr.create_array(folder, shape=(400,), chunks=(400,), dtype="f8", compressors=[Crc32cCodec()])
    array[...] = rng.random(400)
    chunk = folder / "c/0"
    whole = chunk.read_bytes()
    chunk.write_bytes(whole[:99] + bytes([whole[99] ^ 1]) + whole[100:])
    assert "its crc32c data do not have the checksum" in refusal(folder, scratch / "a.npy")


def test_zarr_shards_that_lie(scratch, rng):
    folder = scratch / "a.zarr"
    array = zarr.create_array(folder, shape=(40,), chunks=(10,), shards=(40,), dtype="f8", compressors=[])
    array[...] = rng.random(40)
    shard = folder / "c/0"
    whole = shard.read_bytes()
    for damaged, why in [
        (whole[:20], "shorter than the index"),
        (whole[:-1], "index: its crc32c"),
        (whole[100:], "beyond its end"),
    ]:
        shard.write_bytes(damaged)
        assert why in refusal(folder, scratch / "a.npy")


def test_zarr_links_out_of_the_source_are_not_followed(scratch, rng):
    folder = scratch / "a.zarr"
    array = zarr.create_array(folder, shape=(4,), chunks=(4,), dtype="f8", zarr_format=2, compressors=numcodecs.Zlib(),
                              fill_value=0)  # fmt: skip
    array[...] = rng.random(4)
    (folder / "0").rename(scratch / "elsewhere")
    (scratch / "array").mkdir()
    folder = folder.rename(scratch / "array/a.zarr")
    (folder / "0").symlink_to(scratch / "elsewhere")
    assert not unpacked(folder, scratch / "a.npy").any()


@pytest.fixture(scope="module")
def filtered(module_scratch):
    """Files of all filters, and what they hold."""
    writer = Path(__file__).with_name("hdf5_filters.py")
    # netCDF4 sets this, for plugins of its own.
    environment = {name: value for name, value in os.environ.items() if name != "HDF5_PLUGIN_PATH"}
    subprocess.run([sys.executable, writer, module_scratch, "7"], env=environment, check=True)
    return sorted(module_scratch.glob("*.h5"))


def test_hdf5_filters(scratch, filtered):
    assert len(filtered) == 58
    for number, path in enumerate(filtered):
        out = scratch / f"out{number}"
        answer = afbfs("unpack", path, out)
        assert answer.returncode == 0, f"{path.name}: {answer.stderr.decode()}"
        with np.load(path.with_suffix(".npz")) as wanted:
            for name, array in wanted.items():
                found = np.load(out / f"g/{name}.npy")
                assert found.dtype == array.dtype, path.name
                assert np.array_equal(found, array), path.name


def test_hdf5_leaves_out_what_has_no_elements(scratch, rng):
    path = scratch / "a.h5"
    array = numbers(rng, "i4")
    with h5py.File(path, "w") as file:
        file["plain"] = array
        file["text"] = ["a", "bcd"]
        file.create_dataset("packed", data=array, compression="gzip")
        file.create_dataset("nbit", data=array, scaleoffset=4)
        file.create_dataset("record", data=np.zeros(5, [("x", "i4"), ("y", "f8", (2,))]), compression="lzf")
    answer = afbfs("unpack", path, scratch / "out")
    assert answer.returncode == 1
    message = answer.stderr.decode()
    assert "text: " in message and "filter scale-offset, which is not built in" in message
    assert "2 of 5 arrays could not be unpacked" in message
    assert sorted(path.name for path in (scratch / "out").iterdir()) == ["packed.npy", "plain.npy", "record.npy"]
    for name in ("plain", "packed"):
        assert np.array_equal(np.load(scratch / f"out/{name}.npy"), array)
    assert "scale-offset" in refusal(path, scratch / "a.npy", "--array", "nbit")
    check(path, scratch / "packed.npy", array, "--array", "packed")
    assert "name it without .h5" in refusal(path, scratch / "b.h5")


def test_hdf5_damage_is_found(scratch, rng):
    path = scratch / "a.h5"
    array = numbers(rng, "i4")
    with h5py.File(path, "w") as file:
        made = file.create_dataset("a", data=array, chunks=CHUNK, compression="gzip", fletcher32=True)
        chunk = made.id.get_chunk_info(3)
    whole = path.read_bytes()
    at = chunk.byte_offset + chunk.size // 2
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    message = refusal(path, scratch / "a.npy")
    assert "fletcher32 data do not have the checksum" in message and "its chunk at [" in message


def test_a_copy_is_served(scratch, rng):
    array = numbers(rng, "f4")
    with h5py.File(scratch / "a.h5", "w") as file:
        file.create_dataset("a", data=array, compression="gzip")
    source = scratch / "source"
    assert afbfs("unpack", scratch / "a.h5", source).returncode == 0
    with mounted(source) as mnt:
        assert mnt.read("a/row/-1") == array[-1].tobytes()
        mnt.write("a/slice/3,4,5", np.float32(9).tobytes())
    array[3, 4, 5] = 9
    assert np.array_equal(np.load(source / "a.npy"), array)
