"""NetCDF classic files of the libraries netCDF4 and scipy, with records and without."""

import os
import shutil
import struct
from pathlib import Path

import netCDF4
import nibabel
import numpy as np
import pytest
from scipy.io import netcdf_file

from harness import eventually, mounted
from members import as_in, check_member, error_of, folder, info

FORMATS = ["NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA"]
CLASSIC_TYPES = ["i1", "S1", "i2", "i4", "f4", "f8"]
TYPES = {
    "NETCDF3_CLASSIC": CLASSIC_TYPES,
    "NETCDF3_64BIT_OFFSET": CLASSIC_TYPES,
    "NETCDF3_64BIT_DATA": [*CLASSIC_TYPES, "u1", "u2", "u4", "i8", "u8"],
}
# Bytes that the number of records takes, behind the magic.
COUNT = {"NETCDF3_CLASSIC": 4, "NETCDF3_64BIT_OFFSET": 4, "NETCDF3_64BIT_DATA": 8}
each_format = pytest.mark.parametrize("kind", FORMATS)


def created(path, kind):
    dataset = netCDF4.Dataset(path, "w", format=kind)
    dataset.set_auto_mask(False)
    return dataset


def opened(path):
    dataset = netCDF4.Dataset(path)
    dataset.set_auto_maskandscale(False)
    dataset.set_auto_chartostring(False)
    return dataset


def random_values(rng, dtype, shape):
    count = int(np.prod(shape, dtype=int))
    return np.frombuffer(rng.bytes(count * np.dtype(dtype).itemsize), dtype, count).reshape(shape)


def check_file(mnt, path, with_scipy=True):
    """Every variable, as netCDF4 reads it; and as scipy does, where it knows the version."""
    stem = path.stem
    with opened(path) as dataset:
        assert dataset.variables
        for name, variable in dataset.variables.items():
            wanted = as_in(mnt, stem, name, np.asarray(variable[...]))
            check_member(mnt, stem, name, wanted, dims=variable.dimensions)
            assert info(mnt, stem, name).get("dims", []) == list(variable.dimensions)
    if with_scipy and path.read_bytes()[3] in (1, 2):
        with netcdf_file(path, mmap=False) as dataset:
            for name, variable in dataset.variables.items():
                found = (folder(mnt, stem, name) / "data").read_bytes()
                assert found == np.asarray(variable.data).tobytes(), name


@each_format
def test_variables_without_records(source, rng, kind):
    path = source / "a.nc"
    with created(path, kind) as dataset:
        for length in range(1, 6):
            dataset.createDimension(f"x{length}", length)
        for dtype in TYPES[kind]:
            dataset.createVariable(f"{dtype}.scalar", dtype)[...] = random_values(rng, dtype, ())
            for length in range(1, 6):
                name = f"{dtype}.{length}"
                dataset.createVariable(name, dtype, (f"x{length}",))[...] = random_values(rng, dtype, length)
            cube = dataset.createVariable(f"{dtype}.cube", dtype, ("x2", "x3", "x5"))
            cube[...] = random_values(rng, dtype, (2, 3, 5))
            square = dataset.createVariable(f"{dtype}.square", dtype, ("x3", "x3"))
            square[...] = random_values(rng, dtype, (3, 3))
    with mounted(source) as mnt:
        check_file(mnt, path)
        assert (folder(mnt, "a", "f8.cube") / "format").read_text() == "netcdf3\n"


@each_format
@pytest.mark.parametrize("records", [0, 1, 2, 7])
def test_one_variable_with_records_of_every_type(source, rng, kind, records):
    paths = []
    for dtype in TYPES[kind]:
        for length in [None, 1, 2, 3, 5]:
            paths.append(source / f"{dtype}-{length}.nc")
            with created(paths[-1], kind) as dataset:
                dataset.createDimension("time", None)
                dataset.createDimension("fixed", 3)
                dataset.createVariable("beside", "i2", ("fixed",))[...] = [1, 2, 3]
                if length:
                    dataset.createDimension("x", length)
                dims, shape = (("time", "x"), (records, length)) if length else (("time",), (records,))
                dataset.createVariable("a", dtype, dims)[:records] = random_values(rng, dtype, shape)
    with mounted(source) as mnt:
        for path in paths:
            check_file(mnt, path)


@each_format
@pytest.mark.parametrize("records", [0, 1, 5])
def test_several_variables_with_records(source, rng, kind, records):
    path = source / "a.nc"
    with created(path, kind) as dataset:
        dataset.createDimension("time", None)
        dataset.createDimension("x", 3)
        dataset.createDimension("y", 5)
        for dtype in TYPES[kind]:
            for name, dims, inner in [("t", (), ()), ("tx", ("x",), (3,)), ("tyx", ("y", "x"), (5, 3))]:
                variable = dataset.createVariable(f"{dtype}.{name}", dtype, ("time", *dims))
                variable[:records] = random_values(rng, dtype, (records, *inner))
            dataset.createVariable(f"{dtype}.x", dtype, ("x",))[...] = random_values(rng, dtype, 3)
    with mounted(source) as mnt:
        check_file(mnt, path)


@pytest.mark.parametrize("version", [1, 2])
def test_files_of_scipy(source, rng, version):
    path = source / "a.nc"
    with netcdf_file(path, "w", version=version) as dataset:
        dataset.createDimension("time", None)
        dataset.createDimension("x", 3)
        for dtype in ["i1", "i2", "i4", "f4", "f8"]:
            dataset.createVariable(f"{dtype}.tx", dtype, ("time", "x"))[:4] = random_values(rng, dtype, (4, 3))
            dataset.createVariable(f"{dtype}.x", dtype, ("x",))[:] = random_values(rng, dtype, 3)
    with mounted(source) as mnt:
        check_file(mnt, path)


@each_format
def test_names_attributes_and_fill_values(source, kind):
    path = source / "a.nc"
    with created(path, kind) as dataset:
        dataset.title = "Wärme"
        dataset.levels = np.array([1, 2, 3], "i2")
        dataset.long = "x" * 100_000
        dataset.createDimension("größe", 4)
        variable = dataset.createVariable("T_2m", "i2", ("größe",), fill_value=-999)
        variable.units = "K"
        variable.scale_factor = 0.5
        variable.limits = np.array([-1.5, np.inf], "f4")
        variable.set_auto_maskandscale(False)
        variable[...] = [1, 2, -999, 4]
    with mounted(source) as mnt:
        check_file(mnt, path)
        attributes = info(mnt, "a", "T_2m")["attributes"]
        assert attributes["units"] == "K" and attributes["scale_factor"] == 0.5
        assert attributes["limits"] == [-1.5, "Infinity"] and attributes["_FillValue"] == -999
        assert info(mnt, "a", "T_2m")["container"] == {"title": "Wärme", "levels": [1, 2, 3]}


@each_format
def test_what_is_written_is_read_back_by_the_library(source, rng, kind):
    path = source / "a.nc"
    with created(path, kind) as dataset:
        dataset.createDimension("time", None)
        dataset.createDimension("x", 3)
        for dtype in TYPES[kind]:
            dataset.createVariable(f"{dtype}.tx", dtype, ("time", "x"))[:4] = random_values(rng, dtype, (4, 3))
            dataset.createVariable(f"{dtype}.x", dtype, ("x",))[...] = random_values(rng, dtype, 3)
    wanted = {}
    with mounted(source) as mnt:
        for dtype in TYPES[kind]:
            for name, shape in [(f"{dtype}.tx", (4, 3)), (f"{dtype}.x", (3,))]:
                wanted[name] = random_values(rng, np.dtype(dtype).newbyteorder(">"), shape).copy()
                mnt.write(folder(mnt, "a", name) / "data", wanted[name].tobytes())
            column = random_values(rng, np.dtype(dtype).newbyteorder(">"), 4)
            wanted[f"{dtype}.tx"][:, 1] = column
            mnt.write(folder(mnt, "a", f"{dtype}.tx") / "axis/x/1", column.tobytes())
    with opened(path) as dataset:
        for name, values in wanted.items():
            assert np.array_equal(dataset[name][...], values, equal_nan=values.dtype.kind == "f"), name


@each_format
def test_records_that_were_streamed_are_counted(source, rng, kind):
    plain = source / "plain.nc"
    with created(plain, kind) as dataset:
        dataset.createDimension("time", None)
        dataset.createDimension("x", 3)
        dataset.createVariable("a", "f8", ("time", "x"))[:6] = random_values(rng, "f8", (6, 3))
        dataset.createVariable("b", "i1", ("time", "x"))[:6] = random_values(rng, "i1", (6, 3))
    content = plain.read_bytes()
    count = COUNT[kind]
    streamed = content[:4] + b"\xff" * count + content[4 + count :]
    (source / "streamed.nc").write_bytes(streamed)
    (source / "unpadded.nc").write_bytes(streamed[:-1])
    (source / "cut.nc").write_bytes(streamed[:-2])
    with mounted(source) as mnt:
        check_file(mnt, plain)
        with opened(plain) as dataset:
            for name in ["a", "b"]:
                wanted = as_in(mnt, "plain", name, dataset[name][...])
                check_member(mnt, "streamed", name, wanted, dims=("time", "x"))
                check_member(mnt, "unpadded", name, wanted, dims=("time", "x"))
                check_member(mnt, "cut", name, wanted[:5], dims=("time", "x"))


def test_records_that_are_not_there_are_refused_where_they_are_needed(source, rng):
    path = source / "a.nc"
    with created(path, "NETCDF3_CLASSIC") as dataset:
        dataset.createDimension("time", None)
        dataset.createDimension("x", 3)
        dataset.createVariable("a", "f8", ("time", "x"))[:6] = random_values(rng, "f8", (6, 3))
        dataset.createVariable("b", "i1", ("time", "x"))[:6] = random_values(rng, "i1", (6, 3))
    os.truncate(path, path.stat().st_size - 1)
    with mounted(source) as mnt:
        # scipy wants the padding, too.
        check_file(mnt, path, with_scipy=False)
    os.truncate(path, path.stat().st_size - 1)
    with mounted(source) as mnt:
        assert "truncated" in error_of(mnt, "a/b")
        with opened(path) as dataset:
            check_member(mnt, "a", "a", as_in(mnt, "a", "a", dataset["a"][...]), dims=("time", "x"))


def test_records_that_are_appended_appear(source):
    path = source / "a.nc"
    with created(path, "NETCDF3_CLASSIC") as dataset:
        dataset.createDimension("time", None)
        dataset.createVariable("a", "i4", ("time",))[:2] = [1, 2]
        dataset.createVariable("b", "i2", ("time",))[:2] = [3, 4]
    with mounted(source) as mnt:
        check_file(mnt, path)
        with mnt.open(folder(mnt, "a", "a") / "data", os.O_RDWR) as fd:
            with netCDF4.Dataset(path, "a") as dataset:
                dataset["a"][2:4] = [5, 6]
                dataset["b"][2:4] = [7, 8]
            # The layout goes on, and so does whoever has it open.
            os.pwrite(fd, struct.pack(">i", 10), 0)
        eventually(lambda: mnt.read("a/a/shape") == b"4\n", "the records appear")
        check_file(mnt, path)
        assert np.frombuffer(mnt.read("a/a/data"), ">i4").tolist() == [10, 2, 5, 6]


def test_a_variable_larger_than_its_size_field(source):
    path = source / "a.nc"
    with created(path, "NETCDF3_64BIT_OFFSET") as dataset:
        dataset.set_fill_off()
        dataset.createDimension("y", 50_000)
        dataset.createDimension("x", 50_000)
        dataset.createVariable("a", "i2", ("y", "x"))[-1, -5:] = [1, 2, 3, 4, 5]
    assert path.stat().st_size > 1 << 32
    with mounted(source) as mnt:
        assert (mnt / "a/a/slice/-1,-5:").read_bytes() == np.array([1, 2, 3, 4, 5], ">i2").tobytes()
        assert (mnt / "a/a/data").stat().st_size == 5_000_000_000


def test_files_that_cannot_be_served_are_errors_that_say_so(source):
    path = source / "a.nc"
    with created(path, "NETCDF3_CLASSIC") as dataset:
        dataset.createDimension("x", 3)
        dataset.createVariable("a", "i4", ("x",))[...] = [1, 2, 3]
    content = path.read_bytes()
    with created(source / "none.nc", "NETCDF3_CLASSIC") as dataset:
        dataset.createDimension("x", 3)
    (source / "cut.nc").write_bytes(content[:50])
    (source / "new.nc").write_bytes(b"CDF\x09" + content[4:])
    (source / "nasa.cdf").write_bytes(bytes.fromhex("cdf30001 0000ffff") + bytes(100))
    with mounted(source) as mnt:
        for name, word in [("none", "no variable"), ("cut", "truncated"), ("new", "version 9"), ("nasa", "NASA")]:
            assert word in error_of(mnt, name)


def test_a_file_is_known_by_its_extension_or_its_content(source):
    with created(source / "a.nc3", "NETCDF3_CLASSIC") as dataset:
        dataset.createDimension("x", 3)
        dataset.createVariable("a", "i4", ("x",))[...] = [1, 2, 3]
    content = (source / "a.nc3").read_bytes()
    for name in ["b.cdf", "c.NC", "blob"]:
        (source / name).write_bytes(content)
    with mounted(source) as mnt:
        for name in ["a", "b", "c", "blob"]:
            check_member(mnt, name, "a", np.array([1, 2, 3], ">i4"), dims=("x",))


def test_minc_is_a_container_of_either_kind(source):
    """MINC 1 is NetCDF, MINC 2 is HDF5; the image is an array in it, and its axes have names."""
    examples = Path(nibabel.__file__).parent / "tests/data"
    names = ["tiny.mnc", "minc1_4d.mnc", "minc1_1_scale.mnc", "minc2_1_scale.mnc", "small.mnc"]
    for name in names:
        shutil.copy(examples / name, source)
    served = 0
    with mounted(source) as mnt:
        assert set(os.listdir(mnt)) >= {name.removesuffix(".mnc") for name in names}
        for name in names:
            stem = name.removesuffix(".mnc")
            image = nibabel.load(examples / name).dataobj
            place = mnt / stem / ("image" if (mnt / stem / "image").exists() else "minc-2.0/image/0/image")
            if (place / "error").exists():
                assert "compressed" in (place / "error").read_text(), name
                continue
            shape = tuple(map(int, (place / "shape").read_text().split()))
            assert shape == image.shape
            # Signed bytes of NetCDF may be meant as unsigned ones, of which the attribute `signtype` tells.
            stored = np.frombuffer((place / "value/data").read_bytes(), (place / "value/dtype").read_text().strip()).reshape(shape)
            # The scale of each slice is nibabel's to apply: within one, order is kept.
            for ours, theirs in zip(stored.reshape(-1, *shape[-2:]), np.asanyarray(image).reshape(-1, *shape[-2:])):
                order = np.argsort(ours, axis=None, kind="stable")
                assert np.all(np.diff(theirs.ravel()[order]) >= -1e-9), name
            served += 1
    assert served >= 3
