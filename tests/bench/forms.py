"""Forms and conversions: against the stored bytes, against NumPy, and text against programs that write and read it."""

import os
import shutil
import subprocess

import numpy as np

from lab import MIB, buffer, compare, read_through, timed

NUMBERS = 10_000_000
CONVERSIONS = [
    ("swapped", "f8", "f8"),
    ("numbers", "f8be", ">f8"),
    ("single", "f8", "f8"),
    ("short", "f4", "f4"),
    ("short", "i4", "i4"),
    ("half", "f4", "f4"),
]


def measure(lab):
    source = lab.scratch / "forms"
    source.mkdir()
    numbers = np.random.default_rng(1).normal(size=NUMBERS // 10 if lab.quick else NUMBERS)
    arrays = {
        "numbers": numbers,
        "target": np.zeros_like(numbers),
        "swapped": numbers.astype(">f8"),
        "single": numbers.astype("f4"),
        "short": (numbers * 1000).astype("i2"),
        "half": numbers.astype("f2"),
        "picture": np.random.default_rng(1).integers(0, 255, (8000, 8000), dtype="u1"),
    }
    for name, array in arrays.items():
        np.save(source / f"{name}.npy", array)
    huge = np.lib.format.open_memmap(source / "huge.npy", "w+", "f8", (100 << 27,))
    del huge
    with lab.mounted(source) as mnt:
        binary(lab, mnt)
        conversions(lab, mnt, source)
        text(lab, mnt, source, numbers)
        ends(lab, mnt)
    shutil.rmtree(source)


def reader(mnt, name, memory):
    """Reads a file of the mount from its start to its end."""

    def read():
        with mnt.open(name) as fd:
            read_through(fd, os.fstat(fd).st_size, memory, MIB)

    return read


def binary(lab, mnt):
    memory = buffer(MIB)
    for name, forms in [("numbers", ["npy", "wav"]), ("picture", ["pgm", "tif", "bmp"])]:
        sides = {"data": reader(mnt, f"{name}/data", memory)}
        sides |= {form: reader(mnt, f"{name}/data.{form}", memory) for form in forms}
        times = compare(sides, 3 if lab.quick else 7, (lab.table, f"forms of {name}", 1))
        for form in forms:
            goal = None if form == "bmp" else 0.95
            what = f"data.{form}: speed / data"
            if goal:
                lab.table.at_least(what, times["data"] / times[form], goal)
            else:
                lab.table.row(f"{what} (rows in reverse order, and padded)", "", times["data"] / times[form])


def conversions(lab, mnt, source):
    memory = buffer(MIB)
    worst = {}
    for name, folder, dtype in CONVERSIONS:
        path = source / f"{name}.npy"
        sides = {
            "as": reader(mnt, f"{name}/as/{folder}/data", memory),
            "data": reader(mnt, f"{name}/data", memory),
            "read": lambda path=path, dtype=dtype: np.load(path).astype(dtype),
            "mapped": lambda path=path, dtype=dtype: np.load(path, mmap_mode="r").astype(dtype),
        }
        times = compare(sides, 3 if lab.quick else 7, (lab.table, f"{name}/as/{folder}/data", 1))
        for peer in ("read", "mapped"):
            worst[peer] = min(worst.get(peer, (9e9, "")), (times[peer] / times["as"], f"{name} to {folder}"))
        floor = times["data"] * np.dtype(dtype).itemsize / np.load(path, mmap_mode="r").dtype.itemsize
        worst["floor"] = min(worst.get("floor", (9e9, "")), (floor / times["as"], f"{name} to {folder}"))
    figure, which = worst["read"]
    lab.table.at_least(f"as/, byte swap and widening, worst {which}: speed / numpy.load and astype", figure, 0.8)
    figure, which = worst["mapped"]
    lab.table.row(f"  the same, worst {which}: speed / astype of a mapped array", "", figure)
    figure, which = worst["floor"]
    lab.table.row(f"  the same, worst {which}: speed / as many stored bytes through the mount", "", figure)


def text(lab, mnt, source, numbers):
    memory = buffer(MIB)
    copy = lab.scratch / "numbers.txt"
    shutil.copyfile(mnt / "numbers/data.txt", copy)

    def write():
        subprocess.run(["cp", copy, mnt / "target/data.txt"], check=True)

    sides = {"read": reader(mnt, "numbers/data.txt", memory), "write": write}
    times = compare(sides, 3, (lab.table, f"text of {len(numbers)} float64", 1))
    assert np.array_equal(np.load(source / "target.npy"), numbers)
    part = numbers[: len(numbers) // 10]
    savetxt = timed(lambda: np.savetxt(os.devnull, part)) * len(numbers) / len(part)
    od = timed(lambda: subprocess.run(f"od -An -t f8 -v '{mnt / 'numbers/data'}' >{os.devnull}", shell=True, check=True))
    loadtxt = timed(lambda: np.loadtxt(copy))
    lab.table.at_least("data.txt of float64, read: speed / numpy.savetxt", savetxt / times["read"], 15)
    lab.table.at_least("  the same: speed / od -An -t f8", od / times["read"], 4)
    lab.table.at_least("data.txt written: speed / numpy.loadtxt", loadtxt / times["write"], 10)
    copy.unlink()


def ends(lab, mnt):
    """The last kilobyte of a text of 100 GiB of numbers, against the first."""
    with mnt.open("huge/data.txt") as fd:
        last = os.fstat(fd).st_size - 1024
        sides = {"first": lambda: [os.pread(fd, 1024, 0) for _ in range(1000)], "last": lambda: [os.pread(fd, 1024, last) for _ in range(1000)]}
        times = compare(sides, 3, (lab.table, "a kilobyte of the text of 100 GiB", 1000))
    lab.table.at_most("the last kilobyte of the text of 100 GiB: time / the first", times["last"] / times["first"], 1.2)
