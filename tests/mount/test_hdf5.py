"""HDF5 files of h5py and netCDF4: every layout, index, type and kind of group, compared with what h5py reads."""

import fcntl
import os

import h5py
import netCDF4
import numpy as np
import pytest

from harness import eventually, mounted, refused
from members import check_member, error_of, folder, info

# Each writes other versions of superblocks, headers, groups, layouts and types.
LIBVERS = [("earliest", "latest"), ("v108", "v110"), ("v110", "v110"), ("v112", "v114"), "latest"]
each_libver = pytest.mark.parametrize("libver", LIBVERS, ids=str)

NESTED = np.dtype([("x", "u1"), ("y", "<c8")])
RECORD = np.dtype(
    {
        "names": ["a", "b", "c", "d"],
        "formats": ["<f8", (">i2", (2, 3)), NESTED, "S3"],
        "offsets": [0, 8, 20, 30],
        "itemsize": 37,
    }
)
DTYPES = [
    *["i1", "u1", "<i2", ">i2", "<u4", ">u4", "<i8", ">i8", "<u8", "<f2", ">f2", "<f4", ">f4", "<f8", ">f8"],
    *["<c8", ">c8", "<c16", ">c16", "S7", "V5", "bool", RECORD],
]


def random_array(rng, dtype, shape):
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(dtype)
    if dtype.names:
        array = np.zeros(shape, dtype)
        for name in dtype.names:
            array[name] = random_array(rng, array[name].dtype, array[name].shape)
        return array
    return np.frombuffer(rng.bytes(int(np.prod(shape, dtype=int)) * dtype.itemsize), dtype).reshape(shape)


def numbers(rng, *shape):
    return rng.integers(-(2**31), 2**31, shape).astype("i4")


def made(path, libver="latest", **how):
    return h5py.File(path, "w", libver=libver, **how)


def low_level(file, name, shape, maxshape=None, **properties):
    """A data set with properties that h5py's high level does not set."""
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    for key, value in properties.items():
        getattr(plist, f"set_{key}")(value)
    space = h5py.h5s.create_simple(shape, maxshape)
    return h5py.Dataset(h5py.h5d.create(file.id, name.encode(), h5py.h5t.STD_I32LE, space, plist))


def data_sets(file):
    """The path of every data set, and the data set."""
    found = {}
    file.visititems(lambda name, item: found.update({name: item}) if isinstance(item, h5py.Dataset) else None)
    return found


def check_file(mnt, path, dims=None):
    """Every data set of a file, as h5py reads it."""
    with h5py.File(path) as file:
        found = data_sets(file)
        assert found
        for name, dataset in found.items():
            wanted = dataset[()]
            wanted = np.asarray(wanted, wanted.dtype)
            *groups, own = name.split("/")
            check_member(mnt, "/".join([path.stem, *groups]), own, wanted, dims=(dims or {}).get(name, ()))


@each_libver
@pytest.mark.parametrize("userblock", [0, 512, 4096])
def test_types(source, rng, libver, userblock):
    path = source / "a.h5"
    with made(path, libver, userblock_size=userblock) as file:
        for number, dtype in enumerate(DTYPES):
            file.create_dataset(f"plain/{number}", data=random_array(rng, dtype, (4, 6)))
            file.create_dataset(f"chunked/{number}", data=random_array(rng, dtype, (4, 6)), chunks=(3, 4))
        file["scalar"] = np.float32(2.5)
        file["none"] = np.zeros((0, 3), ">f8")
        file["extended"] = np.arange(5, dtype=np.longdouble)
    with mounted(source) as mnt:
        check_file(mnt, path)
        assert (folder(mnt, "a", "scalar") / "format").read_text() == "hdf5\n"
        assert (mnt / "a/plain/15/field/imag/data").exists()


@each_libver
def test_array_types_add_axes(source, rng, libver):
    path = source / "a.h5"
    with made(path, libver) as file:
        array = rng.standard_normal((30, 2, 4)).astype("f4")
        datatype = h5py.h5t.array_create(h5py.h5t.IEEE_F32LE, (2, 4))
        for name, chunk in [(b"plain", None), (b"chunked", (7,))]:
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            if chunk:
                plist.set_chunk(chunk)
            dataset = h5py.h5d.create(file.id, name, datatype, h5py.h5s.create_simple((30,)), plist)
            dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, array, mtype=datatype)
    with mounted(source) as mnt:
        check_file(mnt, path)
        assert info(mnt, "a", "plain")["shape"] == [30, 2, 4]


@each_libver
def test_other_types(source, libver):
    with made(source / "a.h5", libver) as file:
        colours = h5py.enum_dtype({"RED": 1, "BLUE": -2}, "i2")
        file.create_dataset("enum", data=np.array([1, -2, 1], "i2"), dtype=colours)
        file["type"] = np.dtype([("a", "i4"), ("b", "f8")])
        file.create_dataset("named", (3,), file["type"])[:] = np.array([(1, 2), (3, 4), (5, 6)], file["type"])
        dates = np.array(["2020-01-01", "2021-02-03"], "M8[D]")
        file["dates"] = dates.astype(h5py.opaque_dtype(dates.dtype))
        half = h5py.h5t.IEEE_F16LE.copy()
        half.set_fields(15, 7, 8, 0, 7)
        half.set_ebias(127)
        bfloat16 = h5py.h5d.create(file.id, b"bfloat16", half, h5py.h5s.create_simple((3,)))
        bfloat16.write(h5py.h5s.ALL, h5py.h5s.ALL, np.array([0x3F80, 0x4000, 0xC040], "<u2"), mtype=half)
        bits = h5py.h5t.STD_B16LE
        field = h5py.h5d.create(file.id, b"bits", bits, h5py.h5s.create_simple((3,)))
        field.write(h5py.h5s.ALL, h5py.h5s.ALL, np.array([1, 2, 0xFFFF], "<u2"), mtype=bits)
    with mounted(source) as mnt:
        check_member(mnt, "a", "enum", np.array([1, -2, 1], "<i2"))
        assert info(mnt, "a", "enum")["attributes"]["enum"] == {"RED": 1, "BLUE": -2}
        check_member(mnt, "a", "named", np.array([(1, 2), (3, 4), (5, 6)], [("a", "<i4"), ("b", "<f8")]))
        check_member(mnt, "a", "dates", dates)
        check_member(mnt, "a", "bits", np.array([1, 2, 0xFFFF], "<u2"))
        assert mnt.read("a/bfloat16/data") == b"\x80\x3f\x00\x40\x40\xc0"
        assert (info(mnt, "a", "bfloat16")["element"], info(mnt, "a", "bfloat16")["dtype"]) == ("bf16", "|V2")


@each_libver
def test_layouts_and_indexes_of_chunks(source, rng, libver):
    path = source / "a.h5"
    with made(path, libver) as file:
        create = file.create_dataset
        create("single", data=numbers(rng, 5, 6), chunks=(5, 6))
        create("single_and_larger", data=numbers(rng, 5, 6), chunks=(8, 8), maxshape=(8, 8))
        create("fixed", data=numbers(rng, 40, 50), chunks=(3, 7))
        create("fixed_and_larger", data=numbers(rng, 40, 50), chunks=(3, 7), maxshape=(100, 60))
        create("paged", data=numbers(rng, 2300), chunks=(1,))
        create("paged_in_part", (5000,), "i4", chunks=(2,), fillvalue=5)[:1000] = numbers(rng, 1000)
        file["paged_in_part"][4990:] = numbers(rng, 10)
        create("first_grows", data=numbers(rng, 50, 4), chunks=(3, 2), maxshape=(None, 4))
        create("middle_grows", data=numbers(rng, 4, 50, 3), chunks=(3, 2, 2), maxshape=(8, None, 3))
        create("last_grows", (4, 500), "i4", chunks=(3, 1), maxshape=(8, None))[:, ::2] = numbers(rng, 4, 250)
        create("long", data=numbers(rng, 40_000), chunks=(1,), maxshape=(None,))
        create("long_and_empty", (400_000,), "i4", chunks=(4,), maxshape=(None,), fillvalue=3)[::9999] = 77
        create("all_grow", data=numbers(rng, 60, 50), chunks=(1, 2), maxshape=(None, None))
        create("shrunk", data=numbers(rng, 50, 40), chunks=(7, 9), maxshape=(None, None))
        file["shrunk"].resize((13, 31))
        create("never_written", (30, 40), ">i4", chunks=(7, 9), fillvalue=-7)
        create("never_written_at_all", (30, 40), ">f8", fillvalue=1.5)
        create("in_part", (30, 40), "f4", chunks=(7, 9), fillvalue=0.5)[:10, 5:20] = rng.standard_normal((10, 15))
        create("many_axes", data=numbers(rng, *[2, 3] * 4), chunks=(1, 2) * 4)
        early = {"chunk": (7, 9), "alloc_time": h5py.h5d.ALLOC_TIME_EARLY}
        low_level(file, "in_a_row", (30, 40), **early)[...] = numbers(rng, 30, 40)
        low_level(file, "in_a_row_and_larger", (30, 40), (60, 50), **early)[...] = numbers(rng, 30, 40)
        low_level(file, "compact", (3, 4), layout=h5py.h5d.COMPACT)[...] = numbers(rng, 3, 4)
    with mounted(source) as mnt:
        check_file(mnt, path)


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_trees_of_many_levels(source, rng, libver):
    path = source / "a.h5"
    libver = libver if libver == "latest" else LIBVERS[0]
    with made(path, libver) as file:
        file.create_dataset("chunks", data=numbers(rng, 150, 150), chunks=(1, 1), maxshape=(None, None))
        for number in range(3000):
            file[f"group/{number}"] = number
    with mounted(source) as mnt:
        with h5py.File(path) as file:
            check_member(mnt, "a", "chunks", file["chunks"][()])
        assert len(os.listdir(mnt / "a/group")) == 3000
        for number in [0, 1, 2999]:
            assert mnt.read(f"a/group/{number}/data") == np.int64(number).tobytes()


@each_libver
@pytest.mark.parametrize("track_order", [False, True])
def test_groups_and_links(source, libver, track_order):
    path = source / "a.h5"
    with made(path, libver, track_order=track_order) as file:
        file["one/two/three/x"] = np.arange(5)
        file["second name"] = file["one/two/three/x"]
        file["one/two/around"] = file["one"]
        file["one/root"] = file["/"]
        file["soft"] = h5py.SoftLink("/one/two/three/x")
        file["one/relative"] = h5py.SoftLink("two/./three//x")
        file["soft_group"] = h5py.SoftLink("/one")
        file["through"] = h5py.SoftLink("soft_group/two/three/x")
        file["dangling"] = h5py.SoftLink("/nowhere/x")
        file["tail"] = h5py.SoftLink("head")
        file["head"] = h5py.SoftLink("/tail")
        file["external"] = h5py.ExternalLink("other.h5", "/a/b")
        for number in range(30):
            file[f"dense/{number:02}"] = number
            file[f"dense/soft{number:02}"] = h5py.SoftLink(f"{number:02}")
    with mounted(source) as mnt:
        wanted = np.arange(5).tobytes()
        for name in ["one/two/three/x", "second name", "soft", "one/relative", "through"]:
            assert mnt.read(f"a/{name}/data") == wanted, name
        for number in range(30):
            assert mnt.read(f"a/dense/{number:02}/data") == np.int64(number).tobytes()
            assert mnt.read(f"a/dense/soft{number:02}/data") == np.int64(number).tobytes()
        assert "another name of the group '/one'" in error_of(mnt, "a/one/two/around")
        assert "another name of the group '/'" in error_of(mnt, "a/one/root")
        assert "another name of the group '/one'" in error_of(mnt, "a/soft_group")
        assert "soft link to '/nowhere/x', which is not in the file" in error_of(mnt, "a/dangling")
        assert "more than 16 others" in error_of(mnt, "a/tail") and "more than 16" in error_of(mnt, "a/head")
        assert "'/a/b of other.h5'" in error_of(mnt, "a/external")


@each_libver
@pytest.mark.parametrize("count", [3, 60])
def test_attributes(source, libver, count):
    with made(source / "a.h5", libver) as file:
        file.attrs["title"] = "Wärme"
        attributes = file.create_dataset("x", data=[1]).attrs
        wanted = {f"a{number}": number for number in range(count)}
        for name, value in wanted.items():
            attributes[name] = value
        attributes["single"] = np.float32(0.1)
        attributes["half"] = np.float16(1.5)
        attributes["big_endian"] = np.arange(3, dtype=">i2")
        attributes["largest"] = np.uint64(2**64 - 1)
        attributes["smallest"] = np.int64(-(2**63))
        attributes["nan"] = np.nan
        attributes["matrix"] = np.arange(6).reshape(2, 3)
        attributes["alone"] = np.array([5.0])
        attributes["bytes"] = np.bytes_(b"abc")
        attributes["text"] = "größe"
        attributes["texts"] = ["a", "bb", ""]
        attributes["truth"] = True
        attributes["complex"] = 1 + 2j
        attributes["record"] = np.array((1, 2.5), [("x", "i4"), ("y", "f8")])
        attributes["empty"] = h5py.Empty("f4")
        attributes["reference"] = file.ref
        attributes["long"] = np.zeros(7000)
    with mounted(source) as mnt:
        wanted |= {
            "single": 0.1,
            "half": 1.5,
            "big_endian": [0, 1, 2],
            "largest": 2**64 - 1,
            "smallest": -(2**63),
            "nan": "NaN",
            "matrix": [[0, 1, 2], [3, 4, 5]],
            "alone": 5.0,
            "bytes": "abc",
            "text": "größe",
            "texts": ["a", "bb", ""],
            "truth": True,
            "complex": {"r": 1.0, "i": 2.0},
            "record": {"x": 1, "y": 2.5},
            "empty": None,
        }
        assert info(mnt, "a", "x")["attributes"] == wanted
        assert info(mnt, "a", "x")["container"] == {"title": "Wärme"}


@each_libver
def test_dimension_scales_name_axes(source, rng, libver):
    path = source / "a.h5"
    with made(path, libver) as file:
        for name, length in [("x", 4), ("y", 5)]:
            file[f"scales/{name}"] = np.arange(length)
            file[f"scales/{name}"].make_scale()
        file["cube"] = rng.standard_normal((4, 5, 2))
        file["cube"].dims[0].attach_scale(file["scales/x"])
        file["cube"].dims[1].attach_scale(file["scales/y"])
        file["cube"].dims[2].label = "depth"
    with mounted(source) as mnt:
        check_file(mnt, path, {"cube": ("x", "y", "depth"), "scales/x": ("x",), "scales/y": ("y",)})
        assert info(mnt, "a", "cube")["dims"] == ["x", "y", "depth"]


def test_netcdf4(source, rng):
    for name in ["a.nc", "b.nc4"]:
        with netCDF4.Dataset(source / name, "w") as dataset:
            for dimension, length in [("time", None), ("lat", 5), ("lon", 6)]:
                dataset.createDimension(dimension, length)
            dataset.createVariable("time", "f8", ("time",))[:] = np.arange(3)
            dataset.createVariable("lat", "f4", ("lat",))[:] = np.arange(5)
            variable = dataset.createVariable("temperature", "f4", ("time", "lat", "lon"), fill_value=-999.0)
            variable.set_auto_maskandscale(False)
            variable[:] = rng.standard_normal((3, 5, 6))
            variable.scale_factor = 0.5
            dataset.createVariable("packed", "i2", ("time", "lat"), zlib=True)[:] = 3
            group = dataset.createGroup("group")
            group.createVariable("grid", "i4", ("lat", "lon"))[:] = rng.integers(0, 99, (5, 6))
            dataset.title = "title"
    with mounted(source) as mnt:
        for name, container in [("a.nc", "a"), ("b.nc4", "b")]:
            with netCDF4.Dataset(source / name) as dataset:
                dataset.set_auto_maskandscale(False)
                cube, grid = dataset["temperature"][...], dataset["group/grid"][...]
            dims = ("time", "lat", "lon")
            check_member(mnt, container, "temperature", np.asarray(cube), dims=dims)
            check_member(mnt, f"{container}/group", "grid", np.asarray(grid), dims=dims[1:])
            check_member(mnt, container, "time", np.arange(3.0), dims=dims[:1])
            facts = info(mnt, container, "temperature")
            assert (facts["format"], facts["dims"]) == ("hdf5", list(dims))
            assert facts["attributes"]["_FillValue"] == -999.0 and facts["attributes"]["scale_factor"] == 0.5
            assert facts["container"]["title"] == "title"
            assert "gzip (deflate)" in error_of(mnt, f"{container}/packed")


def test_matlab(source, rng):
    """MATLAB 7.3: a text in front of the file, axes in reverse."""
    array = rng.standard_normal((3, 4))
    with made(source / "x.mat", LIBVERS[0], userblock_size=512) as file:
        file["m"] = array
        file["m"].attrs["MATLAB_class"] = np.bytes_(b"double")
    with open(source / "x.mat", "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Jan  1 00:00:00 2024 HDF5 schema 1.00 .")
    with mounted(source) as mnt:
        check_member(mnt, "x.mat", "m", array)
        assert info(mnt, "x.mat", "m")["attributes"] == {"MATLAB_class": "double"}


@each_libver
def test_writes_are_read_back(source, rng, libver):
    path = source / "a.h5"
    names = ["plain", "chunked", "grows", "g/all_grow", "in_a_row", "sub/record"]
    with made(path, libver, userblock_size=512) as file:
        file["plain"] = numbers(rng, 30, 40)
        file.create_dataset("chunked", data=numbers(rng, 30, 40), chunks=(7, 9))
        file.create_dataset("grows", data=numbers(rng, 30, 40), chunks=(7, 9), maxshape=(None, 40))
        file.create_dataset("g/all_grow", data=numbers(rng, 30, 40), chunks=(7, 9), maxshape=(None, None))
        early = {"chunk": (7, 9), "alloc_time": h5py.h5d.ALLOC_TIME_EARLY}
        low_level(file, "in_a_row", (30, 40), **early)[...] = numbers(rng, 30, 40)
        file["sub/record"] = random_array(rng, [("a", ">i4"), ("b", "S3")], (30, 40))
        expected = {name: file[name][()] for name in names}
    with mounted(source) as mnt:
        for name, array in expected.items():
            new = random_array(rng, array.dtype, array.shape)
            views = {"row/3": np.s_[3], "col/-1": np.s_[:, -1], "slice/5:25:2,::-3": np.s_[5:25:2, ::-3]}
            for view, part in views.items():
                array[part] = new[part]
                mnt.write(f"a/{name}/{view}", np.ascontiguousarray(new[part]).tobytes())
    with h5py.File(path) as file:
        for name, array in expected.items():
            assert np.array_equal(file[name][()], array), name


@each_libver
def test_what_was_never_written_cannot_be(source, libver):
    path = source / "a.h5"
    with made(path, libver) as file:
        file.create_dataset("x", (30, 40), "i4", chunks=(7, 9), fillvalue=7)[:7, :9] = 1
        file.create_dataset("y", (30, 40), "i4", fillvalue=7)
    with mounted(source) as mnt:
        mnt.write("a/x/slice/0,0", np.int32(5).tobytes())
        for name in ["a/x/slice/29,39", "a/y/slice/0,0"]:
            with refused("EROFS"):
                mnt.write(name, np.int32(5).tobytes())
    with h5py.File(path) as file:
        assert file["x"][0, 0] == 5 and file["x"][29, 39] == 7 and file["y"][0, 0] == 7


def test_elements_in_a_header(source):
    for name, libver in [("old", LIBVERS[0]), ("new", "latest")]:
        with made(source / f"{name}.h5", libver) as file:
            low_level(file, "x", (3,), layout=h5py.h5d.COMPACT)[...] = [1, 2, 3]
    with mounted(source) as mnt:
        mnt.write("old/x/slice/1", np.int32(5).tobytes())
        assert mnt.read("new/x/data") == np.arange(1, 4, dtype="i4").tobytes()
        with refused("EROFS", "EACCES", "EPERM"):
            mnt.write("new/x/slice/1", np.int32(5).tobytes())
    with h5py.File(source / "old.h5") as file:
        assert list(file["x"]) == [1, 5, 3]


@each_libver
def test_refused_data_sets(source, rng, libver):
    with made(source / "a.h5", libver) as file:
        create = file.create_dataset
        file["served"] = 1
        create("null", data=h5py.Empty("f4"))
        create("texts", data=["a", "bb"], dtype=h5py.string_dtype())
        create("ragged", (2,), h5py.vlen_dtype("i4"))
        create("references", (2,), h5py.ref_dtype)
        create("record", (2,), np.dtype([("a", "i4"), ("text", h5py.string_dtype())]))
        create("gzip", data=numbers(rng, 50, 60), chunks=(7, 9), compression="gzip", shuffle=True)
        create("lzf", data=numbers(rng, 50, 60), chunks=(7, 9), compression="lzf")
        create("checked", data=numbers(rng, 50, 60), chunks=(7, 9), fletcher32=True)
        create("external", (3,), "i4", external=[(str(source / "raw.bin"), 0, 12)])
        layout = h5py.VirtualLayout((4,), "i4")
        layout[:] = h5py.VirtualSource("other.h5", "d", (4,))
        file.create_virtual_dataset("virtual", layout)
    with mounted(source) as mnt:
        assert mnt.read("a/served/data") == np.int64(1).tobytes()
        for name, *parts in [
            ("null", "null dataspace"),
            ("texts", "strings of variable length", "fixed length"),
            ("ragged", "variable length"),
            ("references", "references"),
            ("record", "the field 'text'", "variable length"),
            ("gzip", "compressed with shuffle, gzip (deflate)", "`afbfs unpack` writes a plain copy"),
            ("lzf", "compressed with lzf", "`afbfs unpack`"),
            ("checked", "stored with fletcher32", "`afbfs unpack`"),
            ("external", "external storage"),
            ("virtual", "virtual data set"),
        ]:
            message = error_of(mnt, f"a/{name}")
            assert all(part in message for part in parts), message


def test_refused_files(source, rng):
    with made(source / "groups.h5") as file:
        file.create_group("g")
    (source / "other.h5").write_bytes(b"x" * 5000)
    (source / "hdf4.hdf").write_bytes(b"\x0e\x03\x13\x01" + bytes(1000))
    with made(source / "truncated.h5", LIBVERS[0]) as file:
        file["whole"] = numbers(rng, 10)
        file["cut"] = numbers(rng, 10_000)
    os.truncate(source / "truncated.h5", os.path.getsize(source / "truncated.h5") - 5000)
    with made(source / "damaged.h5") as file:
        file["x"] = numbers(rng, 10)
    stored = bytearray((source / "damaged.h5").read_bytes())
    stored[stored.index(b"OHDR") + 30] ^= 1
    (source / "damaged.h5").write_bytes(stored)
    with mounted(source) as mnt:
        assert "no data set" in error_of(mnt, "groups")
        assert "no HDF5 signature" in error_of(mnt, "other")
        assert "HDF4" in error_of(mnt, "hdf4") and "h4toh5" in error_of(mnt, "hdf4")
        assert "truncated" in error_of(mnt, "truncated/cut")
        assert (mnt / "truncated/whole/data").stat().st_size == 40
        assert "checksum" in error_of(mnt, "damaged")


# --- locks


def is_locked(path):
    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_files_are_locked_as_the_library_locks_them(source, monkeypatch):
    path = source / "a.h5"
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(6.0)
    with mounted(source) as mnt:
        # Nobody has the mount's file open: the library may do as it likes.
        with h5py.File(path, "r+") as file:
            file["x"][0] = 7
            with refused("EAGAIN"):
                mnt.read("a/x/data")
        with mnt.open("a/x/data"):
            with mnt.open("a/x/row/1"), h5py.File(path, "r") as file:
                assert file["x"][0] == 7
            with pytest.raises(OSError, match="lock"):
                h5py.File(path, "r+")
        eventually(lambda: not is_locked(path), "the lock goes")
        with mnt.open("a/x/row/1"), mnt.open("a/x/data", os.O_RDWR) as fd:
            os.pwrite(fd, np.float64(8).tobytes(), 0)
            with pytest.raises(OSError, match="lock"):
                h5py.File(path, "r")
        # A lock goes with the close, which the daemon hears of a moment later.
        eventually(lambda: not is_locked(path), "the lock goes")
        with h5py.File(path, "r") as file:
            assert file["x"][0] == 8
            with refused("EAGAIN"):
                mnt.write("a/x/data", bytes(8))
            assert mnt.read("a/x/data")[:8] == np.float64(8).tobytes()
    monkeypatch.setenv("HDF5_USE_FILE_LOCKING", "FALSE")
    with mounted(source) as mnt, mnt.open("a/x/data"), open(path, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
