"""TIFF and BigTIFF of the library tifffile, in all the ways in which elements lie there as they are; maps of rasterio."""

import os
import struct

import numpy as np
import PIL.Image
import pytest
import rasterio
import tifffile

from harness import mounted, refused
from members import check_member, error_of, info

TYPES = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", "c8", "c16"]
# Where the maps are.
WHERE = rasterio.Affine(30, 0, 500000, 0, -20, 4600000)
# How a page is cut.
CUTS = {
    "strips": {"rowsperstrip": 7},
    "strip": {},
    "tiles": {"tile": (16, 32)},
    "tile": {"tile": (64, 64)},
}
# How pages and samples stand: the shape, what tifffile is told, and the axes.
WAYS = {
    "image": ((37, 50), {}, ("row", "column")),
    "colours": ((37, 50, 3), {"photometric": "rgb"}, ("row", "column", "sample")),
    "planes": ((3, 37, 50), {"photometric": "rgb", "planarconfig": "separate"}, ("sample", "row", "column")),
    "alpha": ((37, 50, 4), {"photometric": "rgb", "extrasamples": ["unassalpha"]}, ("row", "column", "sample")),
    "stack": ((4, 37, 50), {"photometric": "minisblack"}, ("page", "row", "column")),
    "movie": ((4, 37, 50, 3), {"photometric": "rgb"}, ("page", "row", "column", "sample")),
    "movie-of-planes": (
        (4, 3, 37, 50),
        {"photometric": "rgb", "planarconfig": "separate"},
        ("page", "sample", "row", "column"),
    ),
}


def make(rng, shape, dtype):
    dtype = np.dtype(dtype)
    if dtype.kind in "fc":
        parts = [rng.standard_normal(shape) for _ in range(2)]
        return (parts[0] + 1j * parts[1] if dtype.kind == "c" else parts[0]).astype(dtype)
    return np.frombuffer(rng.bytes(int(np.prod(shape)) * dtype.itemsize), dtype).reshape(shape)


def stored(path, order):
    """What tifffile reads, in the byte order of the file."""
    array = tifffile.imread(path)
    return array.astype(array.dtype.newbyteorder(order))


def check(mnt, path, order="<", dims=()):
    wanted = stored(path, order)
    check_member(mnt, "", path.stem, wanted, dims=dims)
    return wanted


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_in_strips_and_tiles(source, rng, dtype, order):
    for big in [False, True]:
        for cut in ["strips", "tiles"]:
            wanted = make(rng, (37, 50), dtype)
            path = source / f"{cut}{big}.tif"
            tifffile.imwrite(path, wanted, byteorder=order, bigtiff=big, photometric="minisblack", **CUTS[cut])
            assert np.array_equal(tifffile.imread(path), wanted)
    with mounted(source) as mnt:
        for path in source.iterdir():
            check(mnt, path, order, ("row", "column"))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("way", WAYS)
def test_pages_samples_and_planes(source, rng, way, cut, order):
    shape, how, dims = WAYS[way]
    for metadata in [None, {}]:
        for big in [False, True]:
            path = source / f"m{metadata is None}b{big}.tif"
            wanted = make(rng, shape, "u2")
            tifffile.imwrite(path, wanted, byteorder=order, bigtiff=big, metadata=metadata, **how, **CUTS[cut])
    with mounted(source) as mnt:
        for path in source.iterdir():
            check(mnt, path, order, dims)
            if way == "alpha":
                assert info(mnt, "", path.stem)["attributes"]["channels"] == "RGBA"


def test_strips_that_follow_each_other_are_one_piece(source, rng):
    tifffile.imwrite(source / "a.tif", make(rng, (5, 37, 50), "f4"), photometric="minisblack", rowsperstrip=1)
    with mounted(source) as mnt:
        facts = info(mnt, "", "a")
        with tifffile.TiffFile(source / "a.tif") as tiff:
            assert facts["offset"] == tiff.pages[0].dataoffsets[0]
        assert facts["strides"] == [37 * 50 * 4, 50 * 4, 4]


def test_pages_written_one_by_one_are_one_array(source, rng):
    """Directories and texts of various lengths stand between them."""
    for name, cut in CUTS.items():
        with tifffile.TiffWriter(source / f"{name}.tif") as out:
            for number in range(6):
                page = make(rng, (37, 50), "i2")
                out.write(page, description="x" * number**2, metadata=None, contiguous=False, **cut)
    PIL.Image.fromarray(make(rng, (37, 50), "u1")).save(
        source / "pil.tif",
        save_all=True,
        append_images=[PIL.Image.fromarray(make(rng, (37, 50), "u1")) for _ in range(4)],
    )
    with mounted(source) as mnt:
        for path in source.iterdir():
            with tifffile.TiffFile(path) as tiff:
                wanted = np.stack([page.asarray() for page in tiff.pages])
            wanted = wanted.astype(wanted.dtype.newbyteorder("<"))
            check_member(mnt, "", path.stem, wanted, dims=("page", "row", "column"))


@pytest.mark.parametrize("axes", ["TZCYX", "ZYX", "TYX", "CYX", "TZYXS", "YX"])
def test_stacks_of_imagej(source, rng, axes):
    lengths = {"T": 2, "Z": 3, "C": 4, "Y": 20, "X": 30, "S": 3}
    shape = tuple(lengths[axis] for axis in axes)
    tifffile.imwrite(source / "a.tif", make(rng, shape, "u1" if "S" in axes else "f4"), imagej=True, metadata={"axes": axes})
    # Only the first page has a directory, as in files that ImageJ writes beyond 4 GiB.
    content = bytearray((source / "a.tif").read_bytes())
    with tifffile.TiffFile(source / "a.tif") as tiff:
        page = tiff.pages[0]
        after = page.offset + 2 + 12 * len(page.tags)
        order = tiff.byteorder
    content[after : after + 4] = bytes(4)
    (source / "b.tif").write_bytes(content)
    names = {"T": "frame", "Z": "slice", "C": "channel", "Y": "row", "X": "column", "S": "sample"}
    with mounted(source) as mnt:
        for path in source.iterdir():
            wanted = check(mnt, path, order, tuple(names[axis] for axis in axes))
            assert wanted.shape == shape
            assert info(mnt, "", path.stem)["attributes"]["ImageDescription"].startswith("ImageJ=")


def test_a_stack_of_imagej_beyond_4_gib(source, rng):
    tifffile.imwrite(source / "a.tif", make(rng, (2, 64, 64), "u2"), imagej=True)
    content = (source / "a.tif").read_bytes()
    planes = (5 << 30) // (64 * 64 * 2)
    head = content.replace(b"images=2\nchannels=2\n", b"frames=%d\n" % planes)
    with tifffile.TiffFile(source / "a.tif") as tiff:
        page = tiff.pages[0]
        start, after = page.dataoffsets[0], page.offset + 2 + 12 * len(page.tags)
    head = head.ljust(len(content), b"\0")
    last = make(rng, (64, 64), "<u2")
    with open(source / "a.tif", "wb") as file:
        file.write(head[:after] + bytes(4) + head[after + 4 : start])
        file.seek(start + (planes - 1) * last.nbytes)
        file.write(last.tobytes())
    with mounted(source) as mnt:
        assert info(mnt, "", "a")["shape"] == [planes, 64, 64]
        assert mnt.read("a/row/-1") == last.tobytes()


def test_stacks_of_metamorph(source, rng):
    """One directory for all planes; the number of planes is that of the values of a tag, which tell of each."""
    planes = make(rng, (5, 20, 30), "<u2")
    known = [1, 1, 2459000, 5, 2459000, 5] * len(planes)
    tags = [(33628, "2I", 2, [0, 1, 0, 1], True), (33629, "2I", 3 * len(planes), known, True)]
    tifffile.imwrite(source / "a.stk", planes[0], metadata=None, extratags=tags, photometric="minisblack")
    content = bytearray((source / "a.stk").read_bytes())
    with tifffile.TiffFile(source / "a.stk") as tiff:
        at = tiff.pages[0].tags[33629].offset + 4
    content[at : at + 4] = struct.pack("<I", len(planes))
    (source / "a.stk").write_bytes(content + planes[1:].tobytes())
    assert np.array_equal(tifffile.imread(source / "a.stk"), planes)
    with mounted(source) as mnt:
        check_member(mnt, "", "a", planes, dims=("page", "row", "column"))


def test_shapes_of_tifffile(source, rng):
    for number, shape in enumerate([(1, 20, 30), (2, 3, 20, 30), (1, 3, 1, 20, 30), (2, 1, 20, 30, 3)]):
        for truncate in [False, True]:
            how = {"photometric": "rgb" if shape[-1] == 3 else "minisblack", "truncate": truncate}
            tifffile.imwrite(source / f"n{number}{truncate}.tif", make(rng, shape, "f8"), **how)
    with tifffile.TiffWriter(source / "two.tif") as out:
        out.write(make(rng, (5, 20, 30), "u1"), photometric="minisblack", truncate=True)
        out.write(make(rng, (7, 8), "u2"), photometric="minisblack")
    with mounted(source) as mnt:
        for path in sorted(source.glob("n*")):
            check(mnt, path)
        with tifffile.TiffFile(source / "two.tif") as tiff:
            for number, series in enumerate(tiff.series):
                wanted = series.asarray()
                check_member(mnt, "two", f"page-{number}", wanted)
                assert wanted.shape == [(5, 20, 30), (7, 8)][number]


def test_pages_that_differ_are_a_folder(source, rng):
    with tifffile.TiffWriter(source / "a.tif", byteorder=">") as out:
        for shape, dtype, how in [
            ((64, 48), "u2", {"tile": (16, 16)}),
            ((32, 24), "u2", {"subfiletype": 1}),
            ((32, 24), "f4", {}),
            ((64, 48, 3), "u1", {"photometric": "rgb"}),
            ((64, 48), "u1", {"compression": "zlib"}),
        ]:
            out.write(make(rng, shape, dtype), metadata=None, **how)
    with mounted(source) as mnt:
        with tifffile.TiffFile(source / "a.tif") as tiff:
            for number, page in enumerate(tiff.pages[:4]):
                wanted = page.asarray()
                check_member(mnt, "a", f"page-{number}", wanted.astype(wanted.dtype.newbyteorder(">")))
        assert "compressed with Deflate" in error_of(mnt, "a/page-4")
        assert info(mnt, "a", "page-1")["attributes"]["NewSubfileType"] == 1


def test_maps_with_tiles_that_were_never_written(source, rng):
    """Sparse files of GDAL: what was not written is the value of GDAL_NODATA, and cannot be written here."""
    for dtype, nodata in [("uint8", 255), ("int16", -9999), ("float32", float("nan")), ("float64", 1.5), ("uint16", None)]:
        profile = {
            "driver": "GTiff", "width": 100, "height": 70, "count": 2, "dtype": dtype, "nodata": nodata,
            "tiled": True, "blockxsize": 32, "blockysize": 16, "sparse_ok": True, "crs": "EPSG:32633", "transform": WHERE,
        }
        for interleave in ["pixel", "band"]:
            with rasterio.open(source / f"{dtype}-{interleave}.tif", "w", interleave=interleave, **profile) as out:
                window = rasterio.windows.Window(32, 16, 40, 20)
                out.write(make(rng, (2, 20, 40), np.dtype(dtype)), window=window)
    with mounted(source) as mnt:
        for path in source.iterdir():
            with rasterio.open(path) as file:
                wanted = file.read()
            if path.stem.endswith("pixel"):
                wanted = np.moveaxis(wanted, 0, -1)
            check_member(mnt, "", path.stem, wanted)
            attributes = info(mnt, "", path.stem)["attributes"]
            assert attributes["ModelPixelScale"] == [30, 20, 0]
            assert attributes["ModelTiepoint"] == [0, 0, 0, 500000, 4600000, 0]
            with refused("EROFS"):
                mnt.write(f"{path.stem}/range/0", wanted.tobytes()[: wanted.itemsize])


@pytest.mark.parametrize("dtype", ["complex_int16", "complex64", "complex128", "int8", "uint64"])
def test_types_of_gdal(source, rng, dtype):
    values = rng.integers(-100, 100, (1, 20, 30)) + (1j * rng.integers(-100, 100, (1, 20, 30)) if "comp" in dtype else 0)
    profile = {"driver": "GTiff", "width": 30, "height": 20, "count": 1, "dtype": dtype, "transform": WHERE}
    with rasterio.open(source / "a.tif", "w", **profile) as out:
        out.write(np.abs(values).astype("u8") if dtype == "uint64" else values.astype("c8" if "int16" in dtype else dtype))
    with rasterio.open(source / "a.tif") as file:
        wanted = file.read(1)
    with mounted(source) as mnt:
        if dtype == "complex_int16":
            parts = np.zeros(wanted.shape, [("real", "<i2"), ("imag", "<i2")])
            parts["real"], parts["imag"] = wanted.real, wanted.imag
            wanted = parts
        check_member(mnt, "", "a", wanted)


def test_what_is_written_is_read_back(source, rng):
    for cut, how in CUTS.items():
        path = source / f"{cut}.tif"
        tifffile.imwrite(path, make(rng, (3, 37, 50), "u2"), byteorder=">", photometric="minisblack", **how)
        wanted = stored(path, ">")
        with mounted(source) as mnt:
            wanted[2, 30, 40] = 12345
            mnt.write(f"{cut}/slice/2,30,40", struct.pack(">H", 12345))
            wanted[:, :, 33] = 7
            mnt.write(f"{cut}/axis/column/33", np.full((3, 37), 7, ">u2").tobytes())
        assert np.array_equal(tifffile.imread(path), wanted)


def test_images_of_pil(source, rng):
    for mode, shape in [("L", (9, 11)), ("RGB", (9, 11, 3)), ("RGBA", (9, 11, 4)), ("CMYK", (9, 11, 4)), ("LA", (9, 11, 2))]:
        PIL.Image.fromarray(make(rng, shape, "u1"), mode).save(source / f"{mode}.tif", dpi=(300, 200), software="x")
    PIL.Image.fromarray(make(rng, (9, 11), "u1")).convert("P").save(source / "P.tif")
    with mounted(source) as mnt:
        for path in source.iterdir():
            wanted = np.asarray(PIL.Image.open(path))
            check_member(mnt, "", path.stem, wanted)
        attributes = info(mnt, "", "RGB")["attributes"]
        assert attributes["channels"] == "RGB" and attributes["PhotometricInterpretation"] == "RGB"
        assert attributes["XResolution"] == 300 and attributes["ResolutionUnit"] == "inch"
        assert attributes["Software"] == "x"


def test_files_that_cannot_be_served_are_errors_that_say_so(source, rng):
    image = make(rng, (64, 64), "u1")
    words = {}
    for name, word in [("zlib", "Deflate"), ("lzw", "LZW"), ("packbits", "PackBits"), ("zstd", "Zstandard"), ("lzma", "LZMA")]:
        tifffile.imwrite(source / f"{name}.tif", image, compression=name)
        words[name] = f"compressed with {word}"
    tifffile.imwrite(source / "jpeg.tif", image, compression="jpeg")
    words["jpeg"] = "compressed with JPEG, so"
    tifffile.imwrite(source / "bits.tif", image > 100)
    words["bits"] = "the bits of each are 1"
    tifffile.imwrite(source / "cut.tif", image)
    os.truncate(source / "cut.tif", 1000)
    words["cut"] = "truncated"
    (source / "text.tif").write_bytes(b"no image")
    words["text"] = "another kind"
    with mounted(source) as mnt:
        for name, word in words.items():
            assert word in error_of(mnt, name)


def test_a_file_is_known_by_its_content(source, rng):
    for order in "<>":
        for big in [False, True]:
            path = source / f"{'le' if order == '<' else 'be'}{big}.svs"
            tifffile.imwrite(path, make(rng, (9, 8), "u2"), byteorder=order, bigtiff=big)
    with mounted(source) as mnt:
        for path in source.iterdir():
            order = "<" if path.name.startswith("le") else ">"
            check_member(mnt, "", path.name, stored(path, order))
