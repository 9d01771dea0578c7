"""DICOM files of pydicom: its own examples, and ones of every plain syntax, size and arrangement."""

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.pixels import pixel_array
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from harness import mounted
from members import check_member, error_of, info
from oracle import as_stored

EXAMPLES = Path(pydicom.__file__).parent / "data/test_files"
SYNTAXES = {"implicit": ImplicitVRLittleEndian, "explicit": ExplicitVRLittleEndian, "big": ExplicitVRBigEndian}
PLAIN = set(SYNTAXES.values())


def write(path, values, syntax, *, samples=1, planar=0, frames=1, **more):
    """Writes pixels, in the arrangement in which `values` has them."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = SYNTAXES[syntax]
    meta.MediaStorageSOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    how = {"is_implicit_VR": syntax == "implicit", "is_little_endian": syntax != "big"}
    file = FileDataset(path, {}, file_meta=meta, preamble=bytes(128), **how)
    file.SOPClassUID, file.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    shape = list(values.shape)
    if frames > 1:
        file.NumberOfFrames = shape.pop(0)
    if samples > 1:
        shape.pop(0 if planar else -1)
        file.PlanarConfiguration = planar
    file.Rows, file.Columns = shape
    file.SamplesPerPixel = samples
    file.PhotometricInterpretation = "RGB" if samples == 3 else "MONOCHROME2"
    file.BitsAllocated = file.BitsStored = values.dtype.itemsize * 8
    file.HighBit = file.BitsStored - 1
    file.PixelRepresentation = int(values.dtype.kind == "i")
    for name, value in more.items():
        setattr(file, name, value)
    # Sequences of undefined length, one in another, with a value that looks like pixels.
    inner = Dataset()
    inner.CodeValue = "1"
    outer = Dataset()
    outer.PurposeOfReferenceCodeSequence = Sequence([inner, inner])
    outer.Rows = 99
    file.ReferencedImageSequence = Sequence([outer, Dataset(), outer])
    file["ReferencedImageSequence"].is_undefined_length = True
    for item in file.ReferencedImageSequence[:1]:
        item.is_undefined_length_sequence_item = True
    order = ">" if syntax == "big" else "<"
    data = values.astype(values.dtype.newbyteorder(order)).tobytes()
    file.PixelData = data + b"\0" * (len(data) % 2)
    file["PixelData"].VR = "OB" if values.dtype.itemsize == 1 else "OW"
    file.save_as(path, enforce_file_format=True)


def random_values(rng, dtype, shape):
    return np.frombuffer(rng.bytes(int(np.prod(shape)) * np.dtype(dtype).itemsize), dtype).reshape(shape)


def check_one(mnt, name, wanted, order="<"):
    wanted = wanted.astype(wanted.dtype.newbyteorder(order))
    check_member(mnt, "", name, wanted)
    assert info(mnt, "", name)["format"] == "dicom"


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_every_size_and_sign(source, rng, syntax):
    for dtype in ["u1", "i1", "u2", "i2", "u4", "i4"]:
        write(source / f"{dtype}.dcm", random_values(rng, dtype, (5, 7)), syntax)
    with mounted(source) as mnt:
        for path in source.iterdir():
            check_one(mnt, path.stem, pydicom.dcmread(path).pixel_array, ">" if syntax == "big" else "<")


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("frames", [1, 3])
def test_frames_samples_and_planes(source, rng, syntax, frames):
    several = (frames,) if frames > 1 else ()
    for dtype in ["u1", "u2"]:
        cases = {"grey": ((4, 5), 1, 0), "pixels": ((4, 5, 3), 3, 0), "planes": ((3, 4, 5), 3, 1)}
        for name, (shape, samples, planar) in cases.items():
            values = random_values(rng, dtype, (*several, *shape))
            how = {"samples": samples, "planar": planar, "frames": frames}
            write(source / f"{dtype}{name}.dcm", values, syntax, **how)
    with mounted(source) as mnt:
        for path in source.iterdir():
            wanted = pixel_array(path, raw=True)
            check_one(mnt, path.stem, wanted, ">" if syntax == "big" else "<")
            dims = ["frame"] * (frames > 1) + ["row", "column", "sample"]
            assert info(mnt, "", path.stem)["dims"] == dims[: wanted.ndim]


@pytest.mark.parametrize("keyword, dtype", [("FloatPixelData", "f4"), ("DoubleFloatPixelData", "f8")])
def test_pixels_that_are_floats(source, rng, keyword, dtype):
    values = rng.standard_normal((4, 5)).astype(dtype)
    write(source / "a.dcm", values.astype("u2"), "explicit")
    file = pydicom.dcmread(source / "a.dcm")
    del file.PixelData
    del file.PixelRepresentation
    file.BitsAllocated = 8 * values.itemsize
    setattr(file, keyword, values.tobytes())
    file.save_as(source / "a.dcm")
    with mounted(source) as mnt:
        check_one(mnt, "a", pydicom.dcmread(source / "a.dcm").pixel_array)
        check_one(mnt, "a", values)


def test_scale_and_space_are_attributes(source, rng):
    more = {
        "RescaleSlope": 0.5,
        "RescaleIntercept": -1024,
        "PixelSpacing": [0.25, 0.75],
        "ImagePositionPatient": [1.5, 2, 3],
        "Modality": "CT",
        "WindowCenter": [40, 400],
        "PixelPaddingValue": -2000,
        "SeriesDescription": "a series",
    }
    write(source / "a.dcm", random_values(rng, "i2", (4, 5)), "explicit", **more)
    with mounted(source) as mnt:
        attributes = info(mnt, "", "a")["attributes"]
        assert {name: attributes[name] for name in more} == more
        assert attributes["BitsStored"] == 16 and attributes["PhotometricInterpretation"] == "MONOCHROME2"


def test_the_examples_of_pydicom(source):
    served = 0
    wanted = {}
    for number, path in enumerate(sorted(EXAMPLES.glob("*.dcm"))):
        name = f"{number}"
        try:
            file = pydicom.dcmread(path)
            plain = file.file_meta.TransferSyntaxUID in PLAIN and file.BitsAllocated % 8 == 0
            pixels = pixel_array(file, raw=True) if plain else None
        except (pydicom.errors.InvalidDicomError, AttributeError, ValueError, KeyError, NotImplementedError, EOFError):
            pixels = None
        shutil.copy(path, source / f"{name}.dcm")
        wanted[name] = (path, pixels)
    with mounted(source, "--list-max", "10") as mnt:
        for name, (path, pixels) in wanted.items():
            if (mnt / name / "error").exists():
                why = (mnt / name / "error").read_text()
                subsampled = "colour are fewer" in why or "wrong way round" in why
                assert pixels is None or subsampled, (path, why)
            elif pixels is not None:
                stored = pixels.astype(info(mnt, "", name)["dtype"])
                assert (mnt / name / "shape").read_text().split() == [str(length) for length in pixels.shape], path
                assert (mnt / name / "data").read_bytes() == as_stored(stored), path
                served += 1
    assert served >= 10


def test_what_is_written_is_read_back(source, rng):
    values = random_values(rng, "u1", (3, 4, 6))
    write(source / "a.dcm", values, "explicit", samples=3, planar=1)
    wanted = pixel_array(source / "a.dcm", raw=True).copy()
    wanted[..., 1] = random_values(rng, "u1", (4, 6))
    with mounted(source) as mnt:
        mnt.write("a/axis/sample/1", wanted[..., 1].tobytes())
    assert np.array_equal(pixel_array(source / "a.dcm", raw=True), wanted)


def test_what_cannot_be_served_says_so(source, rng):
    write(source / "a.dcm", random_values(rng, "u2", (4, 5)), "explicit")
    content = (source / "a.dcm").read_bytes()

    def changed(name, change):
        file = pydicom.dcmread(source / "a.dcm")
        change(file)
        file.save_as(source / f"{name}.dcm")

    for name, uid in {"jpeg": b"1.2.840.10008.1.2.4.50", "rle": b"1.2.840.10008.1.2.5"}.items():
        old = b"1.2.840.10008.1.2.1\0"
        new = uid + b"\0" * (len(uid) % 2)
        start = content.index(old)
        swapped = content[: start - 2] + len(new).to_bytes(2, "little") + new + content[start + len(old) :]
        (source / f"{name}.dcm").write_bytes(swapped)
    changed("report", lambda file: delattr(file, "PixelData"))
    changed("rows", lambda file: delattr(file, "Rows"))
    changed("bits", lambda file: setattr(file, "BitsAllocated", 1))
    changed("few", lambda file: setattr(file, "PhotometricInterpretation", "YBR_FULL_422"))
    changed("more", lambda file: setattr(file, "Rows", 5))
    (source / "cut.dcm").write_bytes(content[:-1])
    (source / "short.dcm").write_bytes(content[:500])
    (source / "other.dcm").write_bytes(bytes(1000))
    words = {
        "jpeg": "JPEG",
        "rle": "RLE",
        "report": "no pixels",
        "rows": "(0028,0010)",
        "bits": "single bits",
        "few": "YBR_FULL_422",
        "more": "50 bytes of pixels, and there are 40",
        "cut": "truncated",
        "short": "ends within",
        "other": "DICM",
    }
    with mounted(source) as mnt:
        for name, word in words.items():
            assert word in error_of(mnt, name), name


def test_a_file_is_known_by_its_content(source, rng):
    values = random_values(rng, "u2", (4, 5))
    write(source / "IM000001", values, "implicit")
    with mounted(source) as mnt:
        check_one(mnt, "IM000001", values)
