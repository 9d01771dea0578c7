"""BMP as the library Pillow reads it: what it writes, and every other header, size of pixels and direction by hand."""

import io
import os
import struct

import numpy as np
import PIL.Image
import pytest

from harness import mounted
from members import check_member, error_of, info

COLUMNS, ROWS = 13, 9
# Size of the header, bits, compression, masks of red, green, blue, alpha.
WAYS = {
    "core-8": (12, 8, 0, ()),
    "core-24": (12, 24, 0, ()),
    "info-8": (40, 8, 0, ()),
    "info-24": (40, 24, 0, ()),
    "info-32": (40, 32, 0, ()),
    "info-15": (40, 16, 0, ()),
    "info-16": (40, 16, 3, (0xF800, 0x7E0, 0x1F)),
    "info-bgrx": (40, 32, 3, (0xFF0000, 0xFF00, 0xFF)),
    "os2-24": (64, 24, 0, ()),
    "v4-bgra": (108, 32, 3, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
    "v4-rgba": (108, 32, 3, (0xFF, 0xFF00, 0xFF0000, 0xFF000000)),
    "v5-bgra": (124, 32, 3, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
    "v5-8": (124, 8, 0, ()),
    "v5-24": (124, 24, 0, ()),
}


def make(rng, way, down):
    """A file whose pixels, padding included, are at random."""
    size, bits, compression, masks = WAYS[way]
    if size == 12:
        head = struct.pack("<IHHHH", size, COLUMNS, ROWS, 1, bits)
    else:
        rows = -ROWS if down else ROWS
        head = struct.pack("<IiiHHIIiiII", size, COLUMNS, rows, 1, bits, compression, 0, 2835, 2835, 0, 0)
    masks = struct.pack(f"<{len(masks)}I", *masks)
    # In a longer header they stand in it.
    head = head + masks if size == 40 else (head + masks).ljust(size, b"\0")
    palette = rng.bytes(256 * (3 if size == 12 else 4)) if bits == 8 else b""
    pixels = rng.bytes(ROWS * (COLUMNS * bits // 8 + 3 & ~3))
    start = 14 + len(head) + len(palette)
    return struct.pack("<2sIHHI", b"BM", start + len(pixels), 0, 0, start) + head + palette + pixels


def colours(data, facts):
    """The colours of Pillow, from what is stored; indices are left as they are."""
    attributes = facts["attributes"]
    if "channels" in attributes:
        letters = "RGBA" if "A" in attributes["channels"] else "RGB"
        return data[..., [attributes["channels"].index(letter) for letter in letters]]
    if "masks" not in attributes:
        return data
    parts = []
    for letter in "RGB":
        mask = int(attributes["masks"][letter], 16)
        low = (mask & -mask).bit_length() - 1
        part = (data.astype("i4") & mask) >> low
        parts.append((part * 255 // (mask >> low)).astype("u1"))
    return np.stack(parts, axis=-1)


def check(mnt, path):
    facts = info(mnt, "", path.stem)
    data = np.frombuffer(mnt.read(f"{path.stem}/data"), facts["dtype"]).reshape(facts["shape"])
    dims = ("row", "column", "channel")[: data.ndim]
    check_member(mnt, "", path.stem, data, dims=dims)
    image = PIL.Image.open(path)
    wanted = np.asarray(image)
    found = colours(data, facts)
    assert np.array_equal(found, wanted), (path.stem, image.mode)
    return facts


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_pixels_are_those_that_pillow_reads(source, rng, way, down):
    (source / "a.bmp").write_bytes(make(rng, way, down))
    with mounted(source) as mnt:
        facts = check(mnt, source / "a.bmp")
        stride = COLUMNS * WAYS[way][1] // 8 + 3 & ~3
        assert facts["strides"][0] == (stride if down and WAYS[way][0] > 12 else -stride)


def test_what_pillow_writes(source, rng):
    for mode, depth in [("L", ()), ("RGB", (3,)), ("RGBA", (4,))]:
        for columns in range(1, 6):
            pixels = np.frombuffer(rng.bytes(7 * columns * int(np.prod(depth))), "u1").reshape(7, columns, *depth)
            PIL.Image.fromarray(pixels, mode).save(source / f"{mode}{columns}.bmp", dpi=(300, 200))
    # Without the header of the file.
    PIL.Image.fromarray(pixels[..., 0]).convert("P").save(source / "P.dib")
    PIL.Image.fromarray(pixels[..., :3]).save(source / "RGB.dib")
    with mounted(source) as mnt:
        for path in source.iterdir():
            facts = info(mnt, "", path.stem)
            data = np.frombuffer(mnt.read(f"{path.stem}/data"), "u1").reshape(facts["shape"])
            check_member(mnt, "", path.stem, data, dims=("row", "column", "channel")[: data.ndim])
            # Pillow writes alpha, and says nothing of it in the header.
            channels = {"L": None, "P": None, "RGB": "RGB", "RGBA": "RGB"}[path.stem.rstrip("12345")]
            assert facts["attributes"].get("channels") == channels
            assert np.array_equal(colours(data, facts), np.asarray(PIL.Image.open(path)))


def test_what_is_written_is_read_back_by_pillow(source, rng):
    for way in ["info-24", "v5-24", "info-8"]:
        for down in [False, True]:
            (source / f"{way}{down}.bmp").write_bytes(make(rng, way, down))
    with mounted(source) as mnt:
        for path in sorted(source.iterdir()):
            wanted = np.array(PIL.Image.open(path))
            if wanted.ndim == 3:
                mnt.write(f"{path.stem}/slice/2,5,0", b"\x07")
                wanted[2, 5, 0] = 7
            else:
                mnt.write(f"{path.stem}/slice/2,5", b"\x07")
                wanted[2, 5] = 7
            assert np.array_equal(np.asarray(PIL.Image.open(path)), wanted)


def test_files_that_cannot_be_served_are_errors_that_say_so(source, rng):
    PIL.Image.fromarray(np.zeros((9, 9), bool)).save(source / "one.bmp")
    whole = make(rng, "info-8", False)
    (source / "rle.bmp").write_bytes(whole[:30] + b"\1" + whole[31:])
    (source / "cut.bmp").write_bytes(whole)
    os.truncate(source / "cut.bmp", len(whole) - 4)
    file = io.BytesIO()
    PIL.Image.fromarray(np.zeros((9, 9), "u1")).save(file, "PNG")
    (source / "png.bmp").write_bytes(file.getvalue())
    with mounted(source) as mnt:
        for name, word in {"one": "share a byte", "rle": "with RLE", "cut": "truncated", "png": "another kind"}.items():
            assert word in error_of(mnt, name)


def test_a_file_is_known_by_its_content(source, rng):
    (source / "a.blob").write_bytes(make(rng, "v5-24", False))
    with mounted(source) as mnt:
        assert info(mnt, "", "a.blob")["format"] == "bmp"
