"""LAS points of the library laspy, in all its formats."""

import os

import laspy
import numpy as np
import pytest

from harness import mounted
from members import check_member, error_of, info

WAYS = [(version, number) for version, top in [("1.2", 3), ("1.3", 5), ("1.4", 10)] for number in range(top + 1)]


def write(path, rng, version, number, points=50, extra=False):
    header = laspy.LasHeader(version=version, point_format=number)
    header.scales, header.offsets = [0.01, 0.01, 0.001], [1000.0, 2000.0, -3.5]
    if extra:
        header.add_extra_dim(laspy.ExtraBytesParams("height", "float64"))
        header.add_extra_dim(laspy.ExtraBytesParams("label", "uint8"))
    las = laspy.LasData(header)
    las.points = laspy.ScaleAwarePointRecord.zeros(points, header=header)
    size = las.points.array.dtype.itemsize
    las.points.array[:] = np.frombuffer(rng.bytes(points * size), las.points.array.dtype)
    las.write(path)


def read(path):
    """The points with their fields as stored, and as x, y, z."""
    las = laspy.read(path)
    return las, las.points.array


def stored(array):
    """The type of the file: what laspy splits off as extra dimensions is one field here."""
    extra = [name for name in ("height", "label") if name in array.dtype.names]
    if not extra:
        return array
    start = array.dtype.fields[extra[0]][1]
    fields = [item for item in array.dtype.descr if item[0] not in extra]
    return array.view([*fields, ("extra_bytes", f"V{array.dtype.itemsize - start}")])


@pytest.mark.parametrize("extra", [False, True])
@pytest.mark.parametrize(("version", "number"), WAYS)
def test_points_are_those_that_laspy_reads(source, rng, version, number, extra):
    write(source / "a.las", rng, version, number, extra=extra)
    las, wanted = read(source / "a.las")
    with mounted(source) as mnt:
        check_member(mnt, "", "a", stored(wanted))
        attributes = info(mnt, "", "a")["attributes"]
        x = np.frombuffer(mnt.read("a/field/X/data"), "<i4") * attributes["scale"][0] + attributes["offset"][0]
        assert np.allclose(x, las.x)
        assert attributes["version"] == version and attributes["point_format"] == number


def test_what_is_written_is_read_back_by_laspy(source, rng):
    write(source / "a.las", rng, "1.4", 7)
    _, wanted = read(source / "a.las")
    wanted = wanted[::-1].copy()
    wanted["red"] = np.arange(50)
    with mounted(source) as mnt:
        mnt.write("a/data", wanted.tobytes())
        mnt.write("a/field/red/data", np.arange(50, dtype="<u2").tobytes())
    assert np.array_equal(read(source / "a.las")[1], wanted)


def test_files_that_cannot_be_served_are_errors_that_say_so(source, rng):
    write(source / "cut.las", rng, "1.2", 0)
    content = bytearray((source / "cut.las").read_bytes())
    os.truncate(source / "cut.las", len(content) - 1)
    content[104] |= 0x80
    (source / "packed.laz").write_bytes(content)
    (source / "log.las").write_bytes(b"~VERSION INFORMATION\n")
    with mounted(source) as mnt:
        for name, word in {"cut": "truncated", "packed": "laszip", "log": "another kind"}.items():
            assert word in error_of(mnt, name)
