"""Zarr arrays: folders of chunk files, compared element for element with what zarr-python reads."""

import itertools
import json
import os

import numcodecs
import numpy as np
import pytest
import zarr

from harness import eventually, mounted, refused
from oracle import json_dtype

# Types that version 3 has not standardised yet.
pytestmark = pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning")

RECORD = np.dtype([("x", "<i4"), ("y", "<f8"), ("z", "S3")])
NESTED = np.dtype([("x", "<i4"), ("n", [("a", "<c8"), ("b", "u1")])])

DTYPES = [
    *["bool", "i1", "<i2", ">i2", "<i4", ">i8", "u1", "<u2", ">u4", "<u8", "<f2", ">f2", "<f4", ">f4", "<f8", ">f8"],
    *["<c8", ">c16", "S5", "<U3", ">U3", "V7", "<M8[ns]", ">M8[25s]", "<m8[D]", RECORD, NESTED],
]

FILLS = [
    *[("bool", True), ("i1", -128), ("<i8", -(2**63)), ("u1", 255), (">u8", 2**64 - 1), ("<i4", None)],
    *[("<f2", fill) for fill in [np.nan, np.inf, -0.0, 1 / 3, 6e-8, 65504.0]],
    *[(">f4", fill) for fill in [np.nan, -np.inf, 0.1, 1e-45]],
    *[("<f8", fill) for fill in [0.1, np.nan, 5e-324, -0.0, 1.7976931348623157e308, None]],
    *[("<c8", complex(1, np.nan)), (">c16", complex(-0.0, 1 / 3)), ("S5", b"ab"), (">U3", "añ"), ("V3", b"abc")],
    *[("<M8[ns]", np.datetime64("NaT")), ("<M8[ns]", np.datetime64("2001-01-01", "ns")), (">M8[s]", None)],
    *[(">m8[s]", np.timedelta64(-5, "s")), ("<m8[s]", None), (RECORD, np.array((5, 2.5, b"ab"), RECORD)[()])],
]



def random_array(rng, dtype, shape):
    dtype = np.dtype(dtype)
    count = int(np.prod(shape, dtype=int))
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(dtype)
    if dtype.kind == "U":
        words = ["".join(map(chr, rng.integers(1, 0x2000, dtype.itemsize // 4))) for _ in range(count)]
        return np.array(words, dtype).reshape(shape)
    return np.frombuffer(rng.bytes(count * dtype.itemsize), dtype).reshape(shape)


def create(path, array, chunks, version, written=(...,), **how):
    """Writes parts of an array, the others stay without chunk files."""
    how = {"compressors": None, "filters": None if version == 2 else [], **how}
    made = zarr.create_array(
        str(path), dtype=array.dtype, shape=array.shape, chunks=chunks, zarr_format=version, **how
    )
    for part in written:
        made[part] = array[part]
    return made


def reread(path):
    """All of an array as zarr-python reads it."""
    return np.asarray(zarr.open_array(str(path), mode="r")[...])


def check_array(mnt, name, expected):
    """Every element, and some of the views, against zarr-python's array; the byte order may be another."""
    dtype = json_dtype(json.loads(mnt.read(f"{name}/info.json"))["dtype"])
    assert dtype.newbyteorder("=") == expected.dtype.newbyteorder("="), name
    if dtype != expected.dtype:
        expected = expected.astype(dtype)
    assert mnt.read(f"{name}/shape").split() == [str(length).encode() for length in expected.shape]
    assert mnt.read(f"{name}/format") == b"zarr\n"
    views = {"data": expected, "range/::-3": expected.ravel()[::-3], "T/data": expected.T}
    if expected.ndim and expected.size:
        views |= {"row/-1": expected[-1, ...], "axis/-1/0": expected[..., 0], "slice/::-2": expected[::-2]}
    if expected.ndim > 1 and expected.size:
        views |= {"col/1": expected[:, 1], "slice/1:4,...,3:0:-2": expected[1:4, ..., 3:0:-2]}
    for field in expected.dtype.names or ():
        views[f"field/{field}/data"] = expected[field]
    for view, wanted in views.items():
        assert mnt.read(f"{name}/{view}") == np.ascontiguousarray(wanted).tobytes(), f"{name}/{view}"


def check_all(source, names):
    with mounted(source) as mnt:
        assert set(names) <= set(os.listdir(mnt))
        for name in names:
            check_array(mnt, name, reread(source / name))


@pytest.mark.parametrize("version", [2, 3])
def test_every_type_in_both_orders(source, rng, version):
    names = []
    # zarr-python writes nested records in version 2, and cannot read them back.
    for number, dtype in enumerate(DTYPES if version == 3 else DTYPES[:-1]):
        array = random_array(rng, dtype, (5, 7))
        for separator, fortran in itertools.product("./", [False, True]):
            names_of_chunks = "v2" if version == 2 or fortran else "default"
            how = {"chunk_key_encoding": {"name": names_of_chunks, "separator": separator}}
            if version == 2:
                how["order"] = "CF"[fortran]
            elif fortran:
                how["filters"] = [zarr.codecs.TransposeCodec(order=(1, 0))]
            if version == 3 and array.dtype.kind in "iufcUMm" and array.dtype.itemsize > 1:
                how["serializer"] = zarr.codecs.BytesCodec(endian=["little", "big"][number % 2])
            name = f"{number}{'CF'[fortran]}{'flat' if separator == '.' else 'nested'}"
            create(source / name, array, (2, 3), version, [np.s_[0:2], np.s_[2:4, 3:6]], **how)
            names.append(name)
    check_all(source, names)


@pytest.mark.parametrize("version", [2, 3])
def test_missing_chunks_read_as_the_fill_value(source, rng, version):
    names = []
    for number, (dtype, fill) in enumerate(FILLS):
        name = str(number)
        how = {"fill_value": fill, "config": {"write_empty_chunks": True}}
        create(source / name, random_array(rng, dtype, (6,)), (2,), version, [np.s_[2:4]], **how)
        assert len([file for file in (source / name).rglob("*") if file.name.isdigit()]) == 1
        names.append(name)
    check_all(source, names)


@pytest.mark.parametrize("version", [2, 3])
def test_chunks_that_are_not_written_because_they_are_empty(source, version):
    array = np.full((6, 4), 7, "<i4")
    array[2:4] = 1
    made = create(source / "a", array, (2, 4), version, fill_value=7, config={"write_empty_chunks": False})
    assert made.nchunks_initialized == 1
    check_all(source, ["a"])


@pytest.mark.parametrize("version", [2, 3])
def test_arrays_of_every_rank(source, rng, version):
    shapes = {
        "scalar": ((), ()),
        "line": ((9,), (4,)),
        "one-chunk": ((9,), (40,)),
        "four": ((3, 4, 2, 5), (2, 2, 2, 3)),
        "empty": ((0, 3), (1, 2)),
        "six": ((2,) * 6, (1, 2) * 3),
    }
    for name, (shape, chunks) in shapes.items():
        create(source / name, random_array(rng, ">i2", shape), chunks, version)
    check_all(source, shapes)


def test_cells_in_every_order_of_their_axes(source, rng):
    orders = list(itertools.permutations(range(3)))
    chains = [(order,) for order in orders] + [((1, 2, 0), order) for order in orders]
    for number, chain in enumerate(chains):
        filters = [zarr.codecs.TransposeCodec(order=order) for order in chain]
        create(source / str(number), random_array(rng, "<u2", (5, 7, 6)), (2, 3, 4), 3, filters=filters)
    check_all(source, [str(number) for number in range(len(chains))])


def test_types_that_numpy_has_not(source, rng):
    array = random_array(rng, "<u2", (5, 4))
    create(source / "a", array, (2, 3), 3)
    metadata = json.loads((source / "a/zarr.json").read_text())
    metadata |= {"data_type": "bfloat16", "fill_value": "NaN"}
    (source / "a/zarr.json").write_text(json.dumps(metadata))
    (source / "a/c/2/1").unlink()
    array = array.copy()
    array[4:, 3:] = 0x7FC0
    with mounted(source) as mnt:
        assert mnt.read("a/data") == array.tobytes()
        info = json.loads(mnt.read("a/info.json"))
        assert (info["dtype"], info["element"]) == ("|V2", "bf16")


@pytest.mark.parametrize("version", [2, 3])
def test_groups_are_folders(source, rng, version):
    root = zarr.create_group(str(source / "g"), zarr_format=version, attributes={"title": "x"})
    group = root.create_group("h/i")
    array = random_array(rng, "<f4", (5, 7))
    made = group.create_array("a", shape=array.shape, chunks=(2, 3), dtype=array.dtype, compressors=None)
    made[...] = array
    root.create_array("b", shape=(3,), chunks=(2,), dtype="u1", compressors=None)
    with mounted(source) as mnt:
        assert os.listdir(mnt / "g/h") == ["i"] and os.listdir(mnt / "g/h/i") == ["a"]
        assert set(os.listdir(mnt / "g")) == {"h", "b"}
        check_array(mnt, "g/h/i/a", array)
        check_array(mnt, "g/b", np.zeros(3, "u1"))
        entries = {entry["path"]: entry for entry in mnt.arrays()}
        assert set(entries) == {"g/h/i/a", "g/b"}
        assert {entry["format"] for entry in entries.values()} == {"zarr"}


@pytest.mark.parametrize("version", [2, 3])
def test_names_of_axes_and_attributes(source, rng, version):
    array = random_array(rng, "<f4", (5, 7))
    attributes = {"units": "°C", "_FillValue": float("nan"), "levels": [1, 2.5]}
    if version == 2:
        attributes["_ARRAY_DIMENSIONS"] = ["time", "x"]
        create(source / "a", array, (2, 3), 2, attributes=attributes)
    else:
        create(source / "a", array, (2, 3), 3, attributes=attributes, dimension_names=["time", "x"])
    with mounted(source) as mnt:
        assert mnt.read("a/axis/time/4") == array[4].tobytes()
        assert mnt.read("a/axis/x/-1") == array[:, -1].tobytes()
        shown = json.loads(mnt.read("a/info.json"))["attributes"]
        assert (shown["units"], shown["_FillValue"], shown["levels"]) == ("°C", "NaN", [1, 2.5])


@pytest.mark.parametrize("version", [2, 3])
def test_writes_reach_the_chunks(source, rng, version):
    array = random_array(rng, ">i4", (9, 8)).copy()
    how = {"serializer": zarr.codecs.BytesCodec(endian="big")} if version == 3 else {}
    made = create(source / "a", array, (4, 3), version, **how)
    before = {file: file.stat().st_size for file in (source / "a").rglob("*")}
    with mounted(source) as mnt:
        for view, part in [
            ("row/3", np.s_[3]),
            ("col/-1", np.s_[:, -1]),
            ("slice/1:9:2,::-3", np.s_[1:9:2, ::-3]),
            ("T/data", np.s_[...]),
        ]:
            new = random_array(rng, ">i4", array[part].shape)
            array[part] = new
            mnt.write(f"a/{view}", (new.T if view[0] == "T" else new).tobytes())
            assert np.array_equal(made[...], array), view
        assert mnt.read("a/data") == array.tobytes()
    assert {file: file.stat().st_size for file in (source / "a").rglob("*")} == before


@pytest.mark.parametrize("version", [2, 3])
def test_writes_make_missing_chunks(source, rng, version):
    expected = np.full((6, 4), 7, "<i4")
    made = create(source / "a", expected, (2, 3), version, written=[], fill_value=7)
    with mounted(source) as mnt:
        assert mnt.read("a/data") == expected.tobytes()
        expected[3, 1:] = [1, 2, 3]
        mnt.write("a/slice/3,1:", expected[3, 1:].tobytes())
        assert mnt.read("a/data") == expected.tobytes()
        assert made.nchunks_initialized == 2
        assert np.array_equal(made[...], expected)


@pytest.mark.parametrize("version", [2, 3])
def test_arrays_that_grow(source, rng, version):
    array = random_array(rng, "<i4", (9, 4)).copy()
    made = create(source / "a", array[:4], (2, 3), version)
    with mounted(source) as mnt, mnt.open("a/row/1", os.O_RDWR) as fd:
        made.resize((9, 4))
        made[4:] = array[4:]
        array[1] = [1, 2, 3, 4]
        assert os.pwrite(fd, array[1].tobytes(), 0) == 16
        eventually(lambda: mnt.read("a/shape") == b"9 4\n", "the new shape is seen")
        check_array(mnt, "a", array)
    assert np.array_equal(reread(source / "a"), array)


def test_checksummed_chunks_are_read_only(source, rng):
    array = random_array(rng, "<i2", (5, 7))
    create(source / "a", array, (2, 3), 3, compressors=[zarr.codecs.Crc32cCodec()])
    with mounted(source) as mnt:
        check_array(mnt, "a", array)
        assert json.loads(mnt.read("a/info.json"))["writable"] is False
        with refused("EROFS", "EACCES", "EPERM"):
            mnt.write("a/row/0", bytes(14))
    assert np.array_equal(reread(source / "a"), array)


@pytest.mark.parametrize(
    "version, how, words",
    [
        (3, {"compressors": [zarr.codecs.GzipCodec()]}, "compressed with gzip"),
        (3, {"compressors": [zarr.codecs.ZstdCodec()]}, "compressed with zstd"),
        (3, {"compressors": [zarr.codecs.BloscCodec(cname="lz4")]}, "compressed with blosc (lz4)"),
        (3, {"shards": (4, 6)}, "chunks (2x3) are packed into shards (4x6)"),
        (2, {"compressors": [numcodecs.Zlib()]}, "compressed with zlib"),
        (2, {"compressors": [numcodecs.Blosc(cname="zstd")]}, "compressed with blosc (zstd)"),
        (2, {"filters": [numcodecs.Delta(dtype="<i4")]}, "encoded with delta"),
    ],
)
def test_what_was_done_to_the_chunks_is_named(source, version, how, words):
    create(source / "a", np.zeros((8, 6), "<i4"), (2, 3), version, **how)
    with mounted(source) as mnt:
        assert os.listdir(mnt / "a") == ["error"]
        message = (mnt / "a/error").read_text()
        assert words in message and "afbfs unpack" in message


@pytest.mark.parametrize("version", [2, 3])
def test_strings_of_variable_length_are_refused(source, version):
    how = {"shape": (3,), "chunks": (2,), "dtype": str, "zarr_format": version, "compressors": None}
    zarr.create_array(str(source / "a"), **how)
    with mounted(source) as mnt:
        assert os.listdir(mnt / "a") == ["error"]
        assert "fixed length" in (mnt / "a/error").read_text()


@pytest.mark.parametrize(
    "changes, word",
    [
        ({"data_type": "quux"}, "quux"),
        ({"storage_transformers": [{"name": "quux"}]}, "quux"),
        ({"chunk_grid": {"name": "rectilinear"}}, "rectilinear"),
        ({"extra": {"name": "quux"}}, "extra"),
        ({"shape": [-1, 2]}, "shape"),
        ({"shape": [1 << 62, 1 << 62]}, "larger than any file"),
    ],
)
def test_metadata_that_are_wrong_are_an_error_that_says_so(source, changes, word):
    create(source / "a", np.zeros((8, 6), "<i4"), (2, 3), 3)
    file = source / "a/zarr.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    with mounted(source) as mnt:
        assert os.listdir(mnt / "a") == ["error"]
        assert word in (mnt / "a/error").read_text()


def test_damaged_metadata_are_an_error_that_says_so(source):
    create(source / "a", np.zeros((8, 6), "<i4"), (2, 3), 2)
    file = source / "a/.zarray"
    file.write_text(file.read_text()[:50])
    with mounted(source) as mnt:
        assert os.listdir(mnt / "a") == ["error"]
        assert "no JSON" in (mnt / "a/error").read_text()


def test_short_chunks_end_where_they_end(source, rng):
    array = random_array(rng, "u1", (6, 4))
    create(source / "a", array, (2, 4), 2)
    os.truncate(source / "a/1.0", 5)
    with mounted(source) as mnt:
        assert mnt.read("a/row/2") == array[2].tobytes()
        assert mnt.read("a/slice/3,0") == array[3, :1].tobytes()
        with refused("EIO"):
            mnt.read("a/slice/3,1")
        assert mnt.read("a/slice/4:") == array[4:].tobytes()
