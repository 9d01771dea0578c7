"""Rasters of ESRI, written and read by GDAL; gaps, which it passes over, by NumPy's strides."""

import warnings

import numpy as np
import pytest
import rasterio
from numpy.lib.stride_tricks import as_strided

from harness import mounted
from members import check_member, error_of, info

DIMS = ["row", "column", "band"]


def random_values(rng, dtype, shape=(5, 7, 3)):
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    return np.frombuffer(rng.bytes(int(np.prod(shape)) * dtype.itemsize), dtype).reshape(shape)


def read(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path) as file:
            assert file.driver == "EHdr"
            return np.moveaxis(file.read(), 0, -1)


def header(path, **keys):
    path.with_suffix(".hdr").write_text("".join(f"{key:14}{value}\n" for key, value in keys.items()))


def stored(values, layout):
    axes = {"BSQ": (2, 0, 1), "BIL": (0, 2, 1), "BIP": (0, 1, 2)}[layout]
    return values.transpose(axes).tobytes()


def facts(values, **more):
    rows, columns, bands = values.shape
    kind = {"i": "SIGNEDINT", "u": "UNSIGNEDINT", "f": "FLOAT"}[values.dtype.kind]
    order = "M" if values.dtype.str.startswith(">") else "I"
    size = {"NROWS": rows, "NCOLS": columns, "NBANDS": bands, "NBITS": 8 * values.dtype.itemsize}
    return {"BYTEORDER": order, **size, "PIXELTYPE": kind, **more}


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("layout", ["BSQ", "BIL", "BIP"])
def test_rasters_are_those_that_gdal_reads(source, rng, layout, order):
    paths = {dtype: source / f"{dtype}.{layout.lower()}" for dtype in ["i1", "u1", "i2", "u2", "i4", "u4", "f4"]}
    for dtype, path in paths.items():
        values = random_values(rng, np.dtype(dtype).newbyteorder(order))
        header(path, **facts(values, LAYOUT=layout, ULXMAP=0.5, ULYMAP=4.5, XDIM=1, YDIM=1))
        path.write_bytes(stored(values, layout))
    with mounted(source) as mnt:
        for dtype, path in paths.items():
            wanted = read(path).astype(np.dtype(dtype).newbyteorder(order))
            check_member(mnt, "", dtype, wanted, dims=DIMS)
            found = info(mnt, "", dtype)
            assert found["format"] == "ehdr" and found["attributes"] == {"ULXMAP": 0.5, "ULYMAP": 4.5, "XDIM": 1, "YDIM": 1}


def test_what_gdal_writes(source, rng):
    for dtype in ["u1", "i2", "u2", "i4", "f4"]:
        values = random_values(rng, dtype)
        options = {"driver": "EHdr", "width": 7, "height": 5, "count": 3, "dtype": np.dtype(dtype).name, "nodata": 3}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            with rasterio.open(source / f"{dtype}.bil", "w", **options) as file:
                file.write(np.moveaxis(values, -1, 0))
    with mounted(source) as mnt:
        for dtype in ["u1", "i2", "u2", "i4", "f4"]:
            check_member(mnt, "", dtype, read(source / f"{dtype}.bil"))
            assert info(mnt, "", dtype)["attributes"]["NODATA"] == 3


def test_what_headers_leave_out(source, rng):
    files = {
        "elevation.DEM": (">i2", {"BYTEORDER": "M", "NROWS": 5, "NCOLS": 7, "NBITS": 16, "NODATA": -9999}),
        "grid.flt": ("<f4", {"ncols": 7, "nrows": 5, "xllcorner": 0, "cellsize": 1, "byteorder": "LSBFIRST"}),
        "bytes.bil": ("u1", {"NROWS": 5, "NCOLS": 7}),
        "words.bil": ("<u2", {"NROWS": 5, "NCOLS": 7, "NBITS": 16, "BYTEORDER": "I"}),
    }
    for name, (dtype, keys) in files.items():
        header(source / name, **keys)
        (source / name).write_bytes(random_values(rng, dtype, (5, 7)).tobytes())
    with mounted(source) as mnt:
        for name, (dtype, _) in files.items():
            wanted = read(source / name)
            assert wanted.dtype == np.dtype(dtype).newbyteorder("="), name
            check_member(mnt, "", name.split(".")[0], wanted.astype(dtype))


@pytest.mark.parametrize(
    ("keys", "strides"),
    [
        ({"LAYOUT": "BSQ", "BANDGAPBYTES": 9, "SKIPBYTES": 5}, (14, 2, 79)),
        ({"LAYOUT": "BIL", "BANDROWBYTES": 17, "SKIPBYTES": 5}, (51, 2, 17)),
        ({"LAYOUT": "BIL", "BANDROWBYTES": 16, "TOTALROWBYTES": 64}, (64, 2, 16)),
        ({"LAYOUT": "BIP", "TOTALROWBYTES": 45}, (45, 6, 2)),
    ],
)
def test_gaps(source, rng, keys, strides):
    path = source / "a.bil"
    content = rng.bytes(600)
    path.write_bytes(content)
    header(path, **facts(np.zeros((5, 7, 3), "<i2"), **keys))
    data = np.frombuffer(content, "u1", offset=keys.get("SKIPBYTES", 0))
    wanted = as_strided(data[:2].view("<i2"), (5, 7, 3), strides)
    with mounted(source) as mnt:
        check_member(mnt, "", "a", wanted, dims=DIMS)


def test_what_is_written_is_read_back(source, rng):
    for layout in ["BSQ", "BIL", "BIP"]:
        path = source / f"{layout}.bil"
        values = random_values(rng, ">i2").copy()
        header(path, **facts(values, LAYOUT=layout))
        path.write_bytes(stored(values, layout))
        values[2, 3, 1] = 1234
        values[:, 1] = values[::-1, 2]
        with mounted(source) as mnt:
            mnt.write(f"{layout}/slice/2,3,1", np.array(1234, ">i2").tobytes())
            mnt.write(f"{layout}/col/1", values[:, 1].tobytes())
        assert np.array_equal(read(path), values)


def test_a_grid_as_text_is_not_taken_for_it(source):
    (source / "grid.asc").write_text("ncols 2\nnrows 1\nxllcorner 0\nyllcorner 0\ncellsize 1\n1 2\n")
    with mounted(source) as mnt:
        assert not (mnt / "grid.asc").exists()


def test_files_that_cannot_be_served_are_errors_that_say_so(source, rng):
    values = random_values(rng, "<i2")
    for name, more in {
        "bits": {"NBITS": 1},
        "cut": {},
        "gone": {},
        "layout": {"LAYOUT": "TILED"},
        "order": {"BYTEORDER": "VAX"},
        "overlap": {"BANDROWBYTES": 13},
    }.items():
        header(source / f"{name}.bil", **facts(values) | more)
        (source / f"{name}.bil").write_bytes(values.tobytes()[: -1 if name == "cut" else None])
    (source / "gone.bil").unlink()
    words = {
        "bits": "gdal_translate",
        "cut": "truncated",
        "gone": "copy both",
        "layout": "'TILED'",
        "order": "'VAX'",
        "overlap": "overlap",
    }
    with mounted(source) as mnt:
        for name, word in words.items():
            assert word in error_of(mnt, name), name
        assert {entry["format"] for entry in mnt.arrays()} == {"ehdr"}
