"""`as/DTYPE/`: every element converted, read and written, as NumPy and ml_dtypes convert."""

import errno
import itertools
import json
import mmap
import os
import struct

import h5py
import ml_dtypes
import numpy as np
import pytest
import segyio
import zarr

from harness import mounted, refused, run

# Names in `as/`, and the types that they are in NumPy.
TYPES = {
    "bool": "?", "i1": "i1", "u1": "u1", "i2": "<i2", "i2be": ">i2", "u2": "<u2", "u2be": ">u2", "i4": "<i4", "i4be": ">i4", "u4": "<u4",
    "u4be": ">u4", "i8": "<i8", "i8be": ">i8", "u8": "<u8", "u8be": ">u8", "f2": "<f2", "f2be": ">f2", "f4": "<f4", "f4be": ">f4",
    "f8": "<f8", "f8be": ">f8", "c8": "<c8", "c8be": ">c8", "c16": "<c16", "c16be": ">c16",
}
SMALL = {
    "bf16": ml_dtypes.bfloat16, "f8_e4m3": ml_dtypes.float8_e4m3fn, "f8_e5m2": ml_dtypes.float8_e5m2,
    "f8_e4m3fnuz": ml_dtypes.float8_e4m3fnuz, "f8_e5m2fnuz": ml_dtypes.float8_e5m2fnuz, "f8_e8m0": ml_dtypes.float8_e8m0fnu,
    "f8_e3m4": ml_dtypes.float8_e3m4, "f8_e4m3_ieee": ml_dtypes.float8_e4m3,
}
# In safetensors, which have them.
STORED = {"BF16": "bf16", "F8_E4M3": "f8_e4m3", "F8_E5M2": "f8_e5m2", "F8_E8M0": "f8_e8m0", "F8_E4M3FNUZ": "f8_e4m3fnuz",
          "F8_E5M2FNUZ": "f8_e5m2fnuz"}
ALL = [*TYPES, *SMALL, "i3", "i3be", "u3", "ibm32", "ibm32le"]
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.5, -3.75, 255.0, 256.0, -129.0, 448.0, 1e5, -1e5, 3e9, -3e9, 1e19, -1e19, 1e30, -1e30,
           6e-5, 1e-40, np.nan, np.inf, -np.inf]


def is_float(dtype):
    return np.dtype(dtype).kind in "fcV" and np.dtype(dtype) != np.dtype("?")


def numbers(rng, dtype, shape):
    """Of every size, NaN and infinity among them; floats are such that 32 bits hold them, so that nothing is rounded twice."""
    dtype = np.dtype(dtype)
    count = int(np.prod(shape))
    with np.errstate(all="ignore"):
        if dtype.kind == "b":
            return (rng.random(shape) < 0.5).astype(dtype)
        if dtype.kind in "iu":
            bits = np.frombuffer(rng.bytes(count * dtype.itemsize), dtype).copy()
            bits[::3] %= 100
            return bits.reshape(shape)
        size = 10.0 ** rng.integers(-6, 12, count)
        floats = np.float32(rng.normal(size=count) * size)
        floats[rng.permutation(count)[: len(SPECIAL)]] = np.float32(SPECIAL)[:count]
        floats = floats.astype(dtype).reshape(shape)
        return floats + (floats.T.reshape(shape) * 1j).astype(dtype) if dtype.kind == "c" else floats


def whole(floats, low, high):
    """Floats as integers: towards zero, saturated, and 0 for NaN."""
    wide = np.trunc(np.nan_to_num(floats.astype(np.longdouble), nan=0, posinf=np.inf, neginf=-np.inf))
    return [int(min(max(number, low), high)) if np.isfinite(number) else (high if number > 0 else low) for number in wide.ravel()]


def ibm_bytes(floats, order):
    """The nearest IBM floats: the least exponent of 16 at which the mantissa has 24 bits."""
    found = []
    for number in np.float64(floats).ravel():
        bits = 0
        if np.isnan(number):
            number = 0.0
        elif not np.isfinite(number):
            bits = 0x7FFFFFFF
        else:
            for exponent in range(128):
                mantissa = int(np.rint(np.ldexp(abs(number), 24 - 4 * (exponent - 64)))) if abs(number) < 1e70 else 1 << 30
                if mantissa < 1 << 24:
                    bits = exponent << 24 | mantissa
                    break
        found.append(struct.pack(order + "I", bits | (1 << 31 if np.signbit(number) else 0)))
    return b"".join(found)


def converted(array, name):
    """The bytes of an array as another type."""
    array = np.asarray(array)
    with np.errstate(all="ignore"):
        real = array.real if array.dtype.kind == "c" else array
        if name in ("i3", "i3be", "u3"):
            low, high = (0, 2**24 - 1) if name == "u3" else (-(2**23), 2**23 - 1)
            integers = whole(real, low, high) if is_float(real.dtype) else [int(number) for number in real.ravel()]
            order = "big" if name.endswith("be") else "little"
            return b"".join((number & 0xFFFFFF).to_bytes(3, order) for number in integers)
        if name.startswith("ibm32"):
            return ibm_bytes(real.astype("f8"), "<" if name.endswith("le") else ">")
        if name in SMALL:
            single = real.astype("f8").astype("f4")
            if name == "f8_e8m0":
                # ml_dtypes takes what lies just above its least number for the second.
                single = np.where((single > 0) & (single < 1.5 * 2.0**-127), np.float32(2.0**-127), single)
            return single.astype(SMALL[name]).tobytes()
        dtype = np.dtype(TYPES[name])
        if dtype.kind == "b":
            return (array.astype("c16") != 0).tobytes() if array.dtype.kind == "c" else (array != 0).tobytes()
        if dtype.kind in "iu" and is_float(real.dtype):
            info = np.iinfo(dtype)
            return np.array(whole(real.astype("f8"), int(info.min), int(info.max)), dtype).tobytes()
        if is_float(array.dtype) and array.dtype.kind == "V":
            array = array.astype("f4")
        return np.asarray(array if dtype.kind == "c" else real).astype(dtype).tobytes()


def is_same(found, wanted, name):
    """Equal bytes, but for what stands in a NaN."""
    if found == wanted:
        return True
    if len(found) != len(wanted) or not (name in SMALL or name in TYPES and np.dtype(TYPES[name]).kind in "fc"):
        return False
    dtype = np.dtype(SMALL.get(name) or TYPES[name])
    parts = np.dtype(f"{dtype.byteorder}f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype
    found, wanted = np.frombuffer(found, parts), np.frombuffer(wanted, parts)
    bits = f"u{parts.itemsize}"
    return bool(np.all((found.view(bits) == wanted.view(bits)) | (np.isnan(found) & np.isnan(wanted))))


def saved(folder, rng, shape=(9, 8)):
    """An array of each type of NumPy."""
    arrays = {name: numbers(rng, dtype, shape) for name, dtype in TYPES.items()}
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return arrays


def safetensors(path, tensors):
    """A file by hand, with types that NumPy has not."""
    header, at, data = {}, 0, b""
    for name, (dtype, array) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
        data += array.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def checked(path):
    """What a file holds, of which stat knows the size."""
    content = path.read_bytes()
    assert path.stat().st_size == len(content), path
    return content


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
