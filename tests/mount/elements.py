"""Elements of every type, and what NumPy and ml_dtypes make of them as another."""

import json
import struct

import ml_dtypes
import numpy as np

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
