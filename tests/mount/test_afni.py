"""AFNI datasets, compared with nibabel: its own example, and ones written here (it writes none)."""

import gzip
import os
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from harness import mounted
from members import check_member, error_of, info

EXAMPLES = Path(nib.__file__).parent / "tests/data"
TYPES = {"u1": 0, "i2": 1, "f4": 3}


def attribute(kind, name, values):
    if kind == "string":
        text = f"{values}~"
        return f"type = string-attribute\nname = {name}\ncount = {len(text)}\n'{text}\n"
    numbers = " ".join(str(value) for value in values)
    return f"type = {kind}-attribute\nname = {name}\ncount = {len(values)}\n {numbers}\n"


def write(path, values, order="<", types=None, factors=None, extra=()):
    """Writes a dataset of four axes; `path` is that of the header."""
    bricks = values.shape[3]
    types = types or [TYPES[values.dtype.str[1:]]] * bricks
    attributes = [
        attribute("integer", "DATASET_RANK", [3, bricks, 0, 0, 0, 0, 0, 0]),
        attribute("integer", "DATASET_DIMENSIONS", [*values.shape[:3], 0, 0]),
        attribute("integer", "BRICK_TYPES", types),
        attribute("string", "BYTEORDER_STRING", "MSB_FIRST" if order == ">" else "LSB_FIRST"),
        attribute("float", "BRICK_FLOAT_FACS", factors or [0.0] * bricks),
        attribute("float", "DELTA", [-3.0, 3.0, 4.5]),
        attribute("float", "ORIGIN", [49.5, -82.312, -52.3511]),
        attribute("integer", "ORIENT_SPECIFIC", [0, 3, 4]),
        attribute("float", "IJK_TO_DICOM_REAL", [3, 0, 0, -49.5, 0, 3, 0, -82.312, 0, 0, 4.5, -52.3511]),
        attribute("string", "TEMPLATE_SPACE", "ORIG"),
        attribute("integer", "SCENE_DATA", [0, 11, 1, -999, -999, -999, -999, -999]),
        *extra,
    ]
    path.write_text("\n".join(attributes))
    path.with_suffix(".BRIK").write_bytes(values.astype(values.dtype.newbyteorder(order)).tobytes(order="F"))


def stored(path):
    return np.asanyarray(nib.load(path).dataobj.get_unscaled())


def random_values(rng, dtype, shape):
    if dtype == "f4":
        return rng.standard_normal(shape).astype(dtype)
    return np.frombuffer(rng.bytes(int(np.prod(shape)) * np.dtype(dtype).itemsize), dtype).reshape(shape)


def test_the_example_of_nibabel(source):
    for name in ["scaled+tlrc.HEAD", "scaled+tlrc.BRIK"]:
        shutil.copy(EXAMPLES / name, source)
    with mounted(source) as mnt:
        check_member(mnt, "", "scaled+tlrc", stored(source / "scaled+tlrc.HEAD"))
        facts = info(mnt, "", "scaled+tlrc")
        factors = facts["attributes"]["BRICK_FLOAT_FACS"]
        loaded = nib.load(source / "scaled+tlrc.HEAD")
        assert np.allclose(factors, loaded.header.get_data_scaling())
        assert facts["format"] == "afni" and facts["dims"][:3] == ["x", "y", "z"]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("bricks", [1, 3])
def test_every_type_and_order(source, rng, dtype, order, bricks):
    path = source / "a+orig.HEAD"
    write(path, random_values(rng, dtype, (3, 4, 5, bricks)), order)
    with mounted(source) as mnt:
        check_member(mnt, "", "a+orig", stored(path))
        plane = random_values(rng, dtype, (3, 4, bricks)).astype(np.dtype(dtype).newbyteorder(order))
        mnt.write("a+orig/axis/z/2", plane.tobytes())
        assert np.array_equal(stored(path)[:, :, 2], plane)


def test_types_that_nibabel_does_not_read(source, rng):
    data = rng.bytes(3 * 4 * 5 * 2 * 8)
    rgb = [("R", "u1"), ("G", "u1"), ("B", "u1")]
    for number, dtype in [(2, "<i4"), (4, "<f8"), (5, "<c8"), (6, rgb)]:
        path = source / f"t{number}+orig.HEAD"
        write(path, np.zeros((3, 4, 5, 2), "u1"), types=[number] * 2)
        path.with_suffix(".BRIK").write_bytes(data)
        wanted = np.frombuffer(data, dtype, 120).reshape((3, 4, 5, 2), order="F")
        with mounted(source) as mnt:
            check_member(mnt, "", path.stem, wanted)


def test_attributes(source, rng):
    extra = [attribute("string", "BRICK_LABS", "one~two~three"), attribute("integer", "TAXIS_NUMS", [3, 0, 77001])]
    write(source / "a+orig.HEAD", random_values(rng, "i2", (3, 4, 5, 3)), factors=[0.5, 0, 2.5], extra=extra)
    with mounted(source) as mnt:
        facts = info(mnt, "", "a+orig")
        attributes = facts["attributes"]
        assert attributes["BRICK_FLOAT_FACS"] == [0.5, 0, 2.5] and attributes["DELTA"] == [-3, 3, 4.5]
        assert attributes["BRICK_LABS"] == ["one", "two", "three"] and attributes["TEMPLATE_SPACE"] == "ORIG"
        assert facts["dims"] == ["x", "y", "z", "t"]


def test_what_cannot_be_served_says_so(source, rng):
    values = random_values(rng, "i2", (3, 4, 5, 2))
    for name in ["alone", "packed", "mixed", "unknown", "less"]:
        types = {"mixed": [1, 3], "unknown": [9, 9]}.get(name)
        write(source / f"{name}+orig.HEAD", values, types=types)
    os.remove(source / "alone+orig.BRIK")
    (source / "packed+orig.BRIK.gz").write_bytes(gzip.compress((source / "packed+orig.BRIK").read_bytes()))
    os.remove(source / "packed+orig.BRIK")
    os.truncate(source / "less+orig.BRIK", 239)
    (source / "other+orig.HEAD").write_text("ref: refs/heads/main\n")
    words = {
        "alone": "not beside it",
        "packed": "afbfs unpack",
        "mixed": "several types",
        "unknown": "type 9",
        "less": "holds only 239",
        "other": "no AFNI header",
    }
    with mounted(source) as mnt:
        for name, word in words.items():
            assert word in error_of(mnt, f"{name}+orig"), name
