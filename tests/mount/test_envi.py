"""Pictures of ENVI, written and read by the library spectral, and read by GDAL."""

import os
import warnings

import numpy as np
import pytest
import rasterio
from spectral.io import envi

from harness import mounted
from members import check_member, error_of, info

TYPES = ["u1", "i2", "i4", "f4", "f8", "c8", "c16", "u2", "u4", "i8", "u8"]
DIMS = ["row", "column", "band"]


def random_values(rng, dtype, shape=(5, 7, 3)):
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    if dtype.kind == "c":
        return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)
    return np.frombuffer(rng.bytes(int(np.prod(shape)) * dtype.itemsize), dtype).reshape(shape)


def save(path, values, interleave="bsq", order="<", ext=".img", **metadata):
    options = {"dtype": values.dtype, "interleave": interleave, "byteorder": int(order == ">"), "ext": ext}
    envi.save_image(os.fspath(path), values, metadata=metadata, force=True, **options)


def read(path):
    """The elements as they are stored."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(envi.open(os.fspath(path)).open_memmap(interleave="bip"))


def read_gdal(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path) as file:
            return np.moveaxis(file.read(), 0, -1)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("interleave", ["bsq", "bil", "bip"])
def test_pictures_are_those_that_spectral_and_gdal_read(source, rng, interleave, order):
    for dtype in TYPES:
        save(source / f"{dtype}.hdr", random_values(rng, dtype), interleave, order)
    with mounted(source) as mnt:
        for dtype in TYPES:
            wanted = read(source / f"{dtype}.hdr")
            assert wanted.dtype == np.dtype(dtype).newbyteorder(order) and wanted.shape == (5, 7, 3)
            assert np.array_equal(wanted, read_gdal(source / f"{dtype}.img"))
            check_member(mnt, "", dtype, wanted, dims=DIMS)
            assert info(mnt, "", dtype)["format"] == "envi"


def test_names_of_the_files(source, rng):
    names = ["bare", "a.dat", "b.IMG", "c.bsq", "d.raw"]
    for name in names:
        stem = name.split(".")[0]
        save(source / f"{stem}.hdr", random_values(rng, "i2"))
        (source / f"{stem}.img").rename(source / name)
    save(source / "e.hdr", random_values(rng, "i2"))
    (source / "e.hdr").rename(source / "e.dat.hdr")
    (source / "e.img").rename(source / "e.dat")
    save(source / "F.hdr", random_values(rng, "i2"))
    (source / "F.hdr").rename(source / "F.HDR")
    with mounted(source) as mnt:
        for name in ["bare", "a", "b", "c", "d"]:
            check_member(mnt, "", name, read(source / f"{name}.hdr"))
        check_member(mnt, "", "e.dat", read(source / "e.dat.hdr"))
        check_member(mnt, "", "F", read(source / "F.HDR"))


def test_attributes(source, rng):
    waves = [400.5 + 10 * band for band in range(300)]
    more = {"wavelength": waves, "band names": ["first", "second"], "data ignore value": -9999,
            "reflectance scale factor": 10000.0, "description": "A picture,\nof something",
            "map info": ["UTM", 1, 1, 2.5], "data gain values": [1.5, 2]}  # fmt: skip
    save(source / "a.hdr", random_values(rng, "i2", (2, 3, 300)), **more)
    with mounted(source) as mnt:
        found = info(mnt, "", "a")
        assert found["dims"] == DIMS
        attributes = found["attributes"]
        assert attributes["wavelength"] == waves and attributes["band names"] == ["first", "second"]
        assert attributes["data ignore value"] == -9999 and attributes["reflectance scale factor"] == 10000.0
        assert attributes["description"] == "A picture,\nof something"
        assert attributes["map info"] == ["UTM", "1", "1", "2.5"] and attributes["data gain values"] == [1.5, 2]


def test_an_offset_a_classification_and_a_library_of_spectra(source, rng):
    save(source / "a.hdr", random_values(rng, "i2"))
    content = (source / "a.img").read_bytes()
    (source / "a.img").write_bytes(b"x" * 13 + content)
    text = (source / "a.hdr").read_text()
    (source / "a.hdr").write_text(text.replace("header offset = 0", "header offset = 13"))
    spectra = random_values(rng, "f4", (4, 30))
    header = {"spectra names": list("abcd"), "wavelength": list(range(30))}
    envi.SpectralLibrary(spectra, header, None).save(os.fspath(source / "spectra"))
    classes = rng.integers(0, 3, (5, 7)).astype("u1")
    envi.save_classification(os.fspath(source / "classes.hdr"), classes, class_names=["a", "b", "c"])
    with mounted(source) as mnt:
        check_member(mnt, "", "a", read(source / "a.hdr"))
        library = envi.open(os.fspath(source / "spectra.hdr"))
        check_member(mnt, "", "spectra", library.spectra[:, :, np.newaxis])
        check_member(mnt, "", "classes", classes[:, :, np.newaxis])


def test_what_is_written_is_read_back(source, rng):
    for interleave in ["bsq", "bil", "bip"]:
        path = source / f"{interleave}.hdr"
        save(path, random_values(rng, "f4"), interleave, ">")
        wanted = read(path).copy()
        wanted[2, 3, 1] = 2.5
        wanted[:, 1] = random_values(rng, ">f4", (5, 3))
        with mounted(source) as mnt:
            mnt.write(f"{interleave}/slice/2,3,1", np.array(2.5, ">f4").tobytes())
            mnt.write(f"{interleave}/col/1", wanted[:, 1].tobytes())
        assert np.array_equal(read(path), wanted)


def test_other_headers_of_that_extension_are_not_taken_for_it(source):
    (source / "photo.hdr").write_bytes(b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 100 +X 1\n" + bytes(400))
    with mounted(source) as mnt:
        assert "neither NIfTI nor Analyze" in error_of(mnt, "photo")
        assert [entry["format"] for entry in mnt.arrays()] == ["nifti"]


def test_files_that_cannot_be_served_are_errors_that_say_so(source, rng):
    save(source / "a.hdr", random_values(rng, "i2"))
    text = (source / "a.hdr").read_text()
    content = (source / "a.img").read_bytes()
    lines = {"packed": "file compression = 1", "other": "file type = TIFF", "frames": "major frame offsets = {0, 8}"}
    for name, line in lines.items():
        (source / f"{name}.hdr").write_text(f"{text}\n{line}\n")
        (source / f"{name}.img").write_bytes(content)
    (source / "gone.hdr").write_text(text)
    (source / "cut.hdr").write_text(text)
    (source / "cut.img").write_bytes(content[:-1])
    words = {
        "packed": "uncompressed",
        "other": "'TIFF'",
        "frames": "major frame offsets",
        "gone": "copy both",
        "cut": "truncated",
    }
    with mounted(source) as mnt:
        for name, word in words.items():
            assert word in error_of(mnt, name), name
        assert {entry["format"] for entry in mnt.arrays()} == {"envi"}
