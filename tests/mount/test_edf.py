"""EDF and BDF recordings of the library pyedflib, with signals of several rates, and annotations."""

import os

import numpy as np
import pyedflib
import pytest

from harness import mounted
from members import check_member, error_of, folder, info

KINDS = {
    "edf": (pyedflib.FILETYPE_EDF, "<i2"),
    "edf+": (pyedflib.FILETYPE_EDFPLUS, "<i2"),
    "bdf": (pyedflib.FILETYPE_BDF, "|V3"),
    "bdf+": (pyedflib.FILETYPE_BDFPLUS, "|V3"),
}
LABELS = ["EEG Fpz-Cz", "ECG", "EEG/1", "Temp", "EMG"]
each_kind = pytest.mark.parametrize("kind", KINDS)


def write(path, kind, rng, rates, seconds=7, labels=LABELS):
    """A recording with these samples in a second of each signal; what was written."""
    limit = 2**23 if kind.startswith("bdf") else 2**15
    with pyedflib.EdfWriter(os.fspath(path), len(rates), KINDS[kind][0]) as file:
        for number, rate in enumerate(rates):
            file.setSignalHeader(
                number,
                {
                    "label": labels[number],
                    "dimension": "uV",
                    "sample_frequency": rate,
                    "physical_max": 100.5,
                    "physical_min": -100,
                    "digital_max": limit - 1,
                    "digital_min": -limit,
                    "transducer": "AgCl",
                    "prefilter": "HP:0.1Hz",
                },
            )
        file.setPatientName("X")
        values = [rng.integers(-limit, limit, rate * seconds).astype("i4") for rate in rates]
        file.writeSamples(values, digital=True)
        if kind.endswith("+"):
            file.writeAnnotation(1.5, -1, "spindle")
    return values


def stored(values, dtype):
    """As the file has it: three bytes of each in BDF."""
    if dtype != "|V3":
        return values.astype(dtype)
    return np.ascontiguousarray(values.astype("<i4").view("u1").reshape(-1, 4)[:, :3]).view("V3")[:, 0]


def check_file(mnt, path, kind):
    with pyedflib.EdfReader(os.fspath(path)) as file:
        assert file.signals_in_file
        for number, label in enumerate(file.getSignalLabels()):
            wanted = file.readSignal(number, digital=True)
            check_member(mnt, path.stem, label, stored(wanted, KINDS[kind][1]))
            facts = info(mnt, path.stem, label)
            attributes = facts["attributes"]
            assert facts.get("element") == ("i3" if kind.startswith("bdf") else None)
            assert attributes["rate"] == file.getSampleFrequency(number)
            assert attributes["unit"] == file.getPhysicalDimension(number)
            assert attributes["physical_max"] == file.getPhysicalMaximum(number)
            assert attributes["digital_min"] == file.getDigitalMinimum(number)
            physical = wanted * attributes["scale"] + attributes["offset"]
            assert np.allclose(physical, file.readSignal(number))


@each_kind
@pytest.mark.parametrize("rates", [[100], [100, 100], [256, 1, 7, 50, 3]], ids=str)
def test_signals_are_those_that_pyedflib_reads(source, rng, kind, rates):
    path = source / f"a.{kind[:3]}"
    write(path, kind, rng, rates)
    with mounted(source) as mnt:
        check_file(mnt, path, kind)
        container = info(mnt, "a", LABELS[0])["container"]
        assert container["records"] == 7 and container["record_duration"] == 1
        if kind.endswith("+"):
            rows = mnt / "a" / f"{kind[:3].upper()} Annotations"
            assert (rows / "shape").read_text().split()[0] == "7"
            assert b"\0+1.5" in (rows / "data").read_bytes()
            assert (rows / "row/3").read_bytes().startswith(b"+3\x14\x14\0")


@each_kind
def test_what_is_written_is_read_back_by_pyedflib(source, rng, kind):
    path = source / f"a.{kind[:3]}"
    values = write(path, kind, rng, [256, 7, 50])
    dtype = KINDS[kind][1]
    values[0] = values[0][::-1].copy()
    values[1][5:30:3] = 77
    with mounted(source) as mnt:
        mnt.write(folder(mnt, "a", LABELS[0]) / "data", stored(values[0], dtype).tobytes())
        mnt.write(folder(mnt, "a", LABELS[1]) / "range/5:30:3", stored(values[1][5:30:3], dtype).tobytes())
    with pyedflib.EdfReader(os.fspath(path)) as file:
        for number, wanted in enumerate(values):
            assert np.array_equal(file.readSignal(number, digital=True), wanted)


def test_labels_that_stand_twice_get_a_number(source, rng):
    values = write(source / "a.edf", "edf", rng, [10, 20, 30], labels=["EEG", "EEG", "EEG"])
    with mounted(source) as mnt:
        for name, wanted in zip(["EEG", "EEG-2", "EEG-3"], values):
            check_member(mnt, "a", name, stored(wanted, "<i2"))


def test_a_recording_that_goes_on_is_counted(source, rng):
    path = source / "a.edf"
    values = write(path, "edf", rng, [10, 20])
    with open(path, "r+b") as file:
        file.seek(236)
        file.write(b"-1      ")
    os.truncate(path, path.stat().st_size - 1)
    with mounted(source) as mnt:
        for label, wanted, rate in zip(LABELS, values, [10, 20]):
            check_member(mnt, "a", label, stored(wanted[: 6 * rate], "<i2"))


def test_files_that_cannot_be_served_are_errors_that_say_so(source, rng):
    write(source / "cut.edf", "edf", rng, [10, 20])
    os.truncate(source / "cut.edf", 1000)
    (source / "esrf.edf").write_bytes(b"{ HeaderID = EH:000001:000000:000000 ;")
    with mounted(source) as mnt:
        assert "truncated" in error_of(mnt, "cut")
        assert "another kind" in error_of(mnt, "esrf")


def test_a_file_is_known_by_its_content(source, rng):
    values = write(source / "a.edf", "edf", rng, [10])
    (source / "a.edf").rename(source / "blob")
    with mounted(source) as mnt:
        check_member(mnt, "blob", LABELS[0], stored(values[0], "<i2"))
