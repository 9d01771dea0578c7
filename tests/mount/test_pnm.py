"""Pictures of Netpbm: against GDAL and Pillow where these read them, and else against the few lines that a reader takes."""

import itertools
import warnings

import numpy as np
import PIL.Image
import pytest
import rasterio

from harness import mounted
from members import check_member, error_of, info


def random_values(rng, dtype, shape):
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    return np.frombuffer(rng.bytes(int(np.prod(shape)) * dtype.itemsize), dtype).reshape(shape)


def netpbm(values, comment=""):
    """P5 or P6."""
    rows, columns = values.shape[:2]
    magic = {2: "P5", 3: "P6"}[values.ndim]
    return f"{magic}\n{comment}{columns} {rows}\n{np.iinfo(values.dtype).max}\n".encode() + values.tobytes()


def pam(values, tuple_type):
    rows, columns, depth = values.shape
    header = f"P7\nWIDTH {columns}\nHEIGHT {rows}\n# text\nDEPTH {depth}\nMAXVAL {np.iinfo(values.dtype).max}\n"
    return f"{header}TUPLTYPE {tuple_type}\nENDHDR\n".encode() + values.tobytes()


def pfm(values, scale=1):
    rows, columns = values.shape[:2]
    magic = {2: "Pf", 3: "PF"}[values.ndim] + ("4" if values.shape[2:] == (4,) else "")
    sign = -1 if values.dtype == np.dtype("<f4") else 1
    return f"{magic}\n{columns} {rows}\n{sign * scale}\n".encode() + values[::-1].tobytes()


def read_pfm(path):
    """The reader that is on everybody's disk."""
    with open(path, "rb") as file:
        channels = {b"Pf": 1, b"PF": 3, b"PF4": 4}[file.readline().strip()]
        columns, rows = map(int, file.readline().split())
        dtype = "<f4" if float(file.readline()) < 0 else ">f4"
        values = np.fromfile(file, dtype, rows * columns * channels).reshape(rows, columns, channels)
    return np.flipud(values if channels > 1 else values[..., 0])


def read_gdal(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path) as file:
            values = file.read()
    return values[0] if len(values) == 1 else np.moveaxis(values, 0, -1)


@pytest.mark.parametrize("dtype", ["|u1", ">u2"])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
@pytest.mark.parametrize("comment", ["", "# made by hand\n"])
def test_integers_are_those_that_gdal_and_pillow_read(source, rng, dtype, shape, comment):
    path = source / ("a.pgm" if len(shape) == 2 else "a.ppm")
    path.write_bytes(netpbm(random_values(rng, dtype, shape), comment))
    wanted = read_gdal(path).astype(dtype)
    if dtype == "|u1":
        assert np.array_equal(wanted, np.asarray(PIL.Image.open(path)))
    dims = ["row", "column", "channel"][: len(shape)]
    with mounted(source) as mnt:
        check_member(mnt, "", "a", wanted, dims=dims)
        assert info(mnt, "", "a")["attributes"] == {"maxval": int(np.iinfo(dtype).max)}
        assert info(mnt, "", "a")["dims"] == dims


@pytest.mark.parametrize("dtype", ["|u1", ">u2"])
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 7])
def test_pam(source, rng, dtype, depth):
    wanted = random_values(rng, dtype, (5, 7, depth))
    (source / "a.pam").write_bytes(pam(wanted, "SOME KIND"))
    with mounted(source) as mnt:
        check_member(mnt, "", "a", wanted if depth > 1 else wanted[..., 0])
        assert info(mnt, "", "a")["attributes"] == {"maxval": int(np.iinfo(dtype).max), "tupltype": "SOME KIND"}


@pytest.mark.parametrize("dtype", ["<f4", ">f4"])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (5, 7, 4), (1, 1), (1, 2, 3)])
def test_floats_are_stored_bottom_up_and_shown_top_down(source, rng, dtype, shape):
    path = source / "a.pfm"
    path.write_bytes(pfm(random_values(rng, dtype, shape), 2.5))
    if len(shape) == 2:
        assert np.array_equal(read_pfm(path), np.asarray(PIL.Image.open(path)))
    with mounted(source) as mnt:
        check_member(mnt, "", "a", read_pfm(path))
        assert info(mnt, "", "a")["attributes"] == {"scale": 2.5}


def test_pictures_that_are_alike_are_one_array(source, rng):
    values = random_values(rng, "|u1", (4, 5, 7, 3))
    (source / "film.ppm").write_bytes(b"".join(netpbm(frame) for frame in values))
    floats = random_values(rng, "<f4", (3, 5, 7))
    (source / "floats.pfm").write_bytes(b"\n".join(pfm(frame) for frame in floats))
    with mounted(source) as mnt:
        check_member(mnt, "", "film", values, dims=["image", "row", "column", "channel"])
        check_member(mnt, "", "floats", floats)


def test_pictures_that_differ_are_a_folder(source, rng):
    shapes = [(5, 7), (5, 7, 3), (2, 3, 3), (5, 7)]
    pictures = [random_values(rng, dtype, shape) for dtype, shape in zip(itertools.cycle(["|u1", ">u2"]), shapes)]
    (source / "a.ppm").write_bytes(b"".join(netpbm(picture) for picture in pictures) + pam(pictures[1], "RGB"))
    with mounted(source) as mnt:
        for number, picture in enumerate([*pictures, pictures[1]]):
            check_member(mnt, "a", f"image-{number}", picture)
        assert len(list((mnt / "a").iterdir())) == 5


def test_what_is_written_is_read_back(source, rng):
    (source / "a.pgm").write_bytes(netpbm(random_values(rng, ">u2", (5, 7))))
    (source / "b.ppm").write_bytes(netpbm(random_values(rng, "|u1", (5, 7, 3))))
    (source / "c.pfm").write_bytes(pfm(random_values(rng, "<f4", (5, 7))))
    with mounted(source) as mnt:
        mnt.write("a/slice/1,2", np.array(1234, ">u2").tobytes())
        mnt.write("b/slice/1,2,1", b"\x55")
        mnt.write("c/slice/1,2", np.array(2.5, "<f4").tobytes())
    assert read_gdal(source / "a.pgm")[1, 2] == 1234
    assert np.asarray(PIL.Image.open(source / "b.ppm"))[1, 2, 1] == 0x55
    assert np.asarray(PIL.Image.open(source / "c.pfm"))[1, 2] == 2.5


def test_a_file_is_known_by_its_content(source, rng):
    values = random_values(rng, "|u1", (5, 7))
    (source / "picture").write_bytes(netpbm(values))
    with mounted(source) as mnt:
        check_member(mnt, "", "picture", values)


def test_files_that_cannot_be_served_are_errors_that_say_so(source, rng):
    (source / "plain.pgm").write_text("P2\n2 1\n255\n1 2\n")
    (source / "plain.ppm").write_text("P3\n1 1\n255\n1 2 3\n")
    PIL.Image.new("1", (8, 8)).save(source / "bits.pbm")
    (source / "plain.pbm").write_text("P1\n2 1\n1 0\n")
    (source / "cut.pgm").write_bytes(netpbm(random_values(rng, "|u1", (5, 7)))[:-1])
    (source / "other.ppm").write_bytes(b"\x89PNG\r\n\x1a\n")
    words = {
        "plain.pgm": "pnmtopnm",
        "plain.ppm": "pnmtopnm",
        "bits": "pamdepth 255",
        "plain.pbm": "pamdepth 255",
        "cut": "truncated",
        "other": "another kind",
    }
    with mounted(source) as mnt:
        for name, word in words.items():
            assert word in error_of(mnt, name), name
