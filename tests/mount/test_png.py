"""Slices as PNG: pictures that are read and written by programs for pictures, and previews of other numbers."""

import errno
import io
import json
import mmap
import os
import struct
import time
import zlib

import ml_dtypes
import numpy as np
import pytest
from PIL import Image

from harness import afbfs, mounted, needs_command, needs_root, refused, run
from kernel import resident_pages
from test_thrift import save_sparse

Image.MAX_IMAGE_PIXELS = None


def shown(path):
    """What Pillow finds in a file, every checksum checked; 16 bits of colours are not known to it."""
    content = path.read_bytes()
    assert path.stat().st_size == len(content)
    with Image.open(io.BytesIO(content)) as image:
        image.verify()
    with Image.open(io.BytesIO(content)) as image:
        return np.array(image)


def chunks(content):
    """Names and contents of the chunks of a PNG, by the specification alone."""
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    at, found = 8, []
    while at < len(content):
        (length,) = struct.unpack_from(">I", content, at)
        name, data = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", content, at + 8 + length) == (zlib.crc32(name + data),)
        found.append((name, data))
        at += 12 + length
    assert found[-1] == (b"IEND", b"")
    return found


def samples(content):
    """The pixels of a PNG whose rows are not filtered, as an array."""
    found = chunks(content)
    width, height, depth, colours = struct.unpack_from(">IIBB", found[0][1])
    rows = zlib.decompress(b"".join(data for name, data in found if name == b"IDAT"))
    count = {0: 1, 2: 3, 3: 1, 6: 4}[colours]
    rows = np.frombuffer(rows, "u1").reshape(height, 1 + width * count * depth // 8)
    assert not rows[:, 0].any()
    array = np.frombuffer(rows[:, 1:].tobytes(), f">u{depth // 8}")
    return array.reshape((height, width) if count == 1 else (height, width, count))


def png(array, interlaced=False):
    """A PNG of an array, compressed, perhaps in the seven passes of Adam7."""
    array = np.asarray(array)
    colours = {2: 0, 3: {3: 2, 4: 6}.get(array.shape[-1])}[array.ndim]
    height, width = array.shape[:2]
    passes = [(0, 8, 0, 8), (4, 8, 0, 8), (0, 4, 4, 8), (2, 4, 0, 4), (0, 2, 2, 4), (1, 2, 0, 2), (0, 1, 1, 2)]
    rows = b""
    for column, columns, row, step in passes if interlaced else [(0, 1, 0, 1)]:
        part = array[row::step, column::columns]
        if part.size:
            rows += b"".join(b"\0" + line.astype(array.dtype.newbyteorder(">")).tobytes() for line in part)
    header = struct.pack(">IIBBBBB", width, height, 8 * array.itemsize, colours, 0, 0, interlaced)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )


PICTURES = [(dtype, shape, order) for dtype in ["u1", "<u2", ">u2"] for shape in [(37, 53), (1, 1), (300, 1), (1, 301), (20, 31, 3), (300, 411, 3), (9, 8, 4)] for order in "CF"]


@pytest.mark.parametrize("dtype, shape, order", PICTURES)
def test_a_picture_has_the_elements_as_pixels(source, rng, dtype, shape, order):
    array = np.array(rng.integers(0, 1 << 16, shape).astype(dtype), order=order)
    np.save(source / "a.npy", array)
    with mounted(source) as mnt:
        content = (mnt / "a/data.png").read_bytes()
        assert np.array_equal(samples(content), array)
        if dtype == "u1" or array.ndim == 2:
            assert np.array_equal(shown(mnt / "a/data.png"), array)
        assert np.array_equal(samples(mnt.read("a/slice/::-1,::2.png")), array[::-1, ::2])
        if array.ndim == 2:
            assert np.array_equal(samples(mnt.read("a/T/data.png")), array.T)
        else:
            assert np.array_equal(samples(mnt.read("a/slice/...,1.png")), array[..., 1])
        # Every part of it by itself is as it is in the whole.
        with mnt.open("a/data.png") as fd:
            offsets = range(len(content)) if len(content) < 9000 else rng.integers(0, len(content), 3000).tolist() + [len(content) - 20]
            for at in offsets:
                length = (1, 60, 70_000)[at % 3]
                assert os.pread(fd, length, at) == content[at : at + length]


def test_conversions_are_seen_as_pictures(source, rng):
    array = rng.integers(0, 256, (40, 50)).astype("<f4")
    np.save(source / "a.npy", array)
    np.save(source / "h.npy", (array / 3).astype(ml_dtypes.bfloat16).view("V2"))
    with mounted(source) as mnt:
        assert np.array_equal(shown(mnt / "a/as/u1/data.png"), array.astype("u1"))
        for dtype in ["u2", "u2be"]:
            assert np.array_equal(shown(mnt / f"a/as/{dtype}/slice/::3,4:.png"), array.astype("u2")[::3, 4:])


def test_what_has_no_picture(source, rng):
    for name, array in {
        "empty": np.zeros((0, 5), "u1"),
        "none": np.zeros(0),
        "scalar": np.zeros(()),
        "volume": np.zeros((2, 3, 4)),
        "colours": np.zeros((4, 5, 3)),
        "text": np.zeros((3, 3), "S4"),
        "record": np.zeros((3, 3), [("a", "u1")]),
    }.items():
        np.save(source / f"{name}.npy", array)
    np.save(source / "grey.npy", np.zeros((3, 3), "u1"))
    with mounted(source) as mnt:
        for name in ["empty", "none", "scalar", "volume", "colours", "text", "record"]:
            assert not (mnt / name / "data.png").exists(), name
            assert "png" not in json.loads(mnt.read(f"{name}/info.json"))["forms"]
        assert not (mnt / "grey/slice/1:1.png").exists()
        assert "png" in json.loads(mnt.read("grey/info.json"))["forms"]
        assert shown(mnt / "record/field/a/data.png").shape == (3, 3)


PREVIEWS = ["?", "i1", "<i2", ">i2", "<u4", ">i8", "<u8", "<f2", ">f4", "<f8", ">f8", "<c8", ">c16", "<M8[s]", "<m8[ms]"]


@pytest.mark.parametrize("dtype", PREVIEWS)
@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (2, 3000), (700, 300), (17,), (1,), (5000,)])
def test_a_preview_is_drawn_of_all_numbers(source, rng, dtype, shape):
    array = np.frombuffer(rng.bytes(int(np.prod(shape)) * np.dtype(dtype).itemsize), "u1")
    array = (array % 2 if dtype == "?" else array).view(dtype).reshape(shape)
    np.save(source / "a.npy", array)
    with mounted(source) as mnt:
        image = shown(mnt / "a/data.png")
        assert image.ndim == 2 and image.shape[0] >= 64 and image.shape[1] >= 64
        assert len(np.unique(image)) > 2
        assert (mnt / "a/data.png").stat().st_mode & 0o222 == 0
        assert (mnt / "a/data.npy").stat().st_mode & 0o200


def indices(content):
    """The numbers of the colours of a preview of two axes, sample by sample, from the middle of each."""
    return samples(content).astype(int)


def test_the_colours_of_a_preview_follow_the_numbers(source, rng):
    # 320 samples, each of them one pixel, behind a margin of 12.
    array = rng.normal(size=(320, 320))
    array[7, 9], array[8, 9], array[9, 9] = np.nan, np.inf, -np.inf
    finite = np.isfinite(array)
    low, high = array[finite].min(), array[finite].max()
    wanted = np.full(array.shape, 3)
    wanted[finite] = np.round(4 + (array[finite] - low) / (high - low) * 251)
    wanted[8, 9], wanted[9, 9] = 255, 4
    np.save(source / "a.npy", array)
    np.save(source / "f.npy", np.asfortranarray(array))
    np.save(source / "c.npy", np.abs(np.nan_to_num(array, posinf=0, neginf=0)) * np.exp(1j * rng.normal(size=array.shape)))
    np.save(source / "big.npy", np.repeat(np.repeat(array, 8, 0), 8, 1))
    with mounted(source) as mnt:
        for name in ["a/data", "f/data", "f/slice/:,:", "a/as/f8be/data"]:
            found = indices(mnt.read(f"{name}.png"))[12 : 12 + 320, 12 : 12 + 320]
            assert np.abs(found - wanted).max() <= 1 and (found == wanted).mean() > 0.999, name
        found = indices(mnt.read("a/T/slice/::-1,:.png"))[12 : 12 + 320, 12 : 12 + 320]
        assert np.abs(found - wanted.T[::-1]).max() <= 1
        absolute = np.abs(np.nan_to_num(array, posinf=0, neginf=0))
        found = indices(mnt.read("c/data.png"))[12 : 12 + 320, 12 : 12 + 320]
        assert np.abs(found - (4 + absolute / absolute.max() * 251)).max() <= 1.1
        # Every third of 2560 rows and columns, from the middle of what is left over.
        found = indices(mnt.read("big/data.png"))[12 : 12 + 854, 12 : 12 + 854]
        assert np.abs(found - np.repeat(np.repeat(wanted, 8, 0), 8, 1)[0::3, 0::3]).max() <= 1


def test_a_curve_follows_the_numbers(source):
    # The frame begins 128 pixels from the left and 16 from the top; the extremes are 12 pixels from the upper and lower edge.
    np.save(source / "up.npy", np.linspace(5, 9, 4000))
    np.save(source / "few.npy", np.array([0.0, 1.0, np.nan, 0.5, np.nan, 0.0, 1.0]))
    with mounted(source) as mnt:
        for name in ["up/data", "up/slice/::-1", "up/range/:", "up/slice/::20"]:
            image = indices(mnt.read(f"{name}.png"))[16:316, 128 : 128 + 720]
            middle = [np.flatnonzero(image[:, x] > 20).mean() for x in range(10, 710)]
            slope = -1 if "-1" in name else 1
            wanted = [288 - 276 * (x - 7) / 706 for x in range(10, 710)][::slope]
            assert np.abs(np.array(middle) - wanted).max() < 2, name
        image = indices(mnt.read("few/data.png"))[16:316, 128 : 128 + 720]
        assert not (image[:, 180:300] > 3).any(), "there is a line to a NaN"
        assert (image[140:160, 355:365] > 30).sum() > 20, "a number by itself is not seen"


def test_a_preview_is_fixed_when_it_is_opened(source):
    np.save(source / "a.npy", np.zeros((30, 30)))
    with mounted(source) as mnt:
        with mnt.open("a/data.png") as fd:
            before = os.pread(fd, 1 << 20, 0)
            mnt.write("a/row/3", np.arange(30.0).tobytes())
            assert os.pread(fd, 1 << 20, 0) == before
        assert mnt.read("a/data.png") != before
        assert len(mnt.read("a/data.png")) == len(before)


def test_a_preview_cannot_be_written(source):
    np.save(source / "a.npy", np.zeros((30, 30)))
    with mounted(source) as mnt:
        with refused("EACCES"):
            os.open(mnt / "a/data.png", os.O_WRONLY)
        with refused("EACCES", "EPERM"):
            os.truncate(mnt / "a/data.png", 0)
        assert not mnt.read("a/data").strip(b"\0")
    with mounted(source, "--read-only") as mnt, refused("EROFS"):
        os.open(mnt / "a/data.png", os.O_WRONLY)


@pytest.mark.parametrize("shape, dtype, most", [((163_840, 163_840), "<f4", 512 * 161), ((12_800_000_000,), "<f8", 3 * 8192), ((4_000_000_000, 3), "<f8", 3 * 512)])
def test_a_preview_of_a_hundred_gibibytes_touches_few_pages(source, shape, dtype, most):
    needs_root()
    save_sparse(source / "huge.npy", shape, dtype)
    with mounted(source) as mnt:
        size = (mnt / "huge/data.png").stat().st_size
        assert size < 3 << 20
        before = resident_pages(source / "huge.npy")
        started = time.monotonic()
        assert len(mnt.read("huge/data.png")) == size
        assert time.monotonic() - started < 30
        assert resident_pages(source / "huge.npy") - before <= most + most // 4
        assert mnt.status("VmRSS") < (most * 4 + 100 * 1024)


def test_a_huge_picture_is_read_anywhere(source):
    save_sparse(source / "huge.npy", (200_000, 500_000), "u1")
    with mounted(source) as mnt:
        size = (mnt / "huge/data.png").stat().st_size
        assert size > 100_000_000_000
        started = time.monotonic()
        with mnt.open("huge/data.png") as fd:
            assert os.pread(fd, 16, 0)[:8] == b"\x89PNG\r\n\x1a\n"
            assert os.pread(fd, 12, size - 12)[4:8] == b"IEND"
            assert len(os.pread(fd, 1 << 20, size // 2)) == 1 << 20
        assert time.monotonic() - started < 10
        assert mnt.status("VmRSS") < 100 * 1024


@pytest.mark.parametrize("dtype, shape", [("u1", (31, 45)), ("u1", (300, 500)), ("<u2", (31, 45)), (">u2", (300, 500)), ("u1", (60, 50, 3)), ("u1", (60, 50, 4))])
def test_pillow_writes_pictures(source, rng, dtype, shape):
    np.save(source / "a.npy", np.zeros(shape, dtype))
    array = rng.integers(0, np.iinfo(dtype).max, shape, endpoint=True).astype(dtype)
    with mounted(source) as mnt:
        Image.fromarray(array.astype(np.dtype(dtype).newbyteorder("="))).save(mnt / "a/data.png")
        assert np.array_equal(np.load(source / "a.npy"), array)
        assert np.load(source / "a.npy").dtype == np.dtype(dtype)
        part = array[1:20:2, 30:3:-1]
        Image.fromarray(np.ascontiguousarray(part).astype(np.dtype(dtype).newbyteorder("="))).save(mnt / "a/slice/0:10,0:27.png")
        array[0:10, 0:27] = part
        assert np.array_equal(np.load(source / "a.npy"), array)


@pytest.mark.parametrize("dtype, shape", [("u1", (31, 45)), ("<u2", (1, 3)), (">u2", (30, 50, 4)), ("u1", (9, 1, 3)), ("u1", (300, 400))])
def test_interlaced_pictures_are_taken(source, rng, dtype, shape):
    np.save(source / "a.npy", np.zeros(shape, dtype))
    array = rng.integers(0, np.iinfo(dtype).max, shape, endpoint=True).astype(dtype)
    with mounted(source) as mnt:
        mnt_write(mnt / "a/data.png", png(array, interlaced=True))
        assert np.array_equal(np.load(source / "a.npy"), array)
        mnt_write(mnt / "a/data.png", png(array[::-1]))
        assert np.array_equal(np.load(source / "a.npy"), array[::-1])


def mnt_write(path, content, step=1000):
    """As a program with a small buffer writes a file anew."""
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC)
    try:
        for at in range(0, len(content), step):
            os.write(fd, content[at : at + step])
    finally:
        os.close(fd)


def test_cp_and_imagemagick_write_pictures(source, rng, tmp_path):
    for name in "abc":
        np.save(source / f"{name}.npy", rng.integers(0, 256, (40, 30, 3)).astype("u1"))
    grey = rng.integers(0, 2, (40, 30)).astype("u1") * 255
    np.save(source / "grey.npy", grey)
    wanted = np.load(source / "a.npy")
    with mounted(source) as mnt:
        assert run("cp", mnt / "a/data.png", mnt / "b/data.png").returncode == 0
        assert np.array_equal(np.load(source / "b.npy"), wanted)
        assert run("cp", mnt / "a/data.png", tmp_path / "a.png").returncode == 0
        convert = needs_command("convert")
        assert run(convert, tmp_path / "a.png", "-flip", mnt / "c/data.png").returncode == 0
        assert np.array_equal(np.load(source / "c.npy"), wanted[::-1])
        # Of two colours, it writes one bit each.
        assert run(convert, mnt / "grey/data.png", "-flop", mnt / "grey/data.png").returncode == 0
        assert np.array_equal(np.load(source / "grey.npy"), grey[:, ::-1])


def test_what_is_no_such_picture_changes_nothing(source, rng):
    array = rng.integers(0, 256, (40, 30)).astype("u1")
    np.save(source / "a.npy", array)
    colours = rng.integers(0, 256, (40, 30, 3)).astype("u1")
    whole = png(array[::-1])
    broken = bytearray(whole)
    broken[len(whole) // 2] ^= 1
    bad = [
        b"",
        b"not a picture",
        whole[: len(whole) // 2],
        whole[:-12],
        bytes(broken),
        png(array[:-1]),
        png(array[:, :-1]),
        png(colours),
        png(rng.integers(0, 1 << 16, (40, 30)).astype("u2")),
    ]
    with mounted(source) as mnt:
        for content in bad:
            with refused("EINVAL"):
                if content:
                    mnt_write(mnt / "a/data.png", content)
                else:
                    os.close(os.open(mnt / "a/data.png", os.O_WRONLY | os.O_TRUNC)) or raise_if_unchanged()
            assert np.array_equal(np.load(source / "a.npy"), array)
        # A picture may be written in any order, and over what is there.
        fd = os.open(mnt / "a/data.png", os.O_WRONLY)
        os.pwrite(fd, whole[50:], 50)
        os.pwrite(fd, whole[:50], 0)
        os.close(fd)
        assert np.array_equal(np.load(source / "a.npy"), array[::-1])
        patched = bytearray(mnt.read("a/data.png"))
        fd = os.open(mnt / "a/data.png", os.O_RDWR)
        os.pwrite(fd, b"\x77", 200)
        with refused("EINVAL"):
            os.close(fd)
        assert mnt.read("a/data.png") == bytes(patched)


def raise_if_unchanged():
    """An opened and truncated file into which nothing is written says nothing: the array is as it was."""
    raise OSError(errno.EINVAL, "nothing was written")


def test_a_picture_that_is_stored_is_over_for_who_opens_it_anew(source, rng):
    array = rng.integers(0, 256, (40, 30)).astype("u1")
    np.save(source / "a.npy", np.zeros((40, 30), "u1"))
    np.save(source / "b.npy", array)
    with mounted(source) as mnt:
        content = mnt.read("b/data.png")
        with mnt.open("a/data.png", os.O_WRONLY | os.O_TRUNC) as first:
            os.write(first, content)
            os.fsync(first)
            assert np.array_equal(np.load(source / "a.npy"), array)
            array[7] = range(30)
            mnt.write("a/row/7", array[7].tobytes())
            with mnt.open("a/data.png", os.O_WRONLY) as second:
                os.write(second, content[:33])
            assert np.array_equal(np.load(source / "a.npy"), array)


def test_writing_back_what_was_read_changes_nothing(source, rng):
    array = (rng.random((40, 30)) * 200).astype("<f4")
    np.save(source / "a.npy", array)
    with mounted(source) as mnt:
        content = mnt.read("a/as/u1/data.png")
        mnt_write(mnt / "a/as/u1/data.png", content)
        assert np.array_equal(np.load(source / "a.npy"), array)
        changed = array.astype("u1")
        changed[3, 4] = 201
        mnt_write(mnt / "a/as/u1/data.png", png(changed))
        array[3, 4] = 201
        assert np.array_equal(np.load(source / "a.npy"), array)


def test_a_picture_with_many_words_about_it_is_taken_and_the_file_keeps_its_size(source, rng):
    np.save(source / "a.npy", np.zeros((40, 30), "u1"))
    array = rng.integers(0, 256, (40, 30)).astype("u1")
    whole = png(array)
    data = b"Comment\0" + b"words " * 50_000
    words = struct.pack(">I", len(data)) + b"tEXt" + data + struct.pack(">I", zlib.crc32(b"tEXt" + data))
    with mounted(source) as mnt:
        size = (mnt / "a/data.png").stat().st_size
        mnt_write(mnt / "a/data.png", whole[:33] + words + whole[33:])
        assert np.array_equal(np.load(source / "a.npy"), array)
        assert (mnt / "a/data.png").stat().st_size == size
        assert np.array_equal(shown(mnt / "a/data.png"), array)
        # More than anybody would say about so small a picture.
        with refused("EFBIG"), open(mnt / "a/data.png", "r+b", buffering=0) as file:
            os.pwrite(file.fileno(), b"x", 1 << 30)
        assert np.array_equal(np.load(source / "a.npy"), array)


def test_mappings_show_the_picture_as_it_is(source, rng):
    array = rng.integers(0, 256, (700, 300)).astype("u1")
    np.save(source / "a.npy", array)
    np.save(source / "f.npy", array.astype("f4"))
    with mounted(source) as mnt:
        with mnt.open("a/data.png") as fd, mmap.mmap(fd, 0, access=mmap.ACCESS_READ) as mapping:
            for row in range(3):
                assert np.array_equal(samples(mapping[:]), array)
                array[row] = 255 - array[row]
                mnt.write(f"a/row/{row}", array[row].tobytes())
                assert os.pread(fd, len(mapping), 0)[-1] == mapping[-1]
        with mnt.open("f/data.png") as fd, mmap.mmap(fd, 0, access=mmap.ACCESS_READ) as mapping:
            assert mapping[:] == os.pread(fd, len(mapping), 0)


def test_compressed_and_stored_pieces_are_seen(source, rng):
    """An array in pieces with holes, by the specification of Zarr 2."""
    folder = source / "z.zarr"
    folder.mkdir()
    facts = {"zarr_format": 2, "shape": [50, 70], "chunks": [20, 30], "dtype": "<u2", "compressor": None, "fill_value": 258, "order": "C", "filters": None}
    (folder / ".zarray").write_text(json.dumps(facts))
    piece = rng.integers(0, 1 << 16, (20, 30)).astype("<u2")
    (folder / "1.1").write_bytes(piece.tobytes())
    array = np.full((50, 70), 258, "u2")
    array[20:40, 30:60] = piece
    with mounted(source) as mnt:
        assert np.array_equal(samples(mnt.read("z.zarr/data.png")), array)
        found = samples(mnt.read("z.zarr/as/f4/data.png"))[12:262, 12:362].astype(int)
        wanted = np.round(4 + (array - array.min()) / (int(array.max()) - int(array.min())) * 251)
        assert np.abs(found[::5, ::5] - wanted).max() <= 1


def test_a_read_only_mount_takes_no_picture(source):
    np.save(source / "a.npy", np.zeros((4, 4), "u1"))
    with mounted(source, "--read-only") as mnt, refused("EROFS"):
        os.open(mnt / "a/data.png", os.O_WRONLY)


def test_the_command_gives_pictures(source, rng):
    array = rng.integers(0, 256, (40, 30)).astype("u1")
    np.save(source / "a.npy", array)
    done = afbfs("cat", source, "a/data.png")
    assert np.array_equal(samples(done.stdout), array)
    done = afbfs("cat", source, "a/as/f8/data.png")
    assert samples(done.stdout).shape[0] >= 320
