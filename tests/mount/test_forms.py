"""Slices in forms: each is read, and written, by the program that owns the form."""

import io
import os
import shutil
import wave

import numpy as np
import pytest
from astropy.io import fits
import nibabel
import nrrd
import rasterio
import scipy.io
import soundfile
import tifffile
from PIL import Image

from harness import mounted, refused

NUMBERS = ["u1", "i1", "<u2", ">u2", "<i2", ">i2", "<u4", ">u4", "<i4", ">i4", "<u8", ">u8", "<i8", ">i8"]
FLOATS = ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"]
COMPLEX = ["<c8", ">c8", "<c16", ">c16"]


def values(rng, dtype, shape):
    dtype = np.dtype(dtype)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return rng.integers(info.min, info.max, shape, dtype=dtype.newbyteorder("="), endpoint=True).astype(dtype)
    if dtype.kind == "c":
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)
    return rng.normal(size=shape).astype(dtype)


def saved(folder, rng, dtype, shape, order="C", name=None):
    array = np.array(values(rng, dtype, shape), order=order)
    name = name or f"{np.dtype(dtype).str.replace('<', 'l').replace('>', 'b').replace('|', '')}-{order}"
    np.save(folder / f"{name}.npy", array)
    return name, array


def content_of(path):
    """The size that stat tells is that of the content, and any part of it reads alone as it does in the whole."""
    content = path.read_bytes()
    assert path.stat().st_size == len(content)
    with open(path, "rb") as file:
        for at in (0, 1, len(content) // 3, len(content) - 1):
            for length in (1, 7, 100):
                assert os.pread(file.fileno(), length, at) == content[at : at + length]
    return content


def npy_bytes(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


SLICES = ["...", "1", "-1", "::2", "...,1", "1:3,::-2", "::-1", "2,0", "0:0", "...,::-1", "1:2,...,1:2"]


def expression(text):
    return eval(f"np.s_[{text}]", {"np": np})


@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_is_what_numpy_saves(source, rng, order):
    arrays = [saved(source, rng, dtype, (4, 5, 3), order) for dtype in [*NUMBERS, *FLOATS, *COMPLEX, "?"]]
    arrays += [saved(source, rng, "<f8", shape, order, f"s{k}") for k, shape in enumerate([(), (7,), (0,), (3, 0), (1, 4), (4, 1), (10**5,)])]
    record = np.zeros((3, 4), [("x", "<i4"), ("y", ">f8", (2,)), ("z", "S3"), ("ü", "<U2")], order=order)
    record["y"] = rng.normal(size=(3, 4, 2))
    np.save(source / "record.npy", record)
    with mounted(source) as mnt:
        for name, array in [*arrays, ("record", record)]:
            assert content_of(mnt / name / "data.npy") == npy_bytes(array), name
            for text in SLICES:
                try:
                    part = array[expression(text)]
                except IndexError:
                    continue
                # A 0-d result of NumPy is a scalar, which it saves without an order.
                assert (mnt / name / "slice" / f"{text}.npy").read_bytes() == npy_bytes(np.asanyarray(part)), (name, text)
            if array.ndim:
                assert (mnt / name / "T" / "data.npy").read_bytes() == npy_bytes(array.T), name
                span = array.ravel()[: max(array.size - 1, 0)]
                assert (mnt / name / "range" / ":-1.npy").read_bytes() == npy_bytes(span), name
        loaded = np.load(mnt / f"lf8-{order}" / "data.npy", mmap_mode="r")
        assert np.array_equal(loaded, dict(arrays)[f"lf8-{order}"]) and loaded.flags.f_contiguous == (order == "F")
        del loaded
        assert (mnt / "record" / "field" / "y" / "data.npy").read_bytes() == npy_bytes(np.ascontiguousarray(record["y"]))


def test_npy_is_written_as_numpy_writes(source, rng):
    name, array = saved(source, rng, "<i4", (6, 5))
    with mounted(source) as mnt:
        new = values(rng, "<i4", (6,))
        np.save(mnt / name / "col" / "2.npy", new)
        array[:, 2] = new
        with open(mnt / name / "row" / "1.npy", "r+b") as file:
            np.save(file, array[4])
        array[1] = array[4]
        assert np.array_equal(np.load(source / f"{name}.npy"), array)
        # The same header in other words: the keys in another order.
        head = (mnt / name / "row" / "0.npy").read_bytes()[:128]
        text = b"{'shape': (5,), 'fortran_order': False, 'descr': '<i4'}"
        other = head[:10] + text.ljust(117) + b"\n"
        mnt.write(f"{name}/row/0.npy", other + array[2].tobytes())
        array[0] = array[2]
        assert np.array_equal(np.load(source / f"{name}.npy"), array)
        for bad in [np.zeros(6, "<i4"), np.zeros(5, "<f4"), np.zeros((5, 1), "<i4"), np.zeros(5, ">i4")]:
            with refused("EINVAL"):
                mnt.write(f"{name}/row/3.npy", npy_bytes(bad)[:148])
        # In pieces, as a program may write it, and only the last piece of a wrong header is refused.
        whole = npy_bytes(np.zeros(6, "<i4"))
        with refused("EINVAL"), mnt.open(f"{name}/row/3.npy", os.O_WRONLY | os.O_TRUNC) as fd:
            assert os.write(fd, whole[:100]) == 100
            with refused("EINVAL"):
                os.write(fd, whole[100:])
        assert np.array_equal(np.load(source / f"{name}.npy"), array)


@pytest.mark.parametrize("order", ["C", "F"])
def test_pictures(source, rng, order):
    grey = [saved(source, rng, dtype, (5, 7), order, f"g{dtype[-2:]}{dtype[0]}") for dtype in ["u1", "<u2", ">u2", "<f4", ">f4"]]
    name, colour = saved(source, rng, "u1", (5, 7, 3), order, "rgb")
    _, deep = saved(source, rng, ">u2", (5, 7, 3), order, "rgb16")
    _, floats = saved(source, rng, ">f4", (5, 7, 3), order, "rgbf")
    with mounted(source) as mnt:
        for name, array in grey:
            if array.dtype.kind == "u":
                content = content_of(mnt / name / "data.pgm")
                most = 255 if array.dtype.itemsize == 1 else 65535
                assert content == b"P5\n7 5\n%d\n" % most + array.astype(array.dtype.newbyteorder(">")).tobytes()
                assert np.array_equal(np.asarray(Image.open(mnt / name / "slice" / "::2.pgm")), array[::2]), name
            else:
                assert np.array_equal(np.asarray(Image.open(mnt / name / "data.pfm")), array), name
                content_of(mnt / name / "data.pfm")
        for form in ["ppm", "bmp", "tif"]:
            assert np.array_equal(np.asarray(Image.open(mnt / "rgb" / f"data.{form}")), colour), form
            content_of(mnt / "rgb" / f"data.{form}")
        assert np.array_equal(np.asarray(Image.open(mnt / "gu1u" / "data.bmp")), grey[0][1])
        content = (mnt / "rgb16" / "data.ppm").read_bytes()
        assert content == b"P6\n7 5\n65535\n" + deep.astype(">u2").tobytes()
        content = (mnt / "rgbf" / "data.pfm").read_bytes()
        assert content == b"PF\n7 5\n1.0\n" + floats[::-1].tobytes()
        for path in ["rgb/data.pgm", "gu1u/data.ppm", "gu1u/data.pfm", "rgb/row/0.ppm", "gf4</data.pgm"]:
            assert not (mnt / path).exists(), path


def test_pictures_are_written(source, rng):
    name, array = saved(source, rng, "u1", (5, 7))
    _, colour = saved(source, rng, "u1", (5, 7, 3), name="rgb")
    with mounted(source) as mnt:
        Image.fromarray(array[::-1].copy()).save(source.parent / "x.pgm")
        shutil.copyfile(source.parent / "x.pgm", mnt / name / "data.pgm")
        assert np.array_equal(np.load(source / f"{name}.npy"), array[::-1])
        # A comment of the right length, other blanks: the same picture.
        mnt.write(f"{name}/data.pgm", b"P5 7\n5 255\n" + array.tobytes())
        assert np.array_equal(np.load(source / f"{name}.npy"), array)
        with refused("EINVAL"):
            mnt.write(f"{name}/data.pgm", b"P5\n5 7\n255\n" + array[::-1].tobytes())
        assert np.array_equal(np.load(source / f"{name}.npy"), array)
        for form in ["bmp", "ppm"]:
            Image.fromarray(colour[::-1, ::-1].copy()).save(source.parent / f"x.{form}")
            shutil.copyfile(source.parent / f"x.{form}", mnt / "rgb" / f"data.{form}")
            assert np.array_equal(np.load(source / "rgb.npy"), colour[::-1, ::-1]), form
            np.save(source / "rgb2.npy", colour)
            mnt.write("rgb/data", colour.tobytes())


@pytest.mark.parametrize("order", ["C", "F"])
def test_tif_of_every_type(source, rng, order):
    arrays = [saved(source, rng, dtype, (3, 5, 7), order) for dtype in [*NUMBERS, *FLOATS, *COMPLEX]]
    _, colours = saved(source, rng, ">u2", (2, 5, 7, 4), order, "rgba")
    with mounted(source) as mnt:
        for name, array in arrays:
            found = tifffile.imread(mnt / name / "data.tif")
            assert found.dtype == array.dtype.newbyteorder("=") and np.array_equal(found, array), name
            content_of(mnt / name / "data.tif")
            assert np.array_equal(tifffile.imread(mnt / name / "row" / "1.tif"), array[1]), name
            assert np.array_equal(tifffile.imread(mnt / name / "slice" / "...,1.tif"), array[..., 1]), name
        assert np.array_equal(tifffile.imread(mnt / "rgba" / "data.tif"), colours)
        assert np.array_equal(tifffile.imread(mnt / "rgba" / "row" / "1.tif"), colours[1])
        with rasterio.open(mnt / "bi4-C" / "row" / "1.tif" if order == "C" else mnt / "bi4-F" / "row" / "1.tif") as dataset:
            assert np.array_equal(dataset.read(1), dict(arrays)[f"bi4-{order}"][1])
        # The bytes that it shows may be written, elements among them.
        name, array = arrays[0]
        content = bytearray((mnt / name / "data.tif").read_bytes())
        content[-1] ^= 1
        shutil.copyfile(mnt / name / "data.tif", source.parent / "same.tif")
        mnt.write(f"{name}/data.tif", bytes(content))
        assert np.load(source / f"{name}.npy")[-1, -1, -1] == array[-1, -1, -1] ^ 1
        with refused("EINVAL"):
            mnt.write(f"{name}/data.tif", b"MM" + content[2:])


def test_sound(source, rng):
    arrays = [saved(source, rng, dtype, shape, name=f"{dtype[-2:]}{'b' if '>' in dtype else 'l'}{shape[-1]}")
              for dtype in ["u1", "i1", "<i2", ">i2", "<i4", ">i4", "<f4", ">f4", "<f8", ">f8"]
              for shape in [(101,), (101, 2), (10, 5)]]
    with mounted(source) as mnt:
        for name, array in arrays:
            for form in ["wav", "au"]:
                path = mnt / name / f"data.{form}"
                content_of(path)
                with soundfile.SoundFile(path) as file:
                    assert file.samplerate == 48000
                    kind = {1: "int16", 2: "int16", 4: "int32", 8: "float64"}[array.dtype.itemsize]
                    kind = "float64" if array.dtype.kind == "f" else kind
                    found = file.read(dtype=kind)
                wanted = array.astype(array.dtype.newbyteorder("="))
                if array.dtype.itemsize == 1:
                    signed = array.astype("i2") - (128 if array.dtype.kind == "u" else 0)
                    wanted = signed << 8
                assert np.array_equal(found, wanted), (name, form)
        with wave.open(str(mnt / "i2b2" / "data.wav")) as file:
            assert (file.getnchannels(), file.getnframes(), file.getsampwidth()) == (2, 101, 2)


def test_sound_is_written(source, rng):
    name, array = saved(source, rng, "<i2", (100, 2))
    _, floats = saved(source, rng, ">f4", (100,), name="f")
    with mounted(source) as mnt:
        # Python's own module patches the header when it closes; soundfile leaves the lengths open until then.
        with wave.open(str(mnt / name / "data.wav"), "wb") as file:
            file.setparams((2, 2, 44100, 0, "NONE", None))
            file.writeframes(array[::-1].tobytes())
        assert np.array_equal(np.load(source / f"{name}.npy"), array[::-1])
        soundfile.write(str(mnt / name / "data.wav"), array, 8000, subtype="PCM_16", format="WAV")
        assert np.array_equal(np.load(source / f"{name}.npy"), array)
        soundfile.write(str(mnt / "f" / "data.au"), floats[::-1].astype("f4"), 48000, subtype="FLOAT", format="AU")
        assert np.array_equal(np.load(source / "f.npy"), floats[::-1])
        with refused("EINVAL"):
            mnt.write(f"{name}/data.wav", (mnt / "f" / "data.wav").read_bytes()[:44])


@pytest.mark.parametrize("order", ["C", "F"])
def test_science(source, rng, order):
    arrays = [saved(source, rng, dtype, (3, 4, 5), order) for dtype in [*NUMBERS, *FLOATS, *COMPLEX]]
    with mounted(source) as mnt:
        for name, array in arrays:
            native = array.astype(array.dtype.newbyteorder("="))
            forms = (mnt / name / "info.json").read_text()
            if array.dtype.kind != "c" and array.dtype.itemsize != 2 or array.dtype.kind in "iu":
                found = fits.getdata(mnt / name / "data.fits")
                assert np.array_equal(found, native), name
                assert found.dtype.newbyteorder("=") == native.dtype, name
                found, header = nrrd.read(str(mnt / name / "data.nrrd"))
                assert np.array_equal(found, native) and found.dtype == array.dtype, name
                content_of(mnt / name / "data.nrrd"), content_of(mnt / name / "data.fits")
                assert '"fits"' in forms
            else:
                assert not (mnt / name / "data.fits").exists() and '"fits"' not in forms
            if array.dtype.kind == "f" and array.dtype.itemsize == 2:
                continue
            image = nibabel.load(str(mnt / name / "data.nii"))
            found = np.asanyarray(image.dataobj)
            assert np.array_equal(found, native) and found.dtype.newbyteorder("=") == native.dtype, name
            del image, found
            content_of(mnt / name / "data.nii")
            if array.dtype.str[1:] in ("f8", "f4", "i4", "i2", "u2", "u1"):
                found = scipy.io.loadmat(mnt / name / "row" / "1.mat")["data"]
                assert np.array_equal(found, native[1]) and found.dtype.newbyteorder("=") == native.dtype, name
                found = scipy.io.loadmat(mnt / name / "slice" / "1,2.mat")["data"]
                assert np.array_equal(found, native[1, 2][None]), name
                content_of(mnt / name / "row" / "1.mat")
        long = np.arange(40000, dtype=">i2").reshape(40000, 1)
        np.save(source / "long.npy", long)
    with mounted(source) as mnt:
        image = nibabel.load(str(mnt / "long" / "data.nii"))
        assert image.header.sizeof_hdr == 540 and np.array_equal(np.asanyarray(image.dataobj), long)
        del image


@pytest.mark.parametrize("order", ["C", "F"])
def test_vrt(source, rng, order, monkeypatch):
    monkeypatch.setenv("GDAL_VRT_RAWRASTERBAND_ALLOWED_SOURCE", "ALL")
    arrays = [saved(source, rng, dtype, (3, 4, 5), order) for dtype in ["u1", "<i2", ">u4", ">f4", "<f8", ">c16"]]
    np.save(source / "a b&<.npy", arrays[0][1])
    with mounted(source) as mnt:
        for name, array in arrays:
            with rasterio.open(mnt / name / "data.vrt") as dataset:
                assert np.array_equal(dataset.read(), array), name
            for text in ["1", "...,1", "::2,1", "1,::-1"]:
                with rasterio.open(mnt / name / "slice" / f"{text}.vrt") as dataset:
                    assert np.array_equal(dataset.read(1), array[expression(text)]), (name, text)
            assert not (mnt / name / "slice" / "1,:,::-1.vrt").exists()
            assert not (mnt / name / "as" / "f2" / "data.vrt").exists()
        with rasterio.open(mnt / "a b&<" / "row" / "0.vrt") as dataset:
            assert np.array_equal(dataset.read(1), arrays[0][1][0])
