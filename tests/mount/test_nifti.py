"""NIfTI and Analyze images of nibabel: one file or a pair, in either byte order, of every type."""

import gzip
import os
import struct

import nibabel as nib
import numpy as np
import pytest

from harness import mounted
from members import check_member, error_of, info

TYPES = ["u1", "i2", "i4", "f4", "c8", "f8", "i1", "u2", "u4", "i8", "u8", "c16"]
ANALYZE_TYPES = ["u1", "i2", "i4", "f4", "c8", "f8"]
RGB = [("R", "u1"), ("G", "u1"), ("B", "u1")]
RGBA = [*RGB, ("A", "u1")]
SINGLES = {"one": nib.Nifti1Image, "two": nib.Nifti2Image}
PAIRS = {"one": nib.Nifti1Pair, "two": nib.Nifti2Pair, "analyze": nib.AnalyzeImage, "spm": nib.Spm99AnalyzeImage}
AXES = ["x", "y", "z", "t", "", "", ""]


def random_values(rng, dtype, shape):
    dtype = np.dtype(dtype)
    if dtype.kind in "fc":
        values = rng.standard_normal(shape).astype(dtype)
        return values + values * 1j if dtype.kind == "c" else values
    count = int(np.prod(shape, dtype=int))
    return np.frombuffer(rng.bytes(count * dtype.itemsize), dtype, count).reshape(shape)


def save(kind, path, values, order="<"):
    """Writes an image of this kind, with no scale of its own."""
    header = kind.header_class(endianness=order)
    header.set_data_dtype(values.dtype)
    image = kind(values, np.diag([2, 3, 4, 1]), header)
    if kind in (nib.Nifti1Image, nib.Nifti2Image, nib.Nifti1Pair, nib.Nifti2Pair):
        image.header.set_slope_inter(1, 0)
    nib.save(image, path)


def stored(path):
    """The elements as they stand in the file, as nibabel finds them."""
    return np.asanyarray(nib.load(path).dataobj.get_unscaled())


def check_one(mnt, name, wanted):
    check_member(mnt, "", name, wanted)
    facts = info(mnt, "", name)
    assert facts["format"] == "nifti"
    assert facts["dims"] == AXES[: wanted.ndim]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", SINGLES)
def test_one_file_of_every_type_and_rank(source, rng, kind, order):
    for dtype in [*TYPES, RGB, RGBA]:
        name = dtype if isinstance(dtype, str) else f"rgb{len(dtype)}"
        save(SINGLES[kind], source / f"{name}.nii", random_values(rng, dtype, (3, 4, 2)), order)
    for ndim in range(1, 8):
        shape = (4, 3, 2, 3, 2, 1, 2)[:ndim]
        save(SINGLES[kind], source / f"rank{ndim}.nii", random_values(rng, "i2", shape), order)
    with mounted(source) as mnt:
        for path in source.iterdir():
            check_one(mnt, path.stem, stored(path))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", PAIRS)
def test_pairs(source, rng, kind, order):
    types = [*TYPES, RGB] if "analyze" not in kind and kind != "spm" else ANALYZE_TYPES
    for dtype in types:
        name = dtype if isinstance(dtype, str) else f"rgb{len(dtype)}"
        save(PAIRS[kind], source / f"{name}.img", random_values(rng, dtype, (3, 4, 2)), order)
    with mounted(source) as mnt:
        paths = sorted(source.glob("*.img"))
        assert len(paths) == len(types)
        for path in paths:
            check_one(mnt, path.stem, stored(path))
            written = stored(path)[::-1].copy()
            mnt.write(f"{path.stem}/data", written.tobytes())
            assert stored(path).tobytes() == written.tobytes()


def test_scale_space_and_words_are_attributes(source, rng):
    image = nib.Nifti1Image(rng.standard_normal((3, 4, 2, 5)), np.diag([2, 3, 4, 1]))
    image.set_data_dtype("i2")
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_intent("t test", (7,), "effect")
    image.header["descrip"] = b"a brain"
    image.header["pixdim"][4] = 2.5
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"words" * 20))
    nib.save(image, source / "a.nii")
    loaded = nib.load(source / "a.nii")
    with mounted(source) as mnt:
        check_one(mnt, "a", stored(source / "a.nii"))
        attributes = info(mnt, "", "a")["attributes"]
        slope, inter = np.float32(attributes["scl_slope"]), np.float32(attributes["scl_inter"])
        data = np.frombuffer(mnt.read("a/data"), "<i2").reshape(3, 4, 2, 5)
        assert np.allclose(data * float(slope) + float(inter), loaded.get_fdata())
        assert attributes["pixdim"][1:5] == [2, 3, 4, 2.5]
        assert (attributes["xyz_unit"], attributes["t_unit"]) == ("mm", "s")
        assert attributes["descrip"] == "a brain" and attributes["intent_name"] == "effect"
        assert attributes["intent_p"][0] == 7
        rows = [attributes[f"srow_{axis}"] for axis in "xyz"]
        assert np.array_equal(rows, loaded.affine[:3])
        assert (mnt / "a/axis/t/2").read_bytes() == stored(source / "a.nii")[..., 2].tobytes()


def test_floats_that_numpy_does_not_have_are_bytes(source, rng):
    save(nib.Nifti1Image, source / "a.nii", random_values(rng, "c16", (3, 4, 2)))
    content = (source / "a.nii").read_bytes()
    for name, datatype, dtype in [("f128", 1536, "V16"), ("c256", 2048, "V32")]:
        data = rng.bytes(24 * np.dtype(dtype).itemsize)
        (source / f"{name}.nii").write_bytes(content[:70] + struct.pack("<h", datatype) + content[72:352] + data)
        with mounted(source) as mnt:
            check_one(mnt, name, np.frombuffer(data, dtype).reshape((3, 4, 2), order="F"))
            assert info(mnt, "", name)["element"] == name


def test_an_array_in_fortran_order_is_written_by_axis(source, rng):
    path = source / "a.nii"
    save(nib.Nifti1Image, path, random_values(rng, "f4", (3, 4, 5)))
    wanted = stored(path).copy()
    plane = random_values(rng, "f4", (3, 5))
    wanted[:, 2] = plane
    with mounted(source) as mnt:
        assert mnt.read("a/order") == b"F\n"
        mnt.write("a/axis/y/2", plane.tobytes())
    assert np.array_equal(stored(path), wanted)


def test_vectors_that_are_too_long_for_the_header(source, rng):
    for name, length in [("long", 40_000), ("ico7", 163_842)]:
        save(nib.Nifti1Image, source / f"{name}.nii", random_values(rng, "f4", (length, 1, 1)))
    with mounted(source) as mnt:
        for name in ["long", "ico7"]:
            check_one(mnt, name, stored(source / f"{name}.nii"))


def test_what_cannot_be_served_says_so(source, rng):
    save(nib.Nifti1Image, source / "a.nii", random_values(rng, "i2", (3, 4, 5)))
    content = (source / "a.nii").read_bytes()
    (source / "cut.nii").write_bytes(content[:-1])
    (source / "short.nii").write_bytes(content[:300])
    (source / "other.nii").write_bytes(bytes(1000))
    (source / "packed.nii.gz").write_bytes(gzip.compress(content))
    (source / "bits.nii").write_bytes(content[:70] + struct.pack("<h", 1) + content[72:])
    (source / "inside.nii").write_bytes(content[:108] + struct.pack("<f", 100) + content[112:])
    save(nib.Nifti1Pair, source / "alone.img", random_values(rng, "i2", (3, 4, 5)))
    os.remove(source / "alone.img")
    save(nib.Nifti1Pair, source / "less.img", random_values(rng, "i2", (3, 4, 5)))
    os.truncate(source / "less.img", 119)
    save(nib.Nifti1Pair, source / "zip.img", random_values(rng, "i2", (3, 4, 5)))
    (source / "zip.img.gz").write_bytes(gzip.compress((source / "zip.img").read_bytes()))
    os.remove(source / "zip.img")
    words = {
        "cut": "truncated",
        "short": "ends within",
        "other": "neither NIfTI nor Analyze",
        "packed": "afbfs unpack",
        "bits": "single bits",
        "inside": "vox_offset 100",
        "alone": "not beside it",
        "less": "holds only 119",
        "zip": "afbfs unpack",
    }
    with mounted(source) as mnt:
        for name, word in words.items():
            assert word in error_of(mnt, name), name


def test_a_file_is_known_by_its_content(source, rng):
    save(nib.Nifti2Image, source / "a.nii", random_values(rng, "i2", (3, 4, 5)))
    wanted = stored(source / "a.nii")
    (source / "a.nii").rename(source / "scan")
    with mounted(source) as mnt:
        check_one(mnt, "scan", wanted)
