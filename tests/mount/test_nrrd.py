"""NRRD files of pynrrd: attached or detached, in one data file or in several."""

import os

import nrrd
import numpy as np
import pytest

from harness import mounted
from members import check_member, error_of, info

TYPES = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]


def random_values(rng, dtype, shape):
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    return np.frombuffer(rng.bytes(int(np.prod(shape)) * dtype.itemsize), dtype).reshape(shape)


def check_one(mnt, name, path):
    check_member(mnt, "", name, nrrd.read(os.fspath(path))[0])
    assert info(mnt, "", name)["format"] == "nrrd"


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", ["nrrd", "nhdr"])
def test_every_type_and_rank(source, rng, kind, order):
    for dtype in TYPES:
        values = random_values(rng, np.dtype(dtype).newbyteorder(order), (3, 4, 2))
        nrrd.write(os.fspath(source / f"{dtype}.{kind}"), values, {"encoding": "raw"})
    for ndim in (1, 2, 4, 5):
        values = random_values(rng, "i2", (4, 3, 2, 3, 2)[:ndim])
        nrrd.write(os.fspath(source / f"rank{ndim}.{kind}"), values, {"encoding": "raw"})
    with mounted(source) as mnt:
        for path in source.glob(f"*.{kind}"):
            check_one(mnt, path.stem, path)


def test_fields_keys_and_names_of_axes(source, rng):
    header = {
        "encoding": "raw",
        "space": "left-posterior-superior",
        "space directions": np.diag([1.5, 2, 3]),
        "kinds": ["domain", "domain", "time"],
        "labels": ["width", "height", "when"],
        "spacings": [1.5, 2, np.nan],
        "content": "a picture",
        "my key": "my value",
    }
    nrrd.write(os.fspath(source / "a.nrrd"), random_values(rng, "f4", (3, 4, 2)), header)
    del header["labels"]
    nrrd.write(os.fspath(source / "b.nrrd"), random_values(rng, "f4", (3, 4, 2)), header)
    with mounted(source) as mnt:
        check_one(mnt, "a", source / "a.nrrd")
        facts = info(mnt, "", "a")
        assert facts["dims"] == ["width", "height", "when"]
        assert facts["attributes"]["spacings"] == [1.5, 2, "NaN"]
        assert facts["attributes"]["space"] == "left-posterior-superior"
        assert facts["attributes"]["my key"] == "my value" and facts["attributes"]["content"] == "a picture"
        assert mnt.read("a/axis/height/1") == mnt.read("a/col/1")
        assert info(mnt, "", "b")["dims"] == ["", "", "time"]


def write_header(path, fields, data=b""):
    lines = ["NRRD0005", "# a comment", *(f"{name}: {value}" for name, value in fields.items())]
    path.write_bytes("\n".join(lines).encode() + b"\n\n" + data)


FIELDS = {"type": "short", "dimension": 3, "sizes": "3 4 6", "endian": "little", "encoding": "raw"}


def test_skipped_bytes_and_lines(source, rng):
    values = random_values(rng, "<i2", (3, 4, 6))
    data = values.tobytes(order="F")
    (source / "x.raw").write_bytes(b"12345" + data)
    write_header(source / "a.nhdr", FIELDS | {"data file": "x.raw", "byte skip": 5})
    write_header(source / "b.nhdr", FIELDS | {"data file": "x.raw", "byte skip": -1})
    write_header(source / "c.nrrd", FIELDS | {"byte skip": -1}, b"anything" + data)
    write_header(source / "d.nrrd", FIELDS | {"line skip": 2, "byte skip": 3}, b"one\ntwo\nabc" + data)
    write_header(source / "e.nrrd", FIELDS | {"datafile": "x.raw", "byteskip": 5})
    with mounted(source) as mnt:
        for name in ["a.nhdr", "b.nhdr", "c.nrrd", "d.nrrd", "e.nrrd"]:
            check_one(mnt, name[0], source / name)
            check_member(mnt, "", name[0], values)


def test_blocks(source, rng):
    data = rng.bytes(5 * 6)
    fields = {"type": "block", "block size": 5, "dimension": 1, "sizes": 6, "encoding": "raw"}
    write_header(source / "a.nrrd", fields, data)
    with mounted(source) as mnt:
        check_member(mnt, "", "a", np.frombuffer(data, "V5"))


def test_several_data_files(source, rng):
    values = random_values(rng, "<i2", (3, 4, 6))
    for k in range(6):
        (source / f"z{k * 2 + 1:03}.raw").write_bytes(b"##" + values[:, :, k].tobytes(order="F"))
    (source / "low.raw").write_bytes(values[:, :, :3].tobytes(order="F"))
    (source / "high.raw").write_bytes(values[:, :, 3:].tobytes(order="F"))
    for k in range(24):
        (source / f"line{k}").write_bytes(values[:, k % 4, k // 4].tobytes(order="F"))
    names = "".join(f"\nz{k * 2 + 1:03}.raw" for k in range(6))
    write_header(source / "list.nhdr", FIELDS | {"byte skip": 2, "data file": "LIST" + names})
    write_header(source / "pattern.nhdr", FIELDS | {"byte skip": -1, "data file": "z%03d.raw 1 11 2"})
    write_header(source / "backwards.nhdr", FIELDS | {"byte skip": 2, "data file": "z%03d.raw 11 1 -2 2"})
    write_header(source / "halves.nhdr", FIELDS | {"data file": "LIST 3\nlow.raw\nhigh.raw"})
    write_header(source / "lines.nhdr", FIELDS | {"data file": "line%d 0 23 1 1"})
    with mounted(source) as mnt:
        for name in ["list", "pattern", "halves", "lines"]:
            check_member(mnt, "", name, values)
        check_member(mnt, "", "backwards", values[:, :, ::-1])
        plane = random_values(rng, "<i2", (4, 6))
        for name in ["list", "lines", "halves"]:
            mnt.write(f"{name}/row/1", plane.tobytes())
    for k in range(6):
        assert (source / f"z{k * 2 + 1:03}.raw").read_bytes()[4::6] == plane[:, k].tobytes()[::2]
    low, high = ((source / name).read_bytes() for name in ("low.raw", "high.raw"))
    written = np.frombuffer(low + high, "<i2").reshape((3, 4, 6), order="F")
    assert np.array_equal(written[1], plane) and np.array_equal(written[::2], values[::2])


def test_what_is_written_is_read_back(source, rng):
    for kind in ["nrrd", "nhdr"]:
        path = source / f"{kind}.{kind}"
        nrrd.write(os.fspath(path), random_values(rng, "f8", (3, 4, 2)), {"encoding": "raw"})
        wanted = nrrd.read(os.fspath(path))[0].copy()
        wanted[:, 1] = random_values(rng, "f8", (3, 2))
        with mounted(source) as mnt:
            mnt.write(f"{kind}/col/1", np.ascontiguousarray(wanted[:, 1]).tobytes())
        assert np.array_equal(nrrd.read(os.fspath(path))[0], wanted)


def test_what_cannot_be_served_says_so(source, rng):
    values = random_values(rng, "i2", (3, 4, 6))
    for encoding in ["gzip", "bzip2", "ASCII"]:
        nrrd.write(os.fspath(source / f"{encoding}.nrrd"), values, {"encoding": encoding})
    data = values.tobytes()
    (source / "x.raw").write_bytes(data)
    write_header(source / "hex.nrrd", FIELDS | {"encoding": "hex"}, b"00")
    write_header(source / "cut.nrrd", FIELDS, data[:-1])
    write_header(source / "cut-end.nrrd", FIELDS | {"byte skip": -1}, data[:-1])
    write_header(source / "gone.nhdr", FIELDS | {"data file": "gone.raw"})
    write_header(source / "less.nhdr", FIELDS | {"data file": "x.raw", "byte skip": 1})
    write_header(source / "away.nhdr", FIELDS | {"data file": "../x.raw"})
    write_header(source / "lines.nhdr", FIELDS | {"data file": "x.raw", "line skip": 1})
    write_header(source / "count.nhdr", FIELDS | {"data file": "LIST\nx.raw\nx.raw"})
    (source / "new.nrrd").write_bytes(b"NRRD0006\n\n")
    (source / "other.nrrd").write_bytes(bytes(100))
    words = {
        "gzip": "afbfs unpack",
        "bzip2": "afbfs unpack",
        "ASCII": "save it again as raw",
        "hex": "save it again as raw",
        "cut": "truncated",
        "cut-end": "truncated",
        "gone": "not beside it",
        "less": "holds only 144",
        "away": "another folder",
        "lines": "byte skip",
        "count": "2 data files",
        "new": "NRRD0006",
        "other": "does not begin with NRRD",
    }
    with mounted(source) as mnt:
        for name, word in words.items():
            assert word in error_of(mnt, name), name


def test_a_file_is_known_by_its_content(source, rng):
    nrrd.write(os.fspath(source / "a.nrrd"), random_values(rng, "i2", (3, 4, 6)), {"encoding": "raw"})
    wanted = nrrd.read(os.fspath(source / "a.nrrd"))[0]
    (source / "a.nrrd").rename(source / "scan")
    with mounted(source) as mnt:
        check_member(mnt, "", "scan", wanted)
