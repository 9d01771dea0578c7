"""Streams: whole files, in requests of one size, and through programs."""

import os
import subprocess

from lab import CORES, MIB, at_once, buffer, compare, opened, read_through


def measure(lab):
    lab.warm()
    with lab.mounted() as mnt:
        requests(lab, mnt)
        readers(lab, mnt)
        programs(lab, mnt)
        growth(lab, mnt)
    with lab.mounted(None, "--cache", "pages") as mnt:
        whole(lab, mnt)
    cached(lab)


def whole(lab, mnt):
    """Where the view and the file are the same bytes: with `--cache pages`, which passes such files through."""
    size, memory = lab.raw.stat().st_size, buffer(MIB)
    with opened(lab.raw) as plain, mnt.open(f"{lab.raw.stem}/data") as view:
        sides = {
            "file": lambda: read_through(plain, size, memory, MIB),
            "mount": lambda: read_through(view, size, memory, MIB),
        }
        times = compare(sides, 7, (lab.table, "whole raw file, 1 MiB", size // MIB))
    lab.table.at_least("whole raw file, --cache pages: speed / the file itself", times["file"] / times["mount"], 0.95)


def requests(lab, mnt):
    """`data` of a .npy file, against a round trip and the same bytes of the file."""
    size, memory = 128 * MIB, buffer(MIB)
    with opened(lab.npy) as plain, mnt.open("big/data") as view, lab.empty_fuse() as zeros, opened(zeros) as empty:
        for request, name in [(MIB, "1 MiB"), (MIB // 8, "128 KiB")]:
            sides = {
                "file": lambda request=request: read_through(plain, size, memory, request, 128),
                "mount": lambda request=request: read_through(view, size, memory, request),
                "empty": lambda request=request: read_through(empty, size, memory, request),
            }
            count = size // request
            times = compare(sides, 5 if lab.quick else 11, (lab.table, f"data of .npy, requests of {name}", count))
            floor = times["file"] + count * lab.round_trip
            lab.table.at_most(f".npy data, {name}: time / (round trip + read of the file)", times["mount"] / floor, 1.15)
            lab.table.row("  the same: time / (empty FUSE + read of the file)", "", times["mount"] / (times["empty"] + times["file"]))


def readers(lab, mnt):
    """Two readers of halves, against one reader of the file itself."""
    half = lab.npy.stat().st_size // 2 // MIB * MIB
    memory = buffer(MIB)
    with opened(lab.npy) as plain, mnt.open("big/data") as view, lab.empty_fuse() as zeros, opened(zeros) as empty:
        one, two, bare = [], [], []
        for _ in range(3 if lab.quick else 7):
            one.append(at_once([lambda: read_through(plain, 2 * half, memory, MIB)]))
            two.append(at_once([lambda i=i: read_through(view, half, memory, MIB, i * half) for i in range(2)]))
            bare.append(at_once([lambda i=i: read_through(empty, half, memory, MIB, i * half) for i in range(2)]))
    one, two, bare = (sorted(times)[len(times) // 2] for times in (one, two, bare))
    lab.table.note(f"two readers, 1 MiB: file, one reader {2 * half / one / 1e9:.1f} GB/s, mount {2 * half / two / 1e9:.1f} GB/s")
    lab.table.at_least(".npy data, two readers: speed / one reader of the file", one / two, 0.8)
    lab.table.row("  an empty FUSE file system: the same figure", "", one / bare)


def programs(lab, mnt):
    """cat and cp, against dd with requests of 1 MiB."""
    rows = lab.side // 2
    slice_file = mnt / f"big/row/0:{rows}"
    target = lab.scratch / "copy"

    def run(*command):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    sides = {
        "cat": lambda: run("cat", slice_file),
        "dd": lambda: run("dd", f"if={slice_file}", "of=/dev/null", "bs=1M"),
        "cp": (lambda: target.unlink(missing_ok=True), lambda: run("cp", slice_file, target)),
        "dd to a file": (lambda: target.unlink(missing_ok=True), lambda: run("dd", f"if={slice_file}", f"of={target}", "bs=1M")),
    }
    times = compare(sides, 3 if lab.quick else 7, (lab.table, f"programs, {rows} rows", 1))
    target.unlink()
    lab.table.row("cat of a slice: speed / dd bs=1M", ">= 0.95", times["dd"] / times["cat"], times["dd"] / times["cat"] >= 0.95)
    ratio = times["dd to a file"] / times["cp"]
    lab.table.row("cp of a slice: speed / dd bs=1M", ">= 0.95", ratio, ratio >= 0.95)


def growth(lab, mnt):
    """Readers of different slices: throughput, against one of them."""
    width = lab.side // 8
    names = [f"big/slice/:,{i * width}:{(i + 1) * width}" for i in range(4)]
    size, memory = lab.side * width * 8, buffer(MIB)
    fds = [os.open(mnt / name, os.O_RDONLY) for name in names]
    times = {1: [], 2: [], 4: []}
    for _ in range(3 if lab.quick else 7):
        for count, list_of in times.items():
            list_of.append(at_once([lambda fd=fd: read_through(fd, size, memory, MIB) for fd in fds[:count]]))
    for fd in fds:
        os.close(fd)
    median = {count: sorted(list_of)[len(list_of) // 2] for count, list_of in times.items()}
    speed = {count: count / seconds for count, seconds in median.items()}
    lab.table.note("readers of different slices: " + ", ".join(f"{n}: {s * size / 1e9:.2f} GB/s" for n, s in speed.items()))
    lab.table.at_least("two readers of different slices: throughput / one", speed[2] / speed[1], 1.5 if CORES > 1 else 0.9)
    lab.table.at_least("four readers: throughput / two", speed[4] / speed[2], 1.5 if CORES > 3 else 0.9)


def cached(lab):
    """With --cache pages, read again."""
    size, memory = 128 * MIB, buffer(MIB)
    with lab.mounted(None, "--cache", "pages") as mnt, opened(lab.npy) as plain, mnt.open("big/data") as view:
        sides = {
            "file": lambda: read_through(plain, size, memory, MIB, 128),
            "mount": lambda: read_through(view, size, memory, MIB),
        }
        times = compare(sides, 5 if lab.quick else 11, (lab.table, "--cache pages, read again, 1 MiB", size // MIB))
    lab.table.at_least("--cache pages, read again: speed / the file itself", times["file"] / times["mount"], 1.2)
