"""`value/`: what stored elements stand for, as the libraries of the formats apply scale, offset and missing values."""

import itertools
import os

import h5py
import laspy
import netCDF4
import nibabel
import numpy as np
import pydicom
import pyedflib
import pytest
import rasterio
import zarr
from astropy.io import fits
from pydicom.pixels import apply_rescale

import test_dicom as dicom
from harness import eventually, mounted, refused


def values(mnt, array, path="value/data"):
    """The physical values, of the type that the mount says they have."""
    folder = mnt / array / path.rpartition("/")[0]
    while not (folder / "dtype").exists():
        folder = folder.parent
    dtype = np.dtype((folder / "dtype").read_text().strip())
    file = mnt / array / path
    content = file.read_bytes()
    assert file.stat().st_size == len(content)
    return np.frombuffer(content, dtype)


def equal(found, wanted):
    return np.array_equal(found, np.ravel(wanted), equal_nan=True)


def dataset(path):
    """A file that netCDF4 opened: the mount lets go of its lock a moment after the last close."""
    def open_it():
        try:
            return netCDF4.Dataset(path)
        except OSError:
            return None
    return eventually(open_it, f"{path} can be opened")


CONVENTIONS = [
    ({"scale_factor": 0.01, "add_offset": 273.15}, "i2"), ({"scale_factor": 0.5}, "i1"), ({"add_offset": -5.0}, "u1"),
    ({"scale_factor": 1e-3, "add_offset": 1.0, "missing_value": 7}, "i4"), ({"missing_value": [3, 9]}, "i2"), ({}, "i2"),
    ({"scale_factor": 2.0, "_FillValue": -1}, "i4"), ({"_FillValue": np.nan}, "f4"), ({"_FillValue": 1e20, "scale_factor": 10.0}, "f4"),
    ({"_FillValue": 1e20}, "f4"), ({"_FillValue": -9999.0}, "f8"), ({"_FillValue": 255, "_Unsigned": "true"}, "u1"),
    ({"_Unsigned": "true", "scale_factor": 2.0}, "i1"), ({"scale_factor": np.float32(0.1), "add_offset": np.float32(3)}, "i2"),
]


@pytest.mark.parametrize("kind", ["NETCDF3_CLASSIC", "NETCDF3_64BIT_DATA", "NETCDF4"])
def test_netcdf_is_what_its_library_reads_and_writes(source, rng, kind):
    path = source / "a.nc"
    numbers = {}
    with netCDF4.Dataset(path, "w", format=kind) as file:
        file.createDimension("x", 6)
        file.createDimension("y", 20)
        for number, (attributes, dtype) in enumerate(CONVENTIONS):
            if kind == "NETCDF3_CLASSIC" and dtype[0] == "u":
                continue
            attributes = dict(attributes)
            fill = attributes.pop("_FillValue", None)
            # Netcdf 4 reads its own defaults as missing, which classic files do not name.
            made = file.createVariable(f"v{number}", dtype, ("x", "y"), fill_value=fill)
            made.set_auto_maskandscale(False)
            for name, value in attributes.items():
                made.setncattr(name, np.array(value, dtype) if name == "missing_value" else value)
            stored = rng.integers(0, 100, (6, 20)).astype(dtype)
            if fill is not None:
                stored[::2, 3] = fill
            made[:] = stored
            numbers[f"v{number}"] = (attributes, stored)

    def read(name):
        with dataset(path) as file:
            found = file[name][:]
            return np.ma.filled(found.astype("f8"), np.nan)

    with mounted(source) as mnt:
        for name, (attributes, stored) in numbers.items():
            wanted = read(name)
            found = values(mnt, f"a/{name}")
            # Where scale or numbers are single floats, netCDF4 computes in single precision.
            is_single = stored.dtype == "f4" or isinstance(attributes.get("scale_factor"), np.float32)
            assert np.allclose(found, wanted.ravel(), rtol=1e-6, equal_nan=True) if is_single else equal(found, wanted), name
            with dataset(path) as file:
                file[name].set_auto_mask(False)
                unmasked = file[name][:].astype("f8")
            present = ~np.isnan(wanted)
            assert np.allclose(found.reshape(6, 20)[present], unmasked[present], rtol=1e-6)
            assert np.allclose(values(mnt, f"a/{name}", "value/T/row/3"), wanted[:, 3], rtol=1e-6, equal_nan=True), name
            assert np.allclose(values(mnt, f"a/{name}", "value/as/f4/slice/::-1,2"), np.float32(wanted[::-1, 2]), rtol=1e-6, equal_nan=True), name
            # Unchanged, nothing changes; other values are those that the library reads.
            before = path.read_bytes()
            for view in ["value/data", "value/as/f4/data", "value/as/f8be/T/data", "value/as/i4/data"]:
                (mnt / "a" / name / view).write_bytes((mnt / "a" / name / view).read_bytes())
                assert path.read_bytes() == before, (name, view)
            new = np.where(np.isnan(wanted[::-1]), 0, wanted[::-1]).ravel()[np.r_[5:120, 0:5]]
            (mnt / "a" / name / "value/data").write_bytes(new.astype(found.dtype).tobytes())
            again = read(name).ravel()
            # What happens to be the number for a missing one is missing.
            assert np.allclose(again, np.where(np.isnan(again), np.nan, new), rtol=1e-5, atol=1e-3, equal_nan=True), name


def test_missing_values_are_written_as_nan(source, rng):
    with netCDF4.Dataset(source / "a.nc", "w") as file:
        file.createDimension("x", 9)
        made = file.createVariable("t", "i2", ("x",), fill_value=-32000)
        made.scale_factor, made.add_offset = 0.01, 20.0
        made[:] = np.ma.array(np.arange(9) + 15.0, mask=np.arange(9) % 4 == 1)
        floats = file.createVariable("f", "f4", ("x",), fill_value=1e20)
        floats[:] = np.arange(9)
        # Without a value for it: an integer has no NaN.
        plain = file.createVariable("p", "i2", ("x",), fill_value=False)
        plain[:] = 5
        plain.scale_factor = 2.0
    with mounted(source) as mnt:
        found = values(mnt, "a/t")
        assert np.isnan(found).tolist() == [k % 4 == 1 for k in range(9)]
        new = found.copy()
        new[[0, 2, 5]] = np.nan, 21.504, -1.25
        (mnt / "a/t/value/data").write_bytes(new.tobytes())
        (mnt / "a/f/value/row/3").write_bytes(np.float32([-np.nan]).tobytes())
        with dataset(source / "a.nc") as file:
            assert np.ma.getmaskarray(file["t"][:]).tolist() == [True, True, False, False, False, False, False, False, False]
            assert np.allclose(file["t"][2:], [21.5, 18, 19, -1.25, 21, 22, 23])
            assert np.ma.getmaskarray(file["f"][:]).tolist() == [k == 3 for k in range(9)]
            file["t"].set_auto_maskandscale(False)
            assert file["t"][0] == -32000
        before = (source / "a.nc").read_bytes()
        for name, number in [("t", 20 + 327.68), ("t", -310.0), ("t", np.inf), ("p", np.nan), ("p", 65536.0), ("p", -1e300)]:
            with refused("ERANGE"):
                (mnt / "a" / name / "value/range/4:7").write_bytes(np.array([1, number, 2], (mnt / "a" / name / "value/dtype").read_text().strip()).tobytes())
            assert (source / "a.nc").read_bytes() == before, (name, number)
        (mnt / "a/t/value/range/3:5.txt").write_text("nan 17.129\n")
        assert (mnt / "a/t/range/3:5.txt").read_text().split() == ["-32000", "-287"]
        assert np.isnan(np.loadtxt(mnt / "a/t/value/data.txt")).tolist() == [k in (0, 1, 3) for k in range(9)]


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("scale", [(1, 0), (0.25, 10), (1, 100), (1, 0.5)])
def test_fits_images(source, rng, dtype, scale):
    stored = rng.integers(0, 100, (4, 5)).astype(dtype)
    hdu = fits.PrimaryHDU(stored)
    hdu.writeto(source / "a.fits")
    with fits.open(source / "a.fits", mode="update", do_not_scale_image_data=True) as hdus:
        hdus[0].header["BSCALE"], hdus[0].header["BZERO"] = scale
        if dtype[0] != "f":
            hdus[0].header["BLANK"] = 7
    with mounted(source) as mnt:
        with fits.open(source / "a.fits") as hdus:
            wanted = hdus[0].data.astype("f8")
        exact = stored * float(scale[0]) + float(scale[1])
        if dtype[0] != "f":
            exact[stored == 7] = np.nan
        # astropy computes in single precision, and takes a blank for none where nothing is scaled.
        found = values(mnt, "a").astype("f8")
        assert equal(found, exact)
        scaled = scale != (1, 0)
        assert not scaled or np.allclose(found, wanted.ravel(), rtol=1e-6, equal_nan=True)
        before = (source / "a.fits").read_bytes()
        (mnt / "a/value/data").write_bytes((mnt / "a/value/data").read_bytes())
        (mnt / "a/value/as/f4/T/data").write_bytes((mnt / "a/value/as/f4/T/data").read_bytes())
        assert (source / "a.fits").read_bytes() == before
        (mnt / "a/value/as/f8/row/2").write_bytes((np.arange(20, 25) * float(scale[0]) + float(scale[1])).tobytes())
        with fits.open(source / "a.fits", do_not_scale_image_data=True) as hdus:
            assert hdus[0].data[2].tolist() == [20, 21, 22, 23, 24]


def test_fits_tables(source, rng):
    raw = rng.integers(-50, 50, 30).astype("i2")
    columns = [
        fits.Column("scaled", "I", array=raw),
        fits.Column("null", "J", null=-99, array=np.where(raw > 10, -99, raw)),
        fits.Column("unsigned", "I", bzero=32768, array=(raw + 1000).astype("u2")),
        fits.Column("plain", "E", array=raw.astype("f4")),
        fits.Column("pair", "2D", array=rng.normal(size=(30, 2))),
    ]
    fits.BinTableHDU.from_columns(columns).writeto(source / "a.fits")
    fits.setval(source / "a.fits", "TSCAL1", value=0.1, ext=1)
    fits.setval(source / "a.fits", "TZERO1", value=3.5, ext=1)
    with mounted(source) as mnt:
        with fits.open(source / "a.fits") as hdus:
            data = hdus[1].data
            assert np.allclose(values(mnt, "a/field/scaled"), data["scaled"], rtol=1e-12)
            assert np.allclose(values(mnt, "a/field/unsigned"), data["unsigned"])
            assert equal(values(mnt, "a/field/null"), np.where(data["null"] == -99, np.nan, data["null"]))
            assert equal(values(mnt, "a/field/plain"), data["plain"])
            assert equal(values(mnt, "a/field/pair"), data["pair"])
            assert equal(values(mnt, "a/field/pair", "value/T/row/1"), data["pair"][:, 1])
        assert not (mnt / "a/value").exists() or not (mnt / "a/value/data").exists()
        (mnt / "a/field/scaled/value/row/4").write_bytes(np.float64([12.34]).tobytes())
        (mnt / "a/field/null/value/data").write_bytes(np.full(30, np.nan).tobytes())
        (mnt / "a/field/unsigned/value/as/u2/row/7").write_bytes(np.uint16([65535]).tobytes())
        with refused("ERANGE"):
            (mnt / "a/field/unsigned/value/as/u4/row/7").write_bytes(np.uint32([65536]).tobytes())
        with fits.open(source / "a.fits") as hdus:
            assert np.isclose(hdus[1].data["scaled"][4], 12.3) and hdus[1].data["unsigned"][7] == 65535
            assert (hdus[1].data["null"] == -99).all()


@pytest.mark.parametrize("dtype", ["u1", "i2", "f4"])
@pytest.mark.parametrize("scale", [(2.5, -3.0), (1.0, 0.0), (1.0, 7.0), (0.0, 5.0), (np.nan, np.nan)])
def test_nifti(source, rng, dtype, scale):
    stored = rng.integers(0, 100, (3, 4, 5)).astype(dtype)
    image = nibabel.Nifti1Image(stored, np.eye(4))
    image.header.set_slope_inter(1, 0)
    nibabel.save(image, source / "a.nii")
    content = bytearray((source / "a.nii").read_bytes())
    content[112:120] = np.float32(scale).tobytes()
    (source / "a.nii").write_bytes(content)
    with mounted(source) as mnt:
        wanted = nibabel.load(source / "a.nii").get_fdata()
        assert equal(values(mnt, "a"), wanted)
        assert equal(values(mnt, "a", "value/axis/2/3"), wanted[:, :, 3])
        (mnt / "a/value/data").write_bytes((mnt / "a/value/data").read_bytes())
        assert (source / "a.nii").read_bytes() == bytes(content)
        new = np.ascontiguousarray(wanted[::-1, :, ::-1])
        (mnt / "a/value/as/f8/data").write_bytes(new.tobytes())
        assert np.allclose(nibabel.load(source / "a.nii").get_fdata(), new)
        assert np.array_equal(nibabel.load(source / "a.nii").dataobj.get_unscaled(), stored[::-1, :, ::-1])


@pytest.mark.parametrize("syntax", ["implicit", "big"])
def test_dicom(source, rng, syntax):
    stored = rng.integers(-1000, 3000, (6, 5)).astype("i2")
    dicom.write(source / "a.dcm", stored, syntax, RescaleSlope="2.5", RescaleIntercept="-1024")
    with mounted(source) as mnt:
        def read():
            dataset = pydicom.dcmread(source / "a.dcm")
            return apply_rescale(dataset.pixel_array, dataset)
        assert equal(values(mnt, "a"), read())
        (mnt / "a/value/row/1").write_bytes((np.arange(5) * 2.5 - 1024).tobytes())
        assert np.array_equal(read()[1], np.arange(5) * 2.5 - 1024)
        with refused("ERANGE"):
            (mnt / "a/value/row/1").write_bytes(np.full(5, 1e6).tobytes())
        assert np.array_equal(read()[1], np.arange(5) * 2.5 - 1024)


@pytest.mark.parametrize("kind", ["edf", "bdf"])
def test_edf_and_bdf(source, rng, kind):
    limit = 2**23 if kind == "bdf" else 2**15
    with pyedflib.EdfWriter(os.fspath(source / f"a.{kind}"), 2, pyedflib.FILETYPE_BDF if kind == "bdf" else pyedflib.FILETYPE_EDF) as file:
        for number, label in enumerate(["one", "two"]):
            file.setSignalHeader(number, {"label": label, "dimension": "uV", "sample_frequency": 50, "physical_max": 100.5, "physical_min": -100,
                                          "digital_max": limit - 1, "digital_min": -limit, "transducer": "", "prefilter": ""})
        file.writeSamples([rng.integers(-limit, limit, 200).astype("i4") for _ in range(2)], digital=True)
    with mounted(source) as mnt:
        def read(number):
            with pyedflib.EdfReader(os.fspath(source / f"a.{kind}")) as file:
                return file.readSignal(number)
        for number, label in enumerate(["one", "two"]):
            assert np.allclose(values(mnt, f"a/{label}"), read(number), rtol=1e-9, atol=1e-9)
            before = (source / f"a.{kind}").read_bytes()
            (mnt / "a" / label / "value/data").write_bytes((mnt / "a" / label / "value/data").read_bytes())
            assert (source / f"a.{kind}").read_bytes() == before
        new = np.sin(np.arange(200)) * 90
        (mnt / "a/two/value/data").write_bytes(new.tobytes())
        assert np.abs(read(1) - new).max() <= 200.5 / (2 * limit) / 2 * 1.001
        with refused("ERANGE"):
            (mnt / "a/two/value/row/5").write_bytes(np.float64([100.6]).tobytes())
        assert np.abs(read(1) - new).max() <= 200.5 / (2 * limit) / 2 * 1.001


@pytest.mark.parametrize("kind", ["zarr2", "zarr3", "hdf5", "hdf5 chunked"])
def test_zarr_and_hdf5_with_attributes_of_cf(source, rng, kind):
    stored = rng.integers(-500, 500, (7, 9)).astype("<i2")
    stored[2, ::3] = -999
    attributes = {"scale_factor": 0.25, "add_offset": 4.0, "_FillValue": -999}
    if kind.startswith("zarr"):
        made = zarr.create_array(source / "a", shape=stored.shape, dtype="<i2", chunks=(3, 4), compressors=None, zarr_format=int(kind[-1]),
                                 fill_value=-999, attributes=attributes)
        made[...] = stored
        name, load = "a", lambda: zarr.open_array(source / "a", mode="r")[...]
    else:
        with h5py.File(source / "h.h5", "w") as file:
            made = file.create_dataset("a", data=stored, chunks=(3, 4) if "chunked" in kind else None)
            for key, value in attributes.items():
                made.attrs[key] = np.int16(value) if key == "_FillValue" else value
        name = "h/a"

        def load():
            with h5py.File(source / "h.h5", locking=False) as file:
                return file["a"][...]

    wanted = np.where(stored == -999, np.nan, stored * 0.25 + 4)
    with mounted(source) as mnt:
        for path, text in {"value/data": "w", "value/T/row/2": "w.T[2]", "value/slice/::-1,::2": "w[::-1, ::2]", "T/value/data": "w.T"}.items():
            assert equal(values(mnt, name, path), eval(text, {"w": wanted})), path
        assert np.array_equal(np.load(mnt / name / "value/col/3.npy"), wanted[:, 3], equal_nan=True)
        (mnt / name / "value/data").write_bytes((mnt / name / "value/data").read_bytes())
        assert np.array_equal(load(), stored)
        new = wanted[::-1].copy()
        new[0, :3] = np.nan, 5.3, 5.4
        (mnt / name / "value/data").write_bytes(new.tobytes())
        expected = stored[::-1].copy()
        expected[0, :3] = -999, 5, 6
        assert np.array_equal(load(), expected)


def test_las_coordinates(source, rng):
    header = laspy.LasHeader(version="1.2", point_format=1)
    header.scales, header.offsets = [0.01, 0.02, 0.001], [1000.0, 2000.0, -3.5]
    las = laspy.LasData(header)
    las.x, las.y, las.z = 1000 + rng.random(40) * 100, 2000 + rng.random(40) * 100, rng.random(40)
    las.intensity = rng.integers(0, 2**16, 40)
    las.write(source / "a.las")
    with mounted(source) as mnt:
        las = laspy.read(source / "a.las")
        for field, wanted in {"X": las.x, "Y": las.y, "Z": las.z, "intensity": las.intensity}.items():
            assert equal(values(mnt, f"a/field/{field}"), np.asarray(wanted)), field
        new = 1000 + rng.random(40) * 50
        (mnt / "a/field/X/value/data").write_bytes(new.tobytes())
        (mnt / "a/field/Z/value/as/f4/row/3").write_bytes(np.float32([1.25]).tobytes())
        las = laspy.read(source / "a.las")
        assert np.abs(las.x - new).max() <= 0.005001 and np.isclose(las.z[3], 1.25)
        with refused("ERANGE"):
            (mnt / "a/field/X/value/data").write_bytes(np.full(40, 1e12).tobytes())
        assert np.array_equal(laspy.read(source / "a.las").x, las.x)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_nodata_of_gdal(source, rng):
    stored = rng.integers(0, 9, (6, 8)).astype("i2")
    for driver, name in [("GTiff", "t.tif"), ("EHdr", "e.bil"), ("ENVI", "v.img")]:
        with rasterio.open(source / name, "w", driver=driver, width=8, height=6, count=1, dtype="int16", nodata=5) as file:
            file.write(stored, 1)
    wanted = np.where(stored == 5, np.nan, stored)
    with mounted(source) as mnt:
        for name in ["t", "e", "v"]:
            assert equal(values(mnt, name), wanted), name
            (mnt / name / "value/data").write_bytes(np.full(48, np.nan, (mnt / name / "value/dtype").read_text().strip()).tobytes())
            assert (np.frombuffer(mnt.read(f"{name}/data"), "<i2") == 5).all(), name


def test_what_no_format_scales(source, rng):
    arrays = {"f": rng.normal(size=5), "i": rng.integers(0, 9, 5), "c": rng.normal(size=5) + 1j, "h": rng.normal(size=5).astype("f2"),
              "u": rng.integers(0, 2**63, 5).astype(">u8"), "b": np.array([True, False])}
    for name, array in arrays.items():
        np.save(source / f"{name}.npy", array)
    np.save(source / "s.npy", np.array(["x", "y"]))
    with mounted(source) as mnt:
        for name, dtype in {"f": "<f8", "i": "<f8", "c": "<c16", "h": "<f4", "u": "<f8", "b": "<f4"}.items():
            assert (mnt / name / "value/dtype").read_text().strip() == dtype
            assert equal(values(mnt, name), arrays[name].astype(dtype)), name
        assert os.stat(mnt / "f/value/data").st_ino == os.stat(mnt / "f/data").st_ino
        assert not (mnt / "s/value/data").exists()
        for name, suffix in itertools.product("fih", ["npy", "txt", "nii", "wav"]):
            assert (mnt / name / f"value/data.{suffix}").stat().st_size > 0
