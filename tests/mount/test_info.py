"""afbfs info: all that is known of an array; and the commands that it gives are true."""

import json
import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from harness import afbfs, binary, cleared, mounted, shell
from oracle import save

RECORD = [("label", "S3"), ("x", ">f4"), ("y", "<i2", (2,))]


def said(*arguments, **how):
    answer = afbfs("info", *arguments, **how)
    assert (answer.returncode, answer.stderr) == (0, b""), answer.stderr.decode()
    return answer.stdout.decode()


def facts(*arguments, **how):
    [entry] = json.loads(said("--json", *arguments, **how))
    return entry


def lines(text):
    """key: value, of the lines about the array; of several with one key the last."""
    found = re.findall(r"^  ([a-z]+(?:: [a-z]+)?) +(.*)$", text.split("\nCommands\n")[0], re.MULTILINE)
    return dict(found)


@pytest.fixture
def desk(scratch):
    """A folder with `data` in it, and how commands are run there that call afbfs and python3 by their names."""
    for folder in ["data", "bin"]:
        (scratch / folder).mkdir()
    (scratch / "bin/afbfs").symlink_to(binary())
    path = os.pathsep.join([str(scratch / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    return scratch, {"cwd": scratch, "env": os.environ | {"PATH": path, "LC_ALL": "C.UTF-8"}}


def numbers(dtype, shape):
    """An array whose elements all differ, as far as the type lets them."""
    count = int(np.prod(shape, dtype=int))
    array = np.zeros(count, dtype)
    plain = np.arange(count) + 1
    if array.dtype.names:
        array["label"] = [f"n{number % 10}" for number in plain]
        array["x"] = plain / 4
        array["y"] = np.stack([plain, -plain], axis=1)
    elif array.dtype.kind in "SU":
        array[:] = [f"{'ab c'[number % 4]}{number % 7}" for number in plain]
    elif array.dtype.kind == "V":
        array = np.frombuffer((np.arange(count * array.itemsize) % 251).astype("u1").tobytes(), dtype)
    elif array.dtype.kind == "M":
        array[:] = plain.astype("m8[h]").astype("m8[ns]") + np.datetime64("2026-01-01", "ns")
    else:
        array[:] = plain % 2 if array.dtype.kind == "b" else plain % 100
    return array.reshape(shape)


def od_numbers(text):
    """What od printed, as numbers; without the offsets."""
    words = [word for line in text.splitlines() for word in line.split()[1:]]
    return np.array([float(word) for word in words])


def first_row(array, most=16):
    row = array
    while row.ndim > 1:
        row = row[0]
    return row[:most] if row.ndim else row


def check_command(what, printed, array):
    """What a command printed is what NumPy has."""
    target = array["x"] if array.dtype.names else array
    row = first_row(target)
    is_number = target.dtype.kind in "iufb"
    if what == "NumPy, on the file itself":
        assert printed == f"{array[0] if array.ndim else array}\n"
    elif what == "NumPy":
        assert printed == f"{first_row(target)}\n"
    elif what == "the start of its first row, with no mount" and is_number:
        assert np.array_equal([float(word) for word in printed.split()], row.ravel().astype("f8"))
    elif what == "the start of its first row" and is_number and target.dtype.str[1:] != "f2":
        assert np.array_equal(od_numbers(printed), row.ravel().astype("f8"))
    elif what == "the start of its first row" and target.dtype.kind == "c":
        assert np.array_equal(od_numbers(printed), row.astype("c16").ravel().view("f8"))
    elif what == "its first column, a number a line" and is_number:
        assert np.array_equal([float(word) for word in printed.split()], target[:5, 0].astype("f8"))
    elif what == "the mean of its first row, of at most 1000 numbers":
        assert float(printed) == pytest.approx(first_row(target, 1000).astype("f8").mean(), rel=1e-4)
    elif what == "all that is known of it":
        assert json.loads(printed)["dtype"]
    elif what in {"a mount of it", "the end of the mount"}:
        assert printed == ""
    else:
        assert printed, what


def run_commands(desk, path, array, *, expected=()):
    """Runs all commands for an array, in their order; gives what they do."""
    folder, how = desk
    done = []
    with cleared(folder / "mnt"):
        for entry in facts(path, cwd=folder)["commands"]:
            what, command = entry["what"], entry["command"]
            done.append(what)
            if command.startswith("gnuplot") and not shutil.which("gnuplot"):
                continue
            answer = shell(command, **how)
            assert answer.returncode == 0, f"{command}: {answer.stderr.decode()}"
            check_command(what, answer.stdout.decode(), array)
    assert set(expected) <= set(done), done
    return done


ALWAYS = ["NumPy, on the file itself", "NumPy", "a mount of it", "the end of the mount"]


@pytest.mark.parametrize(
    ("dtype", "shape", "order"),
    [
        ("<f8", (4, 6), "C"),
        (">f4", (3, 2, 20), "F"),
        ("<f2", (5,), "C"),
        ("|u1", (1200,), "C"),
        (">i2", (2, 3, 2, 4), "C"),
        ("<i8", (), "C"),
        ("<c8", (3, 4), "F"),
        ("|b1", (2, 5), "C"),
        ("|S5", (6,), "C"),
        ("<U3", (2, 3), "C"),
        ("<M8[ns]", (4,), "C"),
        ("|V3", (3, 2), "C"),
        (RECORD, (5,), "C"),
        (RECORD, (2, 3), "F"),
    ],
    ids=str,
)
def test_the_commands_are_true(desk, dtype, shape, order):
    folder, _ = desk
    array = np.asarray(numbers(dtype, shape), order=order)
    save(folder / "data/it's (1).npy", array)
    run_commands(desk, "data/it's (1).npy", array, expected=ALWAYS)
    # And of an array that is called by its name in a folder.
    if array.ndim == 2:
        shutil.move(folder / "data/it's (1).npy", folder / "data/a.npy")
        run_commands(desk, "data/a", array, expected=[*ALWAYS, "all that is known of it"])


def test_the_commands_of_an_array_that_is_neither_in_c_nor_in_fortran_order(desk):
    folder, _ = desk
    whole = numbers("<i4", (6, 10))
    (folder / "data/x.bin").write_bytes(whole.tobytes())
    (folder / "data/x.bin.toml").write_text('dtype = "i4"\nshape = "3x5"\noffset = 200\nstrides = "-80x8"\n')
    array = whole[5::-2, ::2]
    run_commands(desk, "data/x.bin", array, expected=ALWAYS)
    text = said(folder / "data/x.bin")
    assert lines(text)["strides"] == "-80 8" and lines(text)["order"] == "strided"
    assert lines(text)["bytes"] == "40 to 236 of the file"


def test_the_commands_of_an_array_in_pieces(desk):
    h5py = pytest.importorskip("h5py")
    folder, _ = desk
    array = numbers("<f4", (10, 7))
    with h5py.File(folder / "data/run.h5", "w") as file:
        file.create_dataset("group/x", data=array, chunks=(4, 3))
    done = run_commands(desk, "data/run.h5/group/x", array, expected=["NumPy", "a mount of it"])
    assert "NumPy, on the file itself" not in done
    text = lines(said(folder / "data/run.h5/group/x"))
    assert text["pieces"] == "3x3 of shape 4x3 each"
    assert facts(folder / "data/run.h5/group/x")["chunks"] == [4, 3]


def test_the_commands_of_a_mounted_array(desk):
    folder, how = desk
    array = numbers("<f8", (4, 6))
    save(folder / "data/a.npy", array)
    with mounted(folder / "data") as mnt:
        found = facts(mnt / "a")
        done = [entry["what"] for entry in found["commands"]]
        assert "a mount of it" not in done and "NumPy" in done
        for entry in found["commands"]:
            if entry["command"].startswith("gnuplot") and not shutil.which("gnuplot"):
                continue
            answer = shell(entry["command"], **how)
            assert answer.returncode == 0, answer.stderr.decode()
            check_command(entry["what"], answer.stdout.decode(), array)


# --- facts


def test_every_fact_is_told(source):
    array = np.asfortranarray(numbers(">f4", (3, 40, 50)))
    file = save(source / "a.npy", array)
    text = said(file.path)
    told = lines(text)
    assert told["format"] == "npy" and told["name"] == "a"
    assert told["dtype"] == ">f4: a float, 4 bytes, big-endian"
    assert told["shape"] == "3x40x50: 3 axes, 6000 elements"
    assert told["size"] == "23K: 24000 bytes"
    assert told["bytes"] == f"{file.offset} to {file.offset + 24000} of the file"
    assert told["order"].startswith("F: ") and told["strides"] == "4 12 480"
    assert told["file"] == str(file.path.resolve()) and told["writable"] == "yes"


def test_json_is_info_json_and_more(source):
    save(source / "a.npy", numbers("<u2", (2, 5, 3)))
    found = facts(source / "a")
    with mounted(source) as mnt:
        info = json.loads(mnt.read("a/info.json"))
        views = found.pop("views")
        assert set(found) - set(info) == {"itemsize", "bytes", "commands"}
        assert {key: found[key] for key in info} == info
        assert (found["itemsize"], found["bytes"]) == (2, 60)
        # The forms of the parts are those that there are.
        assert views["whole"] == info["forms"]
        for view, path in {"plane": "row/0", "row": "slice/0,0"}.items():
            forms = ["raw", "npy", "txt", "csv", "json", "pgm", "ppm", "pfm", "bmp", "png", "tif", "wav", "au", "fits", "nii", "nrrd", "mat", "vrt"]
            assert views[view] == [form for form in forms if (mnt / f"a/{path}.{form}").exists()], view
    assert "tif" in views["plane"] and "tif" not in views["row"]


def test_attributes_axes_and_scale(scratch):
    h5py = pytest.importorskip("h5py")
    with h5py.File(scratch / "t.h5", "w") as file:
        packed = file.create_dataset("packed", data=np.arange(24, dtype=">i2").reshape(4, 6))
        packed.attrs.update({"scale_factor": 0.5, "add_offset": 273.0, "_FillValue": np.int16(7), "units": "K"})
        for axis, name in enumerate(["time", "lat"]):
            packed.dims[axis].label = name
    told = lines(said(scratch / "t.h5/packed"))
    assert told["value"] == "stored * 0.5 + 273.0, and NaN for missing values, in <f8"
    assert 'units: "K"' in said(scratch / "t.h5/packed")
    found = facts(scratch / "t.h5/packed")
    assert found["physical"] == {"dtype": "<f8", "scale": 0.5, "offset": 273.0, "missing": 1}
    if "dims" in found:
        assert told["axes"] == "0 time, 1 lat"


def test_why_an_array_is_read_only(scratch):
    np.savez(scratch / "a.npz", x=np.arange(3))
    assert lines(said(scratch / "a.npz/x"))["writable"].startswith("no: ")


# --- containers and folders


def test_containers_and_folders_list_what_they_hold(source):
    h5py = pytest.importorskip("h5py")
    with h5py.File(source / "run.h5", "w") as file:
        for name in ["g/x", "g/y", "z"]:
            file[name] = np.arange(3)
    save(source / "a.npy", numbers("<f8", (2,)))
    for path, names in {
        "run.h5": ["run/g/x", "run/g/y", "run/z"],
        "run.h5/g": ["run/g/x", "run/g/y"],
        "run/g": ["run/g/x", "run/g/y"],
        "": ["a", "run/g/x", "run/g/y", "run/z"],
    }.items():
        title, _, *rows = said(source / path).splitlines()
        assert title.endswith(f": {len(names)} arrays")
        assert [row.split()[0] for row in rows] == names
        assert [entry["path"] for entry in json.loads(said("--json", source / path))] == names
    with mounted(source) as mnt:
        assert [row.split()[0] for row in said(mnt / "run/g").splitlines()[2:]] == ["run/g/x", "run/g/y"]


def test_several_arrays_in_their_order(source):
    for name in ["b", "a"]:
        save(source / f"{name}.npy", numbers("<f8", (2,)))
    text = said(source / "b.npy", source / "a.npy")
    assert re.findall(r"^(/.*)$", text, re.MULTILINE) == [str(source / "b.npy"), str(source / "a.npy")]
    assert [entry["path"] for entry in json.loads(said("--json", source / "b.npy", source / "a"))] == ["b", "a"]


def test_described_on_the_command_line(source):
    (source / "x.bin").write_bytes(np.arange(6, dtype="<f4").tobytes())
    found = facts("--array", "dtype=f4,shape=2x3", source / "x.bin")
    assert (found["shape"], found["format"]) == ([2, 3], "raw")
    # A mount would need the description as well.
    assert [entry["what"] for entry in found["commands"]] == ["NumPy, on the file itself"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("temperatur", ["holds no array `temperatur`", "did you mean temperature?"]),
        ("missing/x", ["holds no array `missing`", "afbfs ls"]),
        ("sick", ["sick.npy: "]),
        ("sick.npy", ["sick.npy: "]),
        ("temperature/row/3", ["`temperature` is an array", "afbfs expr"]),
        ("text", ["text"]),
    ],
)
def test_what_is_no_array_is_named(source, path, words):
    save(source / "temperature.npy", numbers("<f8", (5,)))
    (source / "sick.npy").write_bytes(b"no array")
    (source / "text").write_text("hello")
    answer = afbfs("info", source / path)
    assert (answer.returncode, answer.stdout) == (1, b"")
    message = answer.stderr.decode()
    assert message.startswith("afbfs: ") and message.count("\n") == 1
    for word in words:
        assert word in message, message


def test_the_examples_of_the_help_are_true(desk):
    folder, how = desk
    for name, dtype in {"a": "<f8", "hill": "<f4", "log": RECORD}.items():
        save(folder / f"data/{name}.npy", numbers(dtype, (4, 6)))
    examples = re.findall(r"^  (afbfs info .*)$", said("--help"), re.MULTILINE)
    assert len(examples) >= 3
    for line in examples:
        done = shell(line, **how)
        assert (done.returncode, done.stderr) == (0, b""), line
        assert done.stdout, line
