"""Many names and many arrays: memory of the daemon, and the time to mount."""

import os
import random
import statistics
import subprocess
import threading
import time

import numpy as np

from lab import PAGE, anonymous, opened, timed

# A file has at most 65 000 names on ext4.
NAMES_PER_FILE = 20_000


def measure(lab):
    listing(lab)
    folder_of_many(lab)
    opens(lab)
    series(lab)


def listing(lab):
    """A folder of one million names."""
    folder = lab.folder("long-")
    np.save(folder / "long.npy", np.zeros(1_000_000, "u1"))
    np.save(folder / "short.npy", np.zeros(10_000, "u1"))
    with lab.mounted(folder, "--list-max", "1000000") as mnt:

        def ls(name):
            listed = subprocess.run(["ls", "-f", mnt / name], stdout=subprocess.PIPE, check=True).stdout
            return listed.count(b"\n")

        before = anonymous(mnt.pid)
        ls("short/row")
        seconds = timed(lambda: ls("long/row"))
        # Each thread has made its buffers once a few listings have been served.
        for _ in range(3):
            ls("long/row")
        first, samples, done = anonymous(mnt.pid), [], threading.Event()

        def watch():
            while not done.wait(0.01):
                samples.append(anonymous(mnt.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        count = min(ls("long/row") for _ in range(3))
        done.set()
        watcher.join()
        after = max(samples)
    if count < 1_000_000:
        raise AssertionError(f"only {count} names were listed")
    clear(folder)
    lab.table.note(f"ls -f of 1 000 000 rows: {seconds:.2f} s; RssAnon {before:.1f} MiB before, {first:.1f} after the fourth, {after:.1f} at most in three more")
    lab.table.at_most("ls -f of a million rows: RssAnon at most in three more / after the fourth", after / first, 1.05)


def clear(folder):
    for entry in os.scandir(folder):
        os.unlink(entry.path)
    folder.rmdir()


def fill(folder, count):
    """Array files, of which most are names of a few."""
    for number in range(count):
        name = folder / f"x{number:06}.npy"
        if number % NAMES_PER_FILE:
            os.link(first, name)
        else:
            first = name
            np.save(first, np.arange(64.0))


def folder_of_many(lab):
    many, one, none = lab.folder("many-"), lab.folder("one-"), lab.folder("none-")
    count = 20_000 if lab.quick else 100_000
    fill(many, count)
    fill(one, 1)
    times = {folder: ([], []) for folder in (many, one, none)}
    for _ in range(5 if lab.quick else 9):
        for folder, (mounts, cats) in times.items():
            start = time.perf_counter()
            with lab.mounted(folder) as mnt:
                mounts.append(time.perf_counter() - start)
                if folder != none:
                    cats.append(timed(lambda mnt=mnt: (mnt / "x000000/data").read_bytes()))
    mounts = {folder: statistics.median(pair[0]) for folder, pair in times.items()}
    cats = {folder: statistics.median(times[folder][1]) for folder in (many, one)}
    lab.table.note(f"mount: {count} arrays {mounts[many] * 1e3:.1f} ms, one {mounts[one] * 1e3:.1f} ms, none {mounts[none] * 1e3:.1f} ms")
    lab.table.note(f"first read of one: of {count} {cats[many] * 1e6:.0f} us, of one {cats[one] * 1e6:.0f} us")
    lab.table.at_most(f"mount of a folder of {count} arrays: time / an empty folder", mounts[many] / mounts[none], 2)
    lab.table.at_most("  the first read of one: time / a folder of one array", cats[many] / cats[one], 2)
    for folder in (many, one, none):
        clear(folder)


def opens(lab):
    """Random slices of ten thousand files."""
    folder = lab.folder("ten-thousand-")
    for number in range(10_000):
        np.save(folder / f"x{number}.npy", np.zeros((32, PAGE // 32)))
    chance = random.Random(6)
    seconds = 600 if lab.long else 8 if lab.quick else 60
    samples = []
    with lab.mounted(folder) as mnt:
        # What every array costs, once: after this there is nothing but names that are new.
        for number in range(10_000):
            for name in ("row/0", "col/0", "slice/0,::3", "range/0:900"):
                os.close(os.open(mnt / f"x{number}" / name, os.O_RDONLY))
        start = time.monotonic()
        count = 0
        while time.monotonic() < start + seconds:
            for _ in range(200):
                kind = chance.choice(["row/%d", "col/%d", "slice/%d,::3", "range/%d:900"]) % chance.randrange(32)
                with opened(mnt / f"x{chance.randrange(10_000)}" / kind) as fd:
                    os.read(fd, 1 << 16)
                count += 1
            samples.append(anonymous(mnt.pid))
    clear(folder)
    middle, last, peak = samples[len(samples) // 2], samples[-1], max(samples)
    lab.table.note(f"{count} random opens of 10 000 arrays: RssAnon {samples[0]:.1f}, {middle:.1f}, {last:.1f} MiB, at most {peak:.1f}")
    lab.table.at_most(f"random opens of 10 000 arrays for {seconds} s: RssAnon / 24 MiB", peak / 24, 1)
    lab.table.at_most("  RssAnon at the end / half way", last / middle, 1.05)


def series(lab):
    """One element of each of many files: through a stack, and by a loop in NumPy."""
    folder = lab.folder("series-")
    count = 1_000 if lab.quick else 8_760
    for number in range(count):
        np.save(folder / f"t{number:04}.npy", np.full((100, 200), number, "<f4"))
    (folder / "s.afb.toml").write_text(
        f'files = "t{{0000..{count - 1:04}}}.npy"\ndtype = "<f4"\nshape = [100, 200]\n'
    )

    def loop():
        return np.array([np.load(folder / f"t{number:04}.npy", mmap_mode="r")[50, 60] for number in range(count)])

    with lab.mounted(folder) as mnt:

        def stack():
            return np.fromfile(mnt / "s/slice/:,50,60", "<f4")

        if not np.array_equal(stack(), loop()):
            raise AssertionError("the stack is not what the loop finds")
        loops, stacks = zip(*((timed(loop), timed(stack)) for _ in range(5)), strict=True)
    clear(folder)
    loop, stack = statistics.median(loops), statistics.median(stacks)
    lab.table.note(f"one element of each of {count} files: NumPy {loop * 1e3:.1f} ms, a stack {stack * 1e3:.1f} ms")
    lab.table.at_least(f"one element of each of {count} files: a loop of np.load(mmap_mode='r') / a stack", loop / stack, 5)
