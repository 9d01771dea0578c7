"""SEG-Y of segyio, SU and SAC of obspy: traces, their headers, and the numbers that NumPy has not."""

import os
import struct

import numpy as np
import obspy
import pytest
import segyio
from obspy.io.sac import SACTrace

from harness import mounted
from members import check_member, error_of, folder, info

# By format of the samples: type of NumPy, type in the file, element.
FORMATS = {
    1: ("f4", "V4", "ibm32"),
    2: ("i4", "i4", None),
    3: ("i2", "i2", None),
    5: ("f4", "f4", None),
    6: ("f8", "f8", None),
    8: ("i1", "i1", None),
    9: ("i8", "i8", None),
    10: ("u4", "u4", None),
    11: ("u2", "u2", None),
    12: ("u8", "u8", None),
    16: ("u1", "u1", None),
}
# Name, position and bytes of all fields of a trace's header.
KEYS = [(str(key), int(key)) for key in segyio.TraceField.enums()]
FIELDS = [(name, at, end - at) for (name, at), (_, end) in zip(KEYS, [*KEYS[1:], ("", 241)])]
each_order = pytest.mark.parametrize("endian", ["big", "little"])


def ordered(dtype, endian):
    return np.dtype(dtype).newbyteorder(">" if endian == "big" else "<")


def ibm(stored, endian):
    """What IBM floats mean, as floats of 8 bytes."""
    bits = stored.view(ordered("u4", endian)).astype("u8")
    sign = np.where(bits >> 31, -1.0, 1.0)
    return sign * (bits & 0xFFFFFF) * 16.0 ** ((bits >> 24 & 0x7F).astype(float) - 64 - 6)


def write(path, rng, number, endian="big", traces=20, samples=33, texts=0):
    """A file of segyio, with random samples and numbers in the headers."""
    spec = segyio.spec()
    spec.format, spec.endian, spec.ext_headers = number, endian, texts
    spec.samples, spec.tracecount = range(samples), traces
    dtype = np.dtype(FORMATS[number][0])
    with segyio.create(path, spec) as file:
        file.text[0] = segyio.tools.create_text_header({1: "A SURVEY", 2: "SECOND LINE"})
        for trace in range(traces):
            if dtype.kind == "f":
                file.trace[trace] = rng.normal(0, 1000, samples).astype(dtype)
            else:
                file.trace[trace] = np.frombuffer(rng.bytes(samples * dtype.itemsize), dtype)
            file.header[trace] = {189: trace * 10 - 55, 193: trace + 2, 71: -100, 115: samples, 117: 4000}
        file.bin.update({3217: 4000, 3201: 77})
    return path


def check_file(mnt, path, endian):
    """All samples, and all fields of the headers, as segyio reads them."""
    with segyio.open(path, ignore_geometry=True, endian=endian) as file:
        number = int(file.bin[3225])
        _, stored, element = FORMATS[number]
        wanted = file.trace.raw[:]
        if element:
            data = np.frombuffer((folder(mnt, path.stem, "data") / "data").read_bytes(), "V4").reshape(wanted.shape)
            assert np.array_equal(ibm(data, endian).astype("f4"), wanted)
            element = element if endian == "big" else element + "le"
        else:
            data = wanted.astype(ordered(stored, endian))
            assert np.array_equal(data, wanted)
        check_member(mnt, path.stem, "data", data, dims=("trace", "sample"))
        assert info(mnt, path.stem, "data").get("element") == element
        for name, position, length in FIELDS:
            shown = (folder(mnt, path.stem, "headers") / f"field/{name}/data").read_bytes()
            shown = np.frombuffer(shown, ordered(f"i{length}", endian))
            assert np.array_equal(shown, file.attributes(position)[:]), name
        container = info(mnt, path.stem, "data")["container"]
        assert container["Interval"] == file.bin[3217] and container["JobID"] == file.bin[3201]
        return container


@each_order
@pytest.mark.parametrize("number", FORMATS)
def test_traces_and_headers_are_those_that_segyio_reads(source, rng, number, endian):
    path = write(source / "a.sgy", rng, number, endian)
    with mounted(source) as mnt:
        container = check_file(mnt, path, endian)
        assert container["text"].startswith("C 1 A SURVEY\nC 2 SECOND LINE")
        check_member(mnt, "a", "headers", headers(path, endian), dims=("trace",))


def headers(path, endian):
    """The headers as stored, in a structured type of our own making."""
    with segyio.open(path, ignore_geometry=True, endian=endian) as file:
        size = 240 + file.dtype.itemsize * len(file.samples)
        start = 3600 + 3200 * file.ext_headers
    dtype = [(name, ordered(f"i{length}", endian)) for name, _, length in FIELDS]
    rows = np.frombuffer(path.read_bytes()[start:], "u1").reshape(-1, size)[:, :240]
    return np.ascontiguousarray(rows).view(dtype)[:, 0]


@each_order
def test_further_texts(source, rng, endian):
    path = write(source / "a.segy", rng, 5, endian, texts=3)
    with mounted(source) as mnt:
        check_file(mnt, path, endian)


@each_order
@pytest.mark.parametrize("number", [1, 3, 5])
def test_what_is_written_is_read_back_by_segyio(source, rng, number, endian):
    path, other = (write(source / f"{name}.sgy", rng, number, endian) for name in "ab")
    with mounted(source) as mnt:
        mnt.write("a/data/data", mnt.read("b/data/data"))
        mnt.write("a/headers/field/CDP_X/data", np.arange(20, dtype=ordered("i4", endian)).tobytes())
        mnt.write("a/headers/field/INLINE_3D/row/3", np.array(-9, ordered("i4", endian)).tobytes())
    with (
        segyio.open(path, ignore_geometry=True, endian=endian) as file,
        segyio.open(other, ignore_geometry=True, endian=endian) as wanted,
    ):
        assert np.array_equal(file.trace.raw[:], wanted.trace.raw[:])
        assert file.attributes(181)[:].tolist() == list(range(20))
        assert file.header[3][189] == -9 and file.header[2][189] == wanted.header[2][189]


@pytest.mark.parametrize("order", "<>")
def test_files_of_obspy(source, rng, order):
    stream = obspy.Stream([obspy.Trace(rng.normal(0, 9, 50).astype("f4"), {"delta": 0.004}) for _ in range(7)])
    stream.write(source / "a.segy", format="SEGY", data_encoding=5, byteorder=order, textual_header_encoding="ASCII")
    stream.write(source / "b.su", format="SU", byteorder=order)
    wanted = np.array([trace.data for trace in stream]).astype(f"{order}f4")
    with mounted(source) as mnt:
        for name in "ab":
            check_member(mnt, name, "data", wanted, dims=("trace", "sample"))
            count = mnt.read(f"{name}/headers/field/TRACE_SAMPLE_COUNT/data")
            assert np.frombuffer(count, f"{order}i2").tolist() == [50] * 7
        mnt.write("b/data/row/2", wanted[5].tobytes())
    assert np.array_equal(obspy.read(source / "b.su", format="SU", byteorder=order)[2].data, wanted[5])


@pytest.mark.parametrize("order", ["little", "big"])
def test_seismograms_are_those_that_obspy_reads(source, rng, order):
    path = source / "a.sac"
    for name in ["a.sac", "b.SAC"]:
        sac = SACTrace(kstnm="ANMO", delta=0.01, b=-1.5, stla=34.9, nzyear=2026, data=rng.normal(0, 9, 1001).astype("f4"))
        sac.write(source / name, byteorder=order)
    wanted = SACTrace.read(path).data
    with mounted(source) as mnt:
        check_member(mnt, "", "a", wanted.astype(ordered("f4", order)))
        attributes = info(mnt, "", "a")["attributes"]
        facts = {"kstnm": "ANMO", "delta": 0.01, "b": -1.5, "stla": 34.9, "nzyear": 2026, "npts": 1001}
        assert facts.items() <= attributes.items()
        assert "evla" not in attributes
        mnt.write("a/data", mnt.read("b/data"))
    assert np.array_equal(SACTrace.read(path).data, SACTrace.read(source / "b.SAC").data)
    assert not np.array_equal(SACTrace.read(path).data, wanted)


def test_a_spectrum_is_two_arrays(source, rng):
    SACTrace(iftype="itime", data=np.arange(10, dtype="f4")).write(source / "a.sac", byteorder="little")
    content = bytearray((source / "a.sac").read_bytes())
    rows = rng.normal(0, 1, (2, 5)).astype("<f4")
    struct.pack_into("<i", content, 4 * 79, 5)
    struct.pack_into("<i", content, 4 * 85, 2)
    (source / "a.sac").write_bytes(content[:632] + rows.tobytes())
    with mounted(source) as mnt:
        check_member(mnt, "a", "real", rows[0])
        check_member(mnt, "a", "imaginary", rows[1])


def test_files_that_cannot_be_served_are_errors_that_say_so(source, rng):
    write(source / "cut.sgy", rng, 5)
    os.truncate(source / "cut.sgy", 5000)
    SACTrace(data=np.zeros(100, "f4")).write(source / "short.sac")
    os.truncate(source / "short.sac", 800)
    (source / "text.sac").write_bytes(b"no seismogram " * 100)
    (source / "odd.su").write_bytes(bytes(1000))
    words = {"cut": "different lengths", "short": "truncated", "text": "nvhdr", "odd": "neither byte order"}
    with mounted(source) as mnt:
        for name, word in words.items():
            assert word in error_of(mnt, name)


def test_a_file_is_known_by_its_content(source, rng):
    path = write(source / "blob", rng, 1)
    with mounted(source) as mnt:
        check_file(mnt, path, "big")
