"""Running the programs that people use, and arrays for them."""

import os
import shutil
import subprocess

import numpy as np
import pytest

# The programs that a test did not find.
MISSING = set()

INTEGERS = ["u1", "i1", "<u2", ">u2", "<i2", ">i2", "<u4", ">u4", "<i4", ">i4"]
FLOATS = ["<f4", ">f4", "<f8", ">f8"]


def needs(*names):
    """Ends a test whose program is missing: skipped, but a failure under scripts/test-tools and where CI=true."""
    for name in names:
        if shutil.which(name):
            continue
        MISSING.add(name)
        if os.environ.get("AFBFS_TOOLS") == "all" or os.environ.get("CI") == "true":
            pytest.fail(f"{name} is missing, and every program is to be tested")
        pytest.skip(f"{name} is missing")


def attempt(script, *arguments, cwd=None, timeout=100):
    """Runs lines of bash, in which $1, $2, ... are the arguments."""
    command = ["bash", "-euo", "pipefail", "-c", script, "bash", *map(os.fspath, arguments)]
    environment = os.environ | {"LC_ALL": "C.UTF-8"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, timeout=timeout, check=False)


def sh(script, *arguments, cwd=None):
    """The same, which must succeed; gives what it prints."""
    done = attempt(script, *arguments, cwd=cwd)
    assert done.returncode == 0, f"{script}: {done.stderr.decode(errors='replace')}"
    return done.stdout.decode(errors="replace")


def numbers(text, dtype="f8"):
    """A table of numbers as a program printed it."""
    return np.array([line.replace(",", " ").split() for line in text.splitlines()], dtype)


def name_of(dtype, order):
    return np.dtype(dtype).str.replace("<", "l").replace(">", "b").replace("|", "") + order


def save(folder, array, name):
    np.save(folder / f"{name}.npy", array)
    return name, array


def small(folder, rng, dtypes, shape):
    """Arrays of numbers that every program adds without rounding, in both orders of axes:  [(name, array)]"""
    found = []
    for dtype in dtypes:
        kind, size = np.dtype(dtype).kind, np.dtype(dtype).itemsize
        low, high = {"u": (0, 250), "i": (-120, 120), "f": (-4000, 4000)}[kind]
        if size > 1 and kind != "f":
            low, high = 100 * low, 100 * high
        values = rng.integers(low, high, shape) / (4 if kind == "f" else 1)
        found += [save(folder, np.array(values.astype(dtype), order=order), name_of(dtype, order)) for order in "CF"]
    return found


def any_values(rng, dtype, shape):
    """Numbers from the whole range of integers, or floats of many sizes."""
    dtype = np.dtype(dtype)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return rng.integers(info.min, info.max, shape, dtype=dtype.newbyteorder("="), endpoint=True).astype(dtype)
    return (rng.normal(size=shape) * 10.0 ** rng.integers(-12, 12, shape)).astype(dtype)


def wide(folder, rng, dtypes, shape):
    """Arrays of such numbers, in both orders of axes:  [(name, array)]"""
    arrays = [(dtype, order, any_values(rng, dtype, shape)) for dtype in dtypes for order in "CF"]
    return [save(folder, np.array(values, order=order), name_of(dtype, order)) for dtype, order, values in arrays]


def native(array):
    return array.astype(array.dtype.newbyteorder("="))


def close(found, wanted, rtol=None):
    """The same numbers, but for the last digit of a program that rounds; NaN where NaN is wanted."""
    rtol = rtol or (2e-7 if np.asarray(wanted).dtype.str[1:] == "f4" else 1e-14)
    found, wanted = np.asarray(found, "f8"), np.asarray(wanted, "f8")
    return found.shape == wanted.shape and np.allclose(found, wanted, rtol=rtol, atol=0, equal_nan=True)
