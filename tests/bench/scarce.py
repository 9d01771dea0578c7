"""c = a + b of arrays that are larger than the memory that daemon and program may use together."""

import contextlib
import os
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np

from lab import MIB, Unavailable, forget, io_of, wait_for

LIMIT = 128 * MIB


def measure(lab):
    with group() as inside:
        add(lab, inside)


@contextlib.contextmanager
def group():
    """A memory group of 128 MiB, of version 2 or 1: its folder, and where its limit and events stand."""
    name = f"afbfs-bench-{os.getpid()}"
    for top, limit in [("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")]:
        folder = Path(top) / name
        try:
            folder.mkdir()
        except OSError:
            continue
        if not (folder / limit).exists():
            folder.rmdir()
            continue
        try:
            (folder / limit).write_text(str(LIMIT))
            yield folder
        finally:
            wait_for(lambda: not (folder / "cgroup.procs").read_text(), "the processes of the memory group end")
            folder.rmdir()
        return
    raise Unavailable("a memory cgroup cannot be made")


def killed_and_swapped(folder):
    """How many processes the kernel killed there, and how many bytes are swapped out."""
    events = folder / ("memory.events" if (folder / "memory.events").exists() else "memory.oom_control")
    killed = next(int(line.split()[1]) for line in events.read_text().splitlines() if line.startswith("oom_kill "))
    if (folder / "memory.swap.current").exists():
        return killed, int((folder / "memory.swap.current").read_text())
    swapped = [line.split()[1] for line in (folder / "memory.stat").read_text().splitlines() if line.startswith("swap ")]
    return killed, int(swapped[0]) if swapped else 0


def add(lab, folder):
    rows = 4096 if lab.quick else 8192
    source = lab.folder("sum-")
    names = [source / f"{name}.npy" for name in "abc"]
    random = np.random.default_rng(5)
    for name in names:
        array = np.lib.format.open_memmap(name, "w+", "f8", (rows, 4096))
        array[:] = random.random((1, 4096))
        array.flush()
        del array
    enter = ["sh", "-c", f"echo $$ >{folder}/cgroup.procs && exec \"$@\"", "sh"]
    program = [*enter, sys.executable, str(Path(__file__).with_name("add.py"))]

    def seconds(*arguments):
        done = subprocess.run([*program, *arguments], stdout=subprocess.PIPE, check=False)
        if done.returncode:
            raise RuntimeError(f"the program ended with {done.returncode}: {arguments[0]}")
        return float(done.stdout)

    ours, numpy, read = [], [], []
    for _ in range(1 if lab.quick else 3):
        forget(*names)
        with lab.mounted(source, wrap=enter) as mnt:
            ours.append(seconds("mount", *(mnt / f"{name}/data" for name in "abc")))
            read.append(io_of(mnt.pid, "read_bytes") / (rows * 4096 * 8))
            if mnt.pid not in [int(word) for word in (folder / "cgroup.procs").read_text().split()]:
                raise RuntimeError("the daemon is not in the memory group, or was killed")
        forget(*names)
        numpy.append(seconds("memmap", *names))
    killed, swapped = killed_and_swapped(folder)
    for name in names:
        name.unlink()
    source.rmdir()
    size = rows * 4096 * 8 // MIB
    lab.table.note(f"c = a + b, {size} MiB each, cold, in 128 MiB: mount {ours} s, numpy {numpy} s")
    ratio = statistics.median(numpy) / statistics.median(ours)
    lab.table.at_least(f"c = a + b, {size} MiB each, in 128 MiB of memory: speed / numpy.memmap", ratio, 0.8)
    lab.table.row("  bytes that afbfs read from disk / bytes of a and b", "", statistics.median(read) / 2)
    lab.table.row("  processes killed + bytes swapped", "0", str(killed + swapped), not killed + swapped)
