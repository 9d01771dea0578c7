"""What is read from disk and written back: columns and rows of files of which nothing is in memory."""

import contextlib
import os
import statistics

import numpy as np

from lab import MIB, PAGE, Unavailable, at_once, buffer, cachestat, forget, io_of, opened, read_through, timed


def measure(lab):
    column(lab)
    columns(lab)
    written(lab)
    overwritten(lab)
    streams(lab)


def numpy_column(lab, index):
    def action():
        np.array(np.load(lab.npy, mmap_mode="r")[:, index])

    return action


def asked_for(lab, index):
    """The least that reading the pages of a column can take: each is asked for, and then read."""

    def action():
        places = range(128 + index * 8, lab.npy.stat().st_size, lab.side * 8)
        with opened(lab.npy) as fd:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
            for place in places:
                os.posix_fadvise(fd, place // PAGE * PAGE, PAGE, os.POSIX_FADV_WILLNEED)
            for place in places:
                os.pread(fd, 8, place)

    return action


def column(lab):
    """One column, cold; each side begins with nothing of the file in memory."""
    memory = buffer(lab.side * 8)
    ours, numpy, floor, pages, numpy_pages = [], [], [], [], []
    for turn in range(2 if lab.quick else 3):
        forget(lab.npy)
        with lab.mounted() as mnt, mnt.open(f"big/col/{1000 + turn}") as fd:
            before = cachestat(lab.npy).cache
            ours.append(timed(lambda fd=fd: os.preadv(fd, [memory], 0)))
            pages.append(cachestat(lab.npy).cache)
        lab.table.note(f"a column, cold: {before} pages in memory before it, {pages[-1]} after it")
        forget(lab.npy)
        numpy.append(timed(numpy_column(lab, 1000 + turn)))
        numpy_pages.append(cachestat(lab.npy).cache)
        forget(lab.npy)
        floor.append(timed(asked_for(lab, 1000 + turn)))
    ours, numpy, floor = (statistics.median(seconds) for seconds in (ours, numpy, floor))
    lab.table.note(f"a column, cold: mount {ours * 1e3:.0f} ms, numpy {numpy * 1e3:.0f} ms, its pages asked for by fadvise {floor * 1e3:.0f} ms")
    lab.table.at_least("a column, cold: speed / numpy.memmap", numpy / ours, 3)
    lab.table.row("  time / asking for its pages by fadvise, and pread", "", ours / floor)
    lab.table.at_most("  pages read / pages that hold it", max(pages) / lab.side, 1.02)
    lab.table.row("  numpy.memmap: the same figure", "", statistics.median(numpy_pages) / lab.side)


def columns(lab):
    """Sixteen columns, four readers at once: together they touch most pages of the file."""
    picked = np.random.default_rng(3).permutation(lab.side)[:16]
    shares = [picked[i::4] for i in range(4)]
    exact, along, numpy, floor = [], [], [], []
    for _ in range(1 if lab.quick else 3):
        for seconds, options in [(exact, []), (along, ["--fetch-gap", "64K"])]:
            forget(lab.npy)
            with lab.mounted(None, *options) as mnt:

                def read(share, mnt=mnt):
                    for index in share:
                        (mnt / f"big/col/{index}").read_bytes()

                seconds.append(at_once([lambda share=share: read(share) for share in shares]))
        forget(lab.npy)

        def mapped(share):
            array = np.load(lab.npy, mmap_mode="r")
            for index in share:
                np.array(array[:, index])

        numpy.append(at_once([lambda share=share: mapped(share) for share in shares]))
        forget(lab.npy)
        floor.append(at_once([lambda part=part: read_part(lab.npy, part) for part in range(4)]))
    exact, along, numpy, floor = (min(seconds) for seconds in (exact, along, numpy, floor))
    lab.table.note(f"16 columns, cold, 4 readers: mount {exact * 1e3:.0f} ms, with --fetch-gap {along * 1e3:.0f} ms, numpy {numpy * 1e3:.0f} ms, "
                   f"reading the file once {floor * 1e3:.0f} ms")
    lab.table.at_least("16 columns, cold, 4 readers, --fetch-gap 64K: speed / numpy.memmap", numpy / along, 6)
    lab.table.row("  the same without --fetch-gap", "", numpy / exact)
    lab.table.row("  reading the whole file once, by 4 readers: the same figure", "", numpy / floor)


def read_part(path, part, parts=4, block=4 << 20):
    """Reads every fourth block of a file, as the disk likes it best."""
    buffer = bytearray(block)
    with open(path, "rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        for offset in range(part * block, os.fstat(file.fileno()).st_size, parts * block):
            os.preadv(file.fileno(), [buffer], offset)


def written(lab):
    """A column, written and made durable: warm, and with nothing of the file in memory."""
    lab.warm(lab.npy)
    ours, numpy, dirty, numpy_dirty, left = [], [], [], [], []
    for turn in range(2 if lab.quick else 7):
        with lab.mounted() as mnt:
            seconds, pages, after = write_column(lab, mnt, 2000 + 2 * turn)
        ours.append(seconds)
        dirty.append(pages)
        left.append(after)
        array = lab.memmap()
        array[:, 0].sum()
        values = np.random.default_rng(turn).random(lab.side)
        begun = timed(lambda turn=turn, values=values, array=array: array[:, 2001 + 2 * turn].__setitem__(slice(None), values))
        numpy_dirty.append(cachestat(lab.npy).dirty)
        numpy.append(begun + timed(array.flush))
        del array
        lab.table.note(f"a column written, warm, and fsync: mount {ours[-1] * 1e3:.1f} ms, numpy {numpy[-1] * 1e3:.1f} ms")
    cold = []
    for turn in range(2):
        forget(lab.npy)
        with lab.mounted() as mnt:
            seconds, pages, after = write_column(lab, mnt, 2500 + turn)
        cold.append(pages)
        left.append(after)
        lab.table.note(f"a column written, cold, and fsync: mount {seconds * 1e3:.1f} ms")
    lab.table.at_most("a column written, cold: pages dirtied / pages that hold it", max(cold) / lab.side, 1.02)
    lab.table.at_most("  warm (folios of the page cache, which are larger than pages)", max(dirty) / lab.side, 1.02)
    lab.table.row("  warm, numpy.memmap: the same figure", "", max(numpy_dirty) / lab.side)
    lab.table.row("  dirty pages after fsync", "0", str(max(left)), not max(left))
    ratio = statistics.median(ours) / statistics.median(numpy)
    lab.table.at_most("  write and fsync, warm: time / numpy.memmap and flush", ratio, 1)


def write_column(lab, mnt, index):
    """Seconds of write and fsync; the pages dirty between them, and those dirty afterwards."""
    values = np.random.default_rng(index).random(lab.side)
    with opened(lab.npy, os.O_RDWR) as file:
        os.fsync(file)
    with mnt.open(f"big/col/{index}", os.O_RDWR) as fd:
        seconds = timed(lambda: os.pwrite(fd, values.data, 0))
        dirty = cachestat(lab.npy).dirty
        seconds += timed(lambda: os.fsync(fd))
        after = cachestat(lab.npy)
    if not np.array_equal(np.load(lab.npy, mmap_mode="r")[:, index], values):
        raise AssertionError("a column was not written")
    return seconds, dirty, after.dirty + after.writeback


def overwritten(lab):
    """A row, cold. Only the pages at its ends, which it covers in part, have to be read."""
    length = lab.side * 8
    values = os.urandom(length)
    read = []
    for turn in range(3):
        start = 128 + (3000 + turn) * length
        partial = len({start // PAGE if start % PAGE else None, (start + length) // PAGE if (start + length) % PAGE else None} - {None})
        forget(lab.npy)
        with lab.mounted() as mnt, mnt.open(f"big/row/{3000 + turn}", os.O_RDWR) as fd:
            with contextlib.suppress(OSError):
                before = io_of(mnt.pid, "read_bytes")
                cached = cachestat(lab.npy).cache
                os.pwrite(fd, values, 0)
                read.append(max(0, (io_of(mnt.pid, "read_bytes") - before) // PAGE - partial))
                brought = cachestat(lab.npy).cache - cached
                lab.table.note(f"a row overwritten, cold: {read[-1]} pages read but for {partial} at its ends; {brought} came into memory")
    if not read:
        raise Unavailable("/proc/PID/io")
    lab.table.row("a row overwritten, cold: wholly overwritten pages read from disk", "0", str(max(read)), not max(read))


def streams(lab):
    """The start of the array, cold, in requests of 1 MiB: read, and overwritten; against the file itself."""
    size, memory = 128 * MIB, buffer(MIB)

    def write(fd, offset):
        for at in range(0, size, MIB):
            os.pwritev(fd, [memory], offset + at)

    def read(fd, offset):
        read_through(fd, size, memory, MIB, offset)

    for what, flags, action in [("read", os.O_RDONLY, read), ("overwritten", os.O_RDWR, write)]:
        times = {"file": [], "mount": []}
        for _ in range(1 if lab.quick else 3):
            forget(lab.npy)
            with opened(lab.npy, flags) as fd:
                times["file"].append(timed(lambda fd=fd: action(fd, 128)))
            forget(lab.npy)
            with lab.mounted() as mnt, mnt.open("big/data", flags) as fd:
                times["mount"].append(timed(lambda fd=fd: action(fd, 0)))
        file, mount = (statistics.median(times[side]) for side in ("file", "mount"))
        lab.table.note(f"128 MiB of data {what}, cold, 1 MiB: file {file * 1e3:.0f} ms, mount {mount * 1e3:.0f} ms")
        lab.table.row(f".npy data {what}, cold, 1 MiB: time / the file itself", "", mount / file)
