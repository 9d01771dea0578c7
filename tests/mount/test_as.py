"""`as/DTYPE/`: every element converted, read and written, as NumPy and ml_dtypes convert."""

import errno
import functools
import itertools
import json
import mmap
import os

import h5py
import numpy as np
import pytest
import segyio
import zarr

from elements import ALL, SMALL, STORED, TYPES, checked, converted, is_same, numbers, safetensors, saved
from harness import eventually, mounted, refused, run, shell

def test_every_pair_is_what_numpy_makes_of_it(source, rng):
    arrays = saved(source, rng)
    with mounted(source) as mnt:
        for (name, array), wanted in itertools.product(arrays.items(), ALL):
            found = checked(mnt / name / "as" / wanted / "data")
            assert is_same(found, converted(array, wanted), wanted), f"{name} as {wanted}"


def test_every_bit_of_small_floats(source):
    tensors = {}
    for key, name in STORED.items():
        bits = np.arange(2 ** (8 * np.dtype(SMALL[name]).itemsize), dtype=f"u{np.dtype(SMALL[name]).itemsize}")
        tensors[name] = (key, bits.view(SMALL[name]))
    safetensors(source / "s.safetensors", tensors)
    np.save(source / "h.npy", np.arange(65536, dtype="u2").view("f2"))
    with mounted(source) as mnt:
        for name, (_, array) in tensors.items():
            for wanted in ["f4", "f8be", "f2", "i4", "u1", "bool", *SMALL]:
                found = (mnt / "s" / name / "as" / wanted / "data").read_bytes()
                exact = converted(np.asarray(array).astype("f4"), wanted)
                if wanted == name:
                    exact = array.tobytes()
                assert is_same(found, exact, wanted), f"{name} as {wanted}"
        half = np.arange(65536, dtype="u2").view("f2")
        for wanted in ["f4", "f8", *SMALL]:
            assert is_same((mnt / "h" / "as" / wanted / "data").read_bytes(), converted(half, wanted), wanted), wanted


PATHS = {
    "as/{}/data": "a", "as/{}/row/3": "a[3]", "as/{}/row/-1": "a[-1]", "as/{}/col/2": "a[:, 2]", "as/{}/row/2:7:2": "a[2:7:2]",
    "as/{}/axis/1/5:1:-1": "a[:, 5:1:-1]", "as/{}/slice/::2,::-3": "a[::2, ::-3]", "as/{}/slice/3,4": "a[3, 4]", "as/{}/slice/0:0": "a[0:0]",
    "as/{}/range/5:50": "a.ravel()[5:50]", "as/{}/range/60:3:-7": "a.ravel()[60:3:-7]", "as/{}/T/data": "a.T", "as/{}/T/row/1": "a.T[1]",
    "T/as/{}/row/2:4": "a.T[2:4]", "T/as/{}/range/3:40:5": "a.T.ravel()[3:40:5]",
}


def test_the_whole_tree_below(source, rng):
    names = ["i2be", "f8", "u4", "c8be", "bool"]
    arrays = {name: array for name, array in saved(source, rng).items() if name in names}
    with mounted(source) as mnt:
        for (name, a), wanted, (path, text) in itertools.product(arrays.items(), [*names, "f4be", "bf16", "i3be", "ibm32"], PATHS.items()):
            found = checked(mnt / name / path.format(wanted))
            assert is_same(found, converted(eval(text), wanted), wanted), f"{name}/{path.format(wanted)}"
        record = np.zeros((4, 3), [("x", ">i2"), ("y", "<f8", (2,)), ("z", "<c8")])
        record["x"], record["y"], record["z"] = numbers(rng, ">i2", (4, 3)), numbers(rng, "<f8", (4, 3, 2)), numbers(rng, "<c8", (4, 3))
        np.save(source / "r.npy", record)
        for field, wanted in itertools.product("xyz", ["f4", "i4be", "c16", "u1"]):
            found = checked(mnt / "r/field" / field / "as" / wanted / "data")
            assert is_same(found, converted(record[field], wanted), wanted), (field, wanted)
            found = checked(mnt / "r/field" / field / "T/as" / wanted / "row/1")
            assert is_same(found, converted(record[field].T[1], wanted), wanted), (field, wanted)
        assert is_same(mnt.read("r/field/z/field/imag/as/f8be/data"), converted(record["z"].imag, "f8be"), "f8be")
        assert not (mnt / "r/as/f4").exists() and not (mnt / "r/as").exists()


def test_every_offset_and_length(source, rng):
    np.save(source / "a.npy", numbers(rng, ">f4", (5, 7)))
    with mounted(source) as mnt:
        for wanted, path in itertools.product(["i3", "f8be", "c16", "u1", "c32"], ["data", "col/3", "slice/::-1,::2", "range/30:2:-3"]):
            content = checked(mnt / "a/as" / wanted / path)
            with mnt.open(f"a/as/{wanted}/{path}") as fd:
                for at in range(len(content) + 2):
                    for length in [1, 2, 7, 23, 4096]:
                        assert os.pread(fd, length, at) == content[at : at + length], (wanted, path, at, length)


def test_large_arrays_are_read_in_pieces(source, rng):
    array = rng.integers(-(2**31), 2**31, (700, 1001), dtype="<i4")
    np.save(source / "a.npy", array)
    with mounted(source) as mnt:
        for wanted in ["f8", "i2be", "u1", "c16", "i3"]:
            assert (mnt / "a/as" / wanted / "data").read_bytes() == converted(array, wanted), wanted
            found = run("dd", f"if={mnt / 'a/as' / wanted / 'T/data'}", "bs=100003", "status=none").stdout
            assert found == converted(array.T, wanted), wanted


@pytest.mark.parametrize("whole_file", [False, True])
def test_what_is_written_back_changes_no_byte(source, rng, whole_file):
    arrays = saved(source, rng, (6, 5))
    # Truth values that are neither 0 nor 1, and every NaN.
    np.save(source / "bool.npy", np.frombuffer(rng.bytes(30), "?").reshape(6, 5))
    for name in ["f2", "f4be", "f8", "c8"]:
        dtype = np.dtype(TYPES[name])
        np.save(source / f"{name}.npy", np.frombuffer(rng.bytes(30 * dtype.itemsize), dtype).reshape(6, 5))
    safetensors(source / "s.safetensors", {
        key: (key, np.frombuffer(rng.bytes(30 * np.dtype(SMALL[name]).itemsize), SMALL[name]).reshape(6, 5)) for key, name in STORED.items()})
    files = {name: f"{name}.npy" for name in arrays} | {f"s/{key}": "s.safetensors" for key in STORED}
    with mounted(source) as mnt:
        for (name, file), wanted in itertools.product(files.items(), ALL):
            before = (source / file).read_bytes()
            for path in ["data", "T/data", "slice/::-1,1::2"]:
                view = mnt / name / "as" / wanted / path
                content = view.read_bytes()
                if whole_file:
                    view.write_bytes(content)
                else:
                    with open(view, "r+b", buffering=0) as out:
                        for at in range(0, len(content), 37):
                            assert os.pwrite(out.fileno(), content[at : at + 37], at) == len(content[at : at + 37])
                assert (source / file).read_bytes() == before, f"{name} as {wanted}, {path}"


def test_any_offset_and_length_is_written(source, rng):
    array = np.frombuffer(rng.bytes(8 * 35), ">i8").reshape(5, 7).copy()
    np.save(source / "a.npy", array)
    views = {"data": lambda a: a, "col/2": lambda a: a[:, 2], "slice/::-2,::3": lambda a: a[::-2, ::3], "T/data": lambda a: a.T,
             "range/3:30": lambda a: a.reshape(-1)[3:30]}
    with mounted(source) as mnt:
        for path, view in views.items():
            for wanted in ["i4", "u2be", "i3"]:
                size = int(wanted[1])
                for _ in range(60):
                    content = bytearray((mnt / "a/as" / wanted / path).read_bytes())
                    assert bytes(content) == converted(view(array), wanted)
                    before = bytes(content)
                    with mnt.open(f"a/as/{wanted}/{path}", os.O_WRONLY) as fd:
                        for _ in range(rng.integers(1, 5)):
                            at = int(rng.integers(0, len(content)))
                            data = rng.bytes(int(rng.integers(1, min(30, len(content) - at) + 1)))
                            assert os.pwrite(fd, data, at) == len(data)
                            content[at : at + len(data)] = data
                    part = view(array)
                    flat = part.ravel().tolist()
                    for k in range(part.size):
                        new = bytes(content[k * size : k * size + size])
                        if new != before[k * size : k * size + size]:
                            order = "big" if wanted.endswith("be") else "little"
                            flat[k] = int.from_bytes(new, order, signed=wanted[0] == "i")
                    part[...] = np.array(flat, "i8").reshape(part.shape)
                    assert np.load(source / "a.npy").tobytes() == array.tobytes(), (path, wanted)


def test_dd_in_blocks_that_split_elements(source, scratch, rng):
    np.save(source / "a.npy", np.zeros((40, 3), ">f4"))
    new = rng.normal(size=(40, 3)).astype("f4")
    with mounted(source) as mnt:
        for wanted, block in itertools.product(["f8", "c16be", "f4"], [1, 3, 5, 7, 100]):
            np.save(source / "a.npy.new", new)
            (scratch / "new").write_bytes(converted(new, wanted))
            outcome = run("dd", f"if={scratch / 'new'}", f"of={mnt / 'a/as' / wanted / 'data'}", f"bs={block}", "conv=notrunc", "status=none")
            assert outcome.returncode == 0, outcome.stderr
            assert np.array_equal(np.load(source / "a.npy"), new), (wanted, block)
            new = -new[::-1] * np.float32(1.5)
        # The last byte first.
        content = converted(new, "f8be")
        with mnt.open("a/as/f8be/data", os.O_WRONLY) as fd:
            for at in range(len(content) - 1, -1, -1):
                os.pwrite(fd, content[at : at + 1], at)
        assert np.array_equal(np.load(source / "a.npy"), new)


def test_an_element_in_two_parts_is_refused_with_the_second(source):
    np.save(source / "a.npy", np.ones(4, "u1"))
    with mounted(source) as mnt:
        bytes_of = np.float64([300.0]).tobytes()
        with mnt.open("a/as/f8be/data", os.O_WRONLY) as fd:
            os.pwrite(fd, bytes_of[::-1][:3], 8)
            with refused("ERANGE"):
                os.pwrite(fd, bytes_of[::-1][3:], 11)
            assert np.load(source / "a.npy").tolist() == [1, 1, 1, 1]
            # What it is written as next is what counts.
            os.pwrite(fd, np.array([5.0], ">f8").tobytes(), 8)
        assert np.load(source / "a.npy").tolist() == [1, 5, 1, 1]
        # One that stays incomplete, and does not fit: whoever closes the file is told.
        with refused("ERANGE"), mnt.open("a/as/f8be/data", os.O_WRONLY) as fd:
            os.pwrite(fd, bytes_of[::-1][:1], 16)
            os.pwrite(fd, b"\xff", 17)
        assert np.load(source / "a.npy").tolist() == [1, 5, 1, 1]


def test_an_element_in_two_parts_by_two_programs(source, scratch):
    np.save(source / "a.npy", np.array([1, 2, 3], "u1"))
    with mounted(source) as mnt:
        (scratch / "new").write_bytes(np.array([200.0, 100.0, 50.0], ">f8").tobytes())
        for number in [1, 3, 9, 20]:
            np.save(source / "a.npy", np.array([1, 2, 3], "u1"))
            # The first closes what it had, and the second goes on where it stopped.
            script = f'{{ head -c {number}; cat; }} < "$1" > "$2"'
            outcome = shell(script, scratch / "new", mnt / "a/as/f8be/data")
            assert outcome.returncode == 0, outcome.stderr
            assert np.load(source / "a.npy").tolist() == [200, 100, 50], number
        new = np.array([7.0, 8.0], ">f8").tobytes()
        with mnt.open("a/as/f8be/data", os.O_WRONLY) as fd:
            # Of two that are not complete, one does not fit: whoever closes is told, and the other is stored.
            os.pwrite(fd, b"\x7e", 0)
            os.pwrite(fd, new[8:15], 8)
            with refused("ERANGE"):
                os.close(os.dup(fd))
            assert np.load(source / "a.npy").tolist() == [200, 8, 50]
            os.pwrite(fd, new[:1], 0)
            os.pwrite(fd, new[1:8], 1)
            assert np.load(source / "a.npy").tolist() == [7, 8, 50]
            # What is stored is not stored again.
            mnt.write("a/data", b"\x09", 1)
            os.close(os.dup(fd))
        assert np.load(source / "a.npy").tolist() == [7, 9, 50]


def test_truncation_and_gaps(source):
    np.save(source / "a.npy", np.arange(1, 21, dtype="<i2"))
    with mounted(source) as mnt:
        with mnt.open("a/as/f4/data", os.O_RDWR) as fd:
            os.ftruncate(fd, 10)
            assert os.fstat(fd).st_size == 80
            os.pwrite(fd, np.float32([7]).tobytes(), 40)
        wanted = np.arange(1, 21)
        wanted[3:10], wanted[10] = 0, 7
        found = np.load(source / "a.npy").tolist()
        # The element that the end lies in keeps the bytes before it.
        assert found[:2] == [1, 2] and found[3:] == wanted[3:].tolist()
        (mnt / "a/as/f4/range/:3").write_bytes(np.float32([4, 5, 6]).tobytes())
        assert np.load(source / "a.npy").tolist() == [4, 5, 6, *wanted[3:]]
        with mnt.open("a/as/f4/data", os.O_WRONLY) as fd, refused("ENOSPC", "EFBIG"):
            os.pwrite(fd, b"1234", 80)


OUT_OF_RANGE = [
    ("u1", "f8", [256.0, -1.0, np.nan, np.inf, 1e300]), ("i1", "i8", [128, -129, 2**62]), ("i8", "f4", [2.0**63, -(2.0**64)]),
    ("u8be", "i1", [-1]), ("f4", "f8", [3.5e38, -1e300]), ("f2", "f4", [65520.0]), ("f2be", "i4", [10**6]), ("bool", "u1", [2, 255]),
    ("bool", "f4", [0.5, np.nan]), ("f8", "c16", [1j, 1 + 1e-300j]), ("u2", "u4be", [65536]), ("c8", "c16", [1e39, 1e39j]),
]


@pytest.mark.parametrize(("stored", "wanted", "bad"), OUT_OF_RANGE)
def test_what_does_not_fit_is_refused_and_all_stays(source, stored, wanted, bad):
    array = np.ones((4, 6), TYPES[stored])
    np.save(source / "a.npy", array)
    before = (source / "a.npy").read_bytes()
    with mounted(source) as mnt:
        for number, path in itertools.product(bad, ["data", "col/3", "T/row/2"]):
            new = np.frombuffer((mnt / "a/as" / wanted / path).read_bytes(), TYPES[wanted]).copy()
            new[:] = 0
            new[len(new) // 2] = number
            with refused("ERANGE"):
                mnt.write(f"a/as/{wanted}/{path}", new.tobytes())
            assert (source / "a.npy").read_bytes() == before, path
        # And what fits is stored afterwards.
        mnt.write(f"a/as/{wanted}/data", bytes(24 * np.dtype(TYPES[wanted]).itemsize))
    assert not np.load(source / "a.npy").any()


@pytest.mark.parametrize("kind", ["zarr", "hdf5"])
def test_arrays_in_chunks(source, rng, kind):
    array = numbers(rng, ">i4", (23, 17))
    if kind == "zarr":
        made = zarr.create_array(source / "a", shape=array.shape, dtype=">i4", chunks=(5, 4), compressors=None, zarr_format=2, fill_value=0)
        made[...] = array
        path, load = "a", lambda: zarr.open_array(source / "a", mode="r")[...]
    else:
        with h5py.File(source / "h.h5", "w") as file:
            file.create_dataset("a", data=array, chunks=(5, 4))
        path = "h/a"

        def load():
            # The mount lets go of its lock a moment after the last close.
            with h5py.File(source / "h.h5", locking=False) as file:
                return file["a"][...]

    with mounted(source) as mnt:
        for wanted in ALL:
            content = checked(mnt / path / "as" / wanted / "data")
            assert is_same(content, converted(array, wanted), wanted), wanted
            assert is_same(mnt.read(f"{path}/as/{wanted}/T/row/3"), converted(array.T[3], wanted), wanted), wanted
            (mnt / path / "as" / wanted / "data").write_bytes(content)
            assert np.array_equal(load(), array), wanted
        new = rng.integers(-(2**31), 2**31, array.shape).astype("f8")
        (mnt / path / "as/f8be/T/data").write_bytes(converted(new.T, "f8be"))
        assert np.array_equal(load(), new)


def test_ibm_floats_of_segyio(source, rng):
    spec = segyio.spec()
    spec.format, spec.samples, spec.tracecount = 1, range(33), 20
    traces = (rng.normal(size=(20, 33)) * 10.0 ** rng.integers(-20, 20, (20, 33))).astype("f4")
    with segyio.create(source / "a.sgy", spec) as file:
        for number in range(20):
            file.header[number] = {115: 33, 117: 4000}
            file.trace[number] = traces[number]
        file.bin.update({3217: 4000, 3221: 33})
    with segyio.open(source / "a.sgy", ignore_geometry=True) as file:
        wanted = np.array([trace.copy() for trace in file.trace])
    with mounted(source) as mnt:
        view = mnt / "a/data/as/f4/data"
        found = np.frombuffer(view.read_bytes(), "<f4").reshape(20, 33)
        # segyio cuts off where it does not fit; ours is rounded.
        assert np.allclose(found, wanted, rtol=2**-20, atol=0)
        new = (rng.normal(size=(20, 33)) * 1000).astype("f4")
        view.write_bytes(new.tobytes())
        with segyio.open(source / "a.sgy", ignore_geometry=True) as file:
            assert np.allclose(np.array([trace.copy() for trace in file.trace]), new, rtol=2**-20, atol=0)


def test_names_facts_and_what_is_none(source, rng):
    np.save(source / "a.npy", numbers(rng, ">i2", (6, 4)))
    np.save(source / "s.npy", np.array(["x"]))
    with mounted(source) as mnt:
        assert os.listdir(mnt / "a/as") == []
        assert os.stat(mnt / "a/as/i2be/data").st_ino == os.stat(mnt / "a/data").st_ino
        for name in ["", "x", "f3", "i2 ", "S2", "U1", "M8[s]", "F4", "f4.npy"]:
            assert name == "" or not (mnt / "a/as" / name).exists(), name
        for path in ["a/as/f4/field/real", "a/as/f4/value", "s/as/f4", "a/as/f4/row/6", "a/as/f4/data.xyz", "a/as/f4/data.pgm"]:
            assert not (mnt / path).exists(), path
        for path in ["a/as/f4/as/f8/data", "a/as/f4/T/as/f8", "a/T/as/f4/T/as/f4", "a/as/f4/T/T"]:
            with refused("ELOOP"):
                os.stat(mnt / path)
        for name, dtype, element in [("f8", "<f8", None), ("f2be", ">f2", None), ("bf16", "|V2", "bf16"), ("u1", "|u1", None), ("ibm32", "|V4", "ibm32")]:
            folder = mnt / "a/as" / name
            facts = json.loads((folder / "info.json").read_text())
            assert (facts["dtype"], facts.get("element"), facts["shape"], facts["path"]) == (dtype, element, [6, 4], f"a/as/{name}")
            assert (folder / "dtype").read_text() == f"{dtype}\n"
            size = int((folder / "itemsize").read_text())
            assert os.getxattr(folder / "data", "user.afbfs.dtype") == dtype.encode()
            assert os.getxattr(folder / "row/1", "user.afbfs.itemsize") == str(size).encode()
            assert os.stat(folder / "row/1").st_size == 4 * size
            assert ("npy" in facts["forms"]) and ("vrt" not in facts["forms"])


def test_arrays_without_axes_or_elements_and_far_too_many(source):
    np.save(source / "none.npy", np.array(5, ">i2"))
    np.save(source / "empty.npy", np.zeros((3, 0), "<f4"))
    vast = {"zarr_format": 3, "node_type": "array", "shape": [2**60], "data_type": "uint8", "fill_value": 7, "codecs": [{"name": "bytes"}],
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4096]}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}}, "attributes": {}}
    (source / "vast").mkdir()
    (source / "vast/zarr.json").write_text(json.dumps(vast))
    with mounted(source) as mnt:
        assert checked(mnt / "none/as/f8be/data") == np.array(5.0, ">f8").tobytes()
        (mnt / "none/as/f4/data").write_bytes(np.float32(-7).tobytes())
        assert np.load(source / "none.npy") == -7 and float((mnt / "none/as/f4/data.txt").read_text()) == -7
        for path in ["as/i8/data", "as/i8/row/1", "as/i8/data.txt", "value/as/i2/T/data"]:
            assert checked(mnt / "empty" / path) == b""
            (mnt / "empty" / path).write_bytes(b"")
        # Twice as many bytes as a file can have.
        assert (mnt / "vast/as/u4/data").stat().st_size == 2**62
        for name in ["u8", "f8be", "c32"]:
            with refused("ENOENT"):
                os.stat(mnt / "vast/as" / name / "data")
        with mnt.open("vast/as/u4/data") as fd:
            assert os.pread(fd, 8, 2**62 - 8) == bytes([7, 0, 0, 0]) * 2


def test_forms_below(source, rng):
    array = rng.integers(0, 256, (5, 9)).astype(">f8")
    np.save(source / "a.npy", array)
    with mounted(source) as mnt:
        assert (mnt / "a/as/u1/data.pgm").read_bytes() == b"P5\n9 5\n255\n" + array.astype("u1").tobytes()
        assert np.array_equal(np.load(mnt / "a/as/i2be/T/row/2:4.npy"), array.T[2:4].astype(">i2"))
        assert np.array_equal(np.loadtxt(mnt / "a/as/u1/data.txt"), array)
        new = rng.integers(0, 256, (5, 9)).astype("u1")
        (mnt / "a/as/u1/data.pgm").write_bytes(b"P5 9 5 255\n" + new.tobytes())
        assert np.array_equal(np.load(source / "a.npy"), new)
        np.savetxt(mnt / "a/as/i4/col/2.txt", np.arange(5), fmt="%d")
        assert np.load(source / "a.npy")[:, 2].tolist() == [0, 1, 2, 3, 4]
        np.save(mnt / "a/as/u2be/row/1.npy", np.arange(9, dtype=">u2"))
        assert np.load(source / "a.npy")[1].tolist() == list(range(9))
        before = (source / "a.npy").read_bytes()
        np.save(source / "b.npy", np.zeros((2, 2), "u1"))
        with refused("ERANGE"):
            (mnt / "b/as/f4/data.txt").write_text("1 2\n3 256\n")
        assert not np.load(source / "b.npy").any() and (source / "a.npy").read_bytes() == before


def test_mappings(source, rng):
    array = rng.integers(-1000, 1000, (500, 30)).astype("<i4")
    np.save(source / "a.npy", array)
    with mounted(source) as mnt:
        for wanted in ["f8", "i3", "c16", "f2be"]:
            with mnt.open(f"a/as/{wanted}/data", os.O_RDWR) as fd:
                with mmap.mmap(fd, 0) as mapping:
                    assert mapping[:] == converted(array, wanted), wanted
                    array[100:200] += 1
                    array[499, 29] = 7
                    # Elements lie across the borders of pages.
                    mapping[:] = converted(array, wanted)
                    mapping.flush()
                assert np.array_equal(np.load(source / "a.npy"), array), wanted
        view = np.memmap(mnt / "a/as/f4be/T/data", ">f4", "r+", shape=(30, 500))
        view[3, :10] = 5
        view.flush()
        del view
        array[:10, 3] = 5
        assert np.array_equal(np.load(source / "a.npy"), array)


def test_mappings_see_what_other_views_write(source, rng):
    array = rng.integers(-1000, 1000, (300, 40)).astype("<i4")
    np.save(source / "a.npy", array)
    paths = {"as/f8/data": (lambda a: a, "f8"), "as/i2be/T/data": (lambda a: a.T, "i2be"), "as/i3/slice/::-1,3": (lambda a: a[::-1, 3], "i3"),
             "value/data": (lambda a: a, "f8"), "as/c8/range/5:9000:7": (lambda a: a.reshape(-1)[5:9000:7], "c8")}
    with mounted(source) as mnt:
        opened = {path: os.open(mnt / "a" / path, os.O_RDWR) for path in paths}
        mappings = {path: mmap.mmap(fd, 0) for path, fd in opened.items()}
        plain = os.open(mnt / "a/data", os.O_RDWR)
        mapped = mmap.mmap(plain, 0)
        try:
            for number in range(6):
                for path, (view, name) in paths.items():
                    assert mappings[path][:] == converted(view(array), name), (path, number)
                assert mapped[:] == array.tobytes(), number
                row = rng.integers(-1000, 1000, 40)
                array[number * 40 + 3] = row
                match number % 3:
                    case 0:
                        os.pwrite(plain, row.astype("<i4").tobytes(), (number * 40 + 3) * 160)
                    case 1:
                        mnt.write(f"a/as/f4be/row/{number * 40 + 3}", row.astype(">f4").tobytes())
                    case 2:
                        np.savetxt(mnt / f"a/as/i8/row/{number * 40 + 3}.txt", row, fmt="%d")
            # And what goes into a mapping is seen in all others.
            for path, (view, name) in paths.items():
                size = len(mappings[path]) // view(array).size
                number = int(rng.integers(0, 1000))
                view(array).flat[17] = number
                mappings[path][17 * size : 18 * size] = converted(np.array([number]), name)
                mappings[path].flush()
                assert np.load(source / "a.npy").tolist() == array.tolist(), path
                # A mapping reaches the file at once, and other mappings as soon as their pages are dropped.
                for other, (see, kind) in paths.items():
                    is_new = functools.partial(lambda at, now: mappings[at][:] == now, other, converted(see(array), kind))
                    eventually(is_new, f"{other} shows what was written through {path}")
        finally:
            for mapping in [*mappings.values(), mapped]:
                mapping.close()
            for fd in [*opened.values(), plain]:
                os.close(fd)


def test_mounts_that_are_read_only(source, rng):
    array = numbers(rng, "<f4", (3, 4))
    np.save(source / "a.npy", array)
    before = (source / "a.npy").read_bytes()
    with mounted(source, "--read-only") as mnt:
        assert is_same(mnt.read("a/as/f8/data"), converted(array, "f8"), "f8")
        for path in ["a/as/f8/data", "a/as/i2/row/1", "a/value/data", "a/value/as/f2/data", "a/as/f8/data.txt"]:
            with refused("EROFS", "EACCES"):
                os.close(os.open(mnt / path, os.O_WRONLY))
    assert (source / "a.npy").read_bytes() == before


def test_two_views_of_one_array_are_one(source, rng):
    np.save(source / "a.npy", np.zeros(10, "<i4"))
    with mounted(source) as mnt, mnt.open("a/as/f8/data", os.O_RDWR) as wide, mnt.open("a/as/i2/range/2:5", os.O_RDWR) as narrow:
        os.pwrite(wide, np.float64([1, 2, 3]).tobytes(), 16)
        assert np.frombuffer(os.pread(narrow, 6, 0), "<i2").tolist() == [1, 2, 3]
        os.pwrite(narrow, np.int16([-7]).tobytes(), 2)
        assert np.frombuffer(os.pread(wide, 80, 0), "<f8").tolist() == [0, 0, 1, -7, 3, 0, 0, 0, 0, 0]
        # A part of an element waits for the rest, or for the end.
        os.pwrite(wide, np.float64(9.0).tobytes()[6:], 6)
        os.pwrite(wide, np.float64(9.0).tobytes()[:6], 0)
        assert np.load(source / "a.npy")[0] == 9
        with pytest.raises(OSError) as error:
            os.pwrite(wide, np.float64(1e10).tobytes(), 0)
        assert error.value.errno == errno.ERANGE and np.load(source / "a.npy")[0] == 9
