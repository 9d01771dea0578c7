"""netpbm, ImageMagick and GDAL over forms of slices."""

import json

import numpy as np
import pytest

from harness import mounted
from tools import FLOATS, INTEGERS, any_values, attempt, close, name_of, native, needs, numbers, save, sh, wide

GREY = ["u1", "<u2", ">u2"]


def imagemagick():
    needs("convert", "identify")
    assert "ImageMagick" in sh("convert -version")


def pictures(source, rng, dtypes, shape):
    """Pictures in both orders of axes:  [(name, array)]"""
    return [save(source, np.array(any_values(rng, dtype, shape), order=order), name_of(dtype, order)) for dtype in dtypes for order in "CF"]


def test_netpbm(source, scratch, rng):
    needs("pamfile", "pnmflip", "pgmtopgm", "pamtopnm", "pamcut")
    grey = pictures(source, rng, GREY, (6, 7))
    with mounted(source) as mnt:
        for name, array in grey:
            most = 255 if array.dtype.itemsize == 1 else 65535
            assert sh("pamfile data.pgm", cwd=mnt / name).split("\t")[-1].strip() == f"PGM raw, 7 by 6  maxval {most}"
            sh("pgmtopgm < data.pgm | cmp - data.pgm", cwd=mnt / name)
            sh("pnmflip -topbottom data.pgm > $1/x; cp $1/x data.pgm", scratch, cwd=mnt / name)
            sh("pamcut -left 0 -top 0 -width 3 -height 2 data.pgm > $1/x; cp $1/x slice/2:4,:3.pgm", scratch, cwd=mnt / name)
            wanted = array[::-1].copy()
            wanted[2:4, :3] = array[:-3:-1, :3]
            assert np.array_equal(np.load(source / f"{name}.npy"), wanted), name
            plain = numbers(" ".join(sh("pnmtoplainpnm data.pgm", cwd=mnt / name).split()[4:]), array.dtype)
            assert np.array_equal(plain.reshape(6, 7), wanted), name
            # A picture of plain numbers, which is other text, is none of the form.
            done = attempt("pnmtoplainpnm data.pgm > $1/x; cp $1/x data.pgm", scratch, cwd=mnt / name)
            assert done.returncode == 1 and np.array_equal(np.load(source / f"{name}.npy"), wanted), name


def test_netpbm_in_colours(source, scratch, rng):
    needs("pamfile", "pnmflip", "pamchannel", "pamtopnm")
    colours = pictures(source, rng, GREY, (6, 7, 3))
    with mounted(source) as mnt:
        for name, array in colours:
            most = 255 if array.dtype.itemsize == 1 else 65535
            assert sh("pamfile data.ppm", cwd=mnt / name).split("\t")[-1].strip() == f"PPM raw, 7 by 6  maxval {most}"
            sh("pamchannel -infile data.ppm 1 | pamtopnm -assume | cmp - slice/...,1.pgm", cwd=mnt / name)
            sh("pnmflip -leftright data.ppm > $1/x; cp $1/x data.ppm", scratch, cwd=mnt / name)
            assert np.array_equal(np.load(source / f"{name}.npy"), array[:, ::-1]), name
            sh("pamchannel -infile data.ppm 2 | pamtopnm -assume > $1/x; cp $1/x slice/...,0.pgm", scratch, cwd=mnt / name)
            assert np.array_equal(np.load(source / f"{name}.npy")[..., 0], array[:, ::-1, 2]), name


def test_netpbm_in_floats(source, scratch, rng):
    needs("pfmtopam", "pamtopfm", "pamflip")
    arrays = [save(source, rng.random(shape, "f4").astype(dtype), f"{dtype[0].replace('<', 'l').replace('>', 'b')}{len(shape)}")
              for dtype in ["<f4", ">f4"] for shape in [(6, 7), (6, 7, 3)]]
    with mounted(source) as mnt:
        for name, array in arrays:
            depth = 1 if array.ndim == 2 else 3
            found = sh("pfmtopam -maxval 65535 data.pfm > $1/x; pamfile $1/x; tail -c $2 $1/x > $1/y", scratch, str(2 * array.size), cwd=mnt / name)
            assert f"7 by 6 by {depth}" in found, name
            samples = np.fromfile(scratch / "y", ">u2").reshape(array.shape)
            assert np.abs(samples / 65535 - array).max() < 2e-5, name
            # Its own header has more digits of the scale, and so another length; the one that is there takes its samples.
            end, head = "big" if name[0] == "b" else "little", len((mnt / name / "data.pfm").read_bytes()) - array.nbytes
            sh(f"pamflip -topbottom $1/x | pamtopfm -endian {end} > $1/z", scratch, cwd=mnt / name)
            assert attempt("cp $1/z data.pfm", scratch, cwd=mnt / name).returncode == 1
            assert np.array_equal(np.load(source / f"{name}.npy"), array), name
            sh("{ head -c $2 data.pfm; tail -c $3 $1/z; } > $1/w; cp $1/w data.pfm", scratch, str(head), str(array.nbytes), cwd=mnt / name)
            assert np.abs(np.load(source / f"{name}.npy") - array[::-1]).max() < 2e-5, name


def test_imagemagick_flips_a_picture(source, scratch, rng):
    imagemagick()
    for dtype in GREY:
        for order in "CF":
            picture = any_values(rng, dtype, (6, 7))
            save(source, np.zeros((6, 7), dtype, order=order), "b")
            (scratch / "b").unlink(missing_ok=True)
            (scratch / "in.pgm").write_bytes(b"P5\n7 6\n%d\n" % np.iinfo(dtype).max + picture.astype(picture.dtype.newbyteorder(">")).tobytes())
            with mounted(source) as mnt:
                (scratch / "b").symlink_to(mnt / "b")
                sh("convert in.pgm -flip b/data.pgm", cwd=scratch)
            assert np.array_equal(np.load(source / "b.npy"), picture[::-1]), (dtype, order)


@pytest.mark.parametrize("colours", [False, True])
def test_imagemagick(source, scratch, rng, colours):
    imagemagick()
    arrays = pictures(source, rng, GREY, (6, 7, 3) if colours else (6, 7))
    with mounted(source) as mnt:
        for name, array in arrays:
            bits, raw = 8 * array.dtype.itemsize, "rgb" if colours else "gray"
            written = "ppm" if colours else "pgm"
            for form in [written, "tif", "fits"] + ["bmp"] * (bits == 8):
                if form == "fits" and (colours or bits == 16):
                    continue
                assert sh(f"identify -format '%w %h %z' data.{form}", cwd=mnt / name) == f"7 6 {bits}", (name, form)
                sh(f"convert data.{form} -depth {bits} -endian LSB {raw}:$1/x", scratch, cwd=mnt / name)
                found = np.fromfile(scratch / "x", f"<u{bits // 8}").reshape(array.shape)
                assert np.array_equal(found, array[::-1] if form == "fits" else array), (name, form)
            sh(f"convert data.{written} -flip $1/x.{written}; convert $1/x.{written} data.{written}", scratch, cwd=mnt / name)
            assert np.array_equal(np.load(source / f"{name}.npy"), array[::-1]), name
            if bits == 8 and colours:
                # Without `bmp3:` it writes a header of a later version, which is longer.
                assert attempt("convert data.ppm data.bmp", cwd=mnt / name).returncode == 1
                sh("convert data.ppm -flip $1/x.ppm; convert $1/x.ppm -type truecolor bmp3:data.bmp", scratch, cwd=mnt / name)
                assert np.array_equal(np.load(source / f"{name}.npy"), array), name
            # A .tif takes the header that it shows and no other.
            before = np.load(source / f"{name}.npy")
            assert attempt(f"convert data.{written} -flip data.tif", cwd=mnt / name).returncode == 1
            assert np.array_equal(np.load(source / f"{name}.npy"), before), name


@pytest.mark.parametrize("dtype", ["<f4", ">f4"])
def test_imagemagick_in_floats(source, scratch, rng, dtype):
    imagemagick()
    array = save(source, (rng.integers(0, 65536, (6, 7)) / 65535).astype(dtype), "a")[1]
    with mounted(source) as mnt:
        for form in ["pfm", "tif"]:
            sh(f"convert data.{form} -depth 16 -endian LSB gray:$1/x", scratch, cwd=mnt / "a")
            assert np.abs(np.fromfile(scratch / "x", "<u2").reshape(6, 7) / 65535 - array).max() < 2e-5, form
        end = "MSB" if dtype[0] == ">" else "LSB"
        sh(f"convert data.pfm -flip $1/x.pfm; convert $1/x.pfm -endian {end} data.pfm", scratch, cwd=mnt / "a")
        assert np.allclose(np.load(source / "a.npy"), array[::-1], atol=2e-5)


GDAL = {"u1": "Byte", "u2": "UInt16", "i2": "Int16", "u4": "UInt32", "i4": "Int32", "f4": "Float32", "f8": "Float64"}


def grid(command, path, scratch, size):
    """The numbers of the first band, as GDAL takes them."""
    sh(f"{command} -q -b 1 -ot Float64 -of ENVI $1 $2/out", path, scratch)
    return np.fromfile(scratch / "out", "<f8").reshape(size)


# A signed byte is known to GDAL from 3.7 on.
@pytest.mark.parametrize("dtype", [dtype for dtype in [*INTEGERS, *FLOATS] if dtype != "i1"])
def test_gdal(source, scratch, rng, monkeypatch, dtype):
    needs("gdalinfo", "gdal_translate")
    monkeypatch.setenv("GDAL_VRT_RAWRASTERBAND_ALLOWED_SOURCE", "ALL")
    arrays = wide(source, rng, [dtype], (6, 7))
    with mounted(source) as mnt:
        for name, array in arrays:
            for form in ["tif", "vrt", "fits"]:
                # Without the last option it would keep the statistics in a file beside.
                info = json.loads(sh(f"gdalinfo -json -stats --config GDAL_PAM_ENABLED NO data.{form}", cwd=mnt / name))
                [band] = info["bands"]
                assert info["size"] == [7, 6] and band["type"] == GDAL[dtype[-2:]], (name, form)
                assert np.allclose([band["minimum"], band["maximum"]], [array.min(), array.max()], 1e-3, 2e-3), (name, form)
                found = grid("gdal_translate", mnt / name / f"data.{form}", scratch, array.shape)
                # FITS counts rows from below.
                assert np.array_equal(found, array[::-1] if form == "fits" else array), (name, form)
            found = grid("gdal_translate", mnt / name / "slice/1:4,2:.tif", scratch, (3, 5))
            assert np.array_equal(found, array[1:4, 2:]), name
            table = numbers(sh("gdal_translate -q -of XYZ data.tif /vsistdout/", cwd=mnt / name))
            assert close(table[:, 2], native(array).ravel(), 1e-6), name
            # What it makes is stored by way of the samples.
            sh(f"gdal_translate -q -of ENVI data.tif $1/x; gdal_translate -q -of ENVI -srcwin 0 2 7 3 $1/x $1/y; cp $1/y as/{dtype[-2:]}/slice/:3", scratch, cwd=mnt / name)
            wanted = array.copy()
            wanted[:3] = array[2:5]
            assert np.array_equal(np.load(source / f"{name}.npy"), wanted), name


def test_gdal_of_bands(source, scratch, rng, monkeypatch):
    needs("gdalinfo", "gdal_translate")
    monkeypatch.setenv("GDAL_VRT_RAWRASTERBAND_ALLOWED_SOURCE", "ALL")
    arrays = wide(source, rng, ["<i2", ">f4"], (3, 6, 7))
    with mounted(source) as mnt:
        for name, array in arrays:
            sh("gdal_translate -q -of ENVI -co INTERLEAVE=BSQ data.vrt $1/x", scratch, cwd=mnt / name)
            found = np.fromfile(scratch / "x", array.dtype.newbyteorder("<")).reshape(array.shape)
            assert np.array_equal(found, array), name
