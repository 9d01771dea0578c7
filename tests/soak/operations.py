"""The operations of the soak test: each picks what it works on, does it in the mount and in the model, and compares."""

import errno
import mmap
import os

import numpy as np

from serial import WORKERS, Handle, Inode, Serial

HANDLES = 10
KEEP_SIZE, PUNCH = 1, 3


class Operations(Serial):
    """All that is done at random."""

    # --- operations; the default of the first parameter is how often

    def do_open(self, weight=10):
        if len(self.handles) >= HANDLES:
            return self.do_close()
        shown = self.views[int(self.rng.integers(len(self.views)))]
        flags = int(self.rng.choice([os.O_RDONLY, os.O_RDWR, os.O_RDWR, os.O_WRONLY]))
        if flags != os.O_RDONLY:
            flags |= int(self.rng.choice([0, 0, 0, os.O_SYNC, os.O_DSYNC, os.O_APPEND]))
            if shown.is_plain and self.chance(0.15):
                flags |= os.O_TRUNC
        worker = self.workers[int(self.rng.integers(WORKERS))]
        fd, ino, size = worker.call("open", self.mnt / shown.path, flags)
        assert size == shown.size
        inode = self.inodes.setdefault(ino, Inode())
        handle = Handle(worker, fd, shown, inode, flags)
        inode.handles += 1
        inode.writers += handle.writes
        inode.stale = False
        if flags & os.O_TRUNC:
            inode.end = 0
        self.handles.append(handle)
        handle.ino = ino
        self.note(handle, f"open {flags:#o}")
        return shown

    def do_close(self, weight=6):
        handle = self.pick()
        if handle:
            self.let_go(handle)
            return handle.shown
        return None

    def do_read(self, weight=10):
        handle = self.pick(reads=True)
        if not handle or self.may_be_old(handle):
            return None
        shown = handle.shown
        offset, length = (int(self.rng.integers(shown.size + 10)) for _ in range(2))
        if shown.as_type:
            offset -= offset % shown.unit
        data = handle.call("read" if self.chance(0.5) else "pread", handle.fd, length, offset)
        self.check_data(shown, data, offset, length)
        return shown

    def do_write(self, weight=30):
        handle = self.writer()
        if not handle:
            return None
        shown = handle.shown
        offset, length = self.span(shown)
        if shown.head and handle.inode.end is not None and handle.inode.end < len(shown.head):
            return None
        data = bytes(shown.make(self.rng, length))
        if shown.head and handle.inode.end is None and self.chance(0.2):
            offset, data = 0, shown.head + data
            data = data[: shown.size]
        operation = str(self.rng.choice(["pwrite", "write"] if shown.as_type else ["pwrite", "write", "pwritev"]))
        error = self.apply(handle, offset, data)
        self.note(handle, f"{operation} {len(data)} at {offset}, error {error}")
        count = self.expect(error, handle, operation, handle.fd, data, offset)
        assert error or count == len(data), f"{count} of {len(data)} bytes written"
        return shown

    def do_write_in_two(self, weight=3):
        """The two halves of an element: it is stored when it is whole."""
        handle = self.writer()
        if not handle or not handle.shown.as_type or handle.inode.end is not None:
            return None
        shown = handle.shown
        offset, length = self.span(shown)
        data = shown.make(self.rng, length)
        cut = length - int(self.rng.integers(1, shown.unit))
        if cut % shown.unit and self._fits(shown, data):
            self.note(handle, f"write {length} at {offset} in two, cut at {cut}")
            handle.call("pwrite", handle.fd, data[:cut], offset)
            handle.call("pwrite", handle.fd, data[cut:], offset + cut)
            self.apply(handle, offset, data)
            return shown
        return None

    def _fits(self, shown, data):
        return shown.stored_type.kind != "i" or bool((np.abs(np.frombuffer(data, shown.as_type)) < 32000).all())

    def do_write_back(self, weight=3):
        """What was read, written back, changes nothing."""
        handle = self.pick(writes=True, reads=True, append=False)
        if not handle or handle.inode.end is not None:
            return None
        shown = handle.shown
        data = handle.call("pread", handle.fd, shown.size, 0)
        self.note(handle, "write back")
        assert handle.call("pwrite", handle.fd, data, 0) == shown.size
        return shown

    def do_write_across_the_end(self, weight=2):
        handle = self.writer()
        if not handle or handle.shown.as_type or handle.inode.end is not None:
            return None
        shown = handle.shown
        if self.chance(0.3):
            self.expect(errno.ENOSPC, handle, "pwrite", handle.fd, b"more", shown.size)
            return shown
        keep = int(self.rng.integers(1, shown.size - len(shown.head) + 1))
        data = shown.make(self.rng, keep) + b"and more"
        self.note(handle, f"write {len(data)} at {shown.size - keep}, across the end")
        assert handle.call("pwrite", handle.fd, data, shown.size - keep) == keep
        self.apply(handle, shown.size - keep, data[:keep])
        return shown

    def do_append(self, weight=2):
        handle = self.pick(append=True)
        if not handle:
            return None
        self.note(handle, "append")
        self.expect(errno.ENOSPC, handle, "append", handle.fd, b"more")
        return handle.shown

    def do_rewrite(self, weight=4):
        """As cp does: O_TRUNC, and all bytes in order."""
        shown = self.views[int(self.rng.integers(len(self.views)))]
        if any(h.shown is shown or self.same_file(h.shown, shown) for h in self.handles):
            return None
        data = shown.head + bytes(shown.make(self.rng, shown.size - len(shown.head)))
        if shown.as_type and not self._fits(shown, data):
            return None
        worker = self.workers[int(self.rng.integers(WORKERS))]
        piece = int(self.rng.integers(shown.size // 4 + 1, shown.size + 1))
        self.history.append(f"rewrite {shown.path} in pieces of {piece}")
        worker.call("rewrite", self.mnt / shown.path, data, piece)
        shown.write(0, data)
        return shown

    def text(self):
        """A view of numbers, and the path of its text."""
        shown = self.views[int(self.rng.integers(len(self.views)))]
        return (shown, f"{shown.path}.txt") if shown.is_plain and shown.stored_type.kind in "if" else (None, None)

    def do_read_text(self, weight=3):
        shown, path = self.text()
        if not shown:
            return None
        worker = self.workers[int(self.rng.integers(WORKERS))]
        cells = np.array(worker.call("whole", self.mnt / path).split(), float).astype(shown.stored_type)
        numbers = np.frombuffer(shown.bytes(), shown.stored_type)
        assert np.array_equal(cells, numbers, equal_nan=shown.stored_type.kind == "f"), f"{path} shows other numbers"
        return shown

    def do_write_text(self, weight=3):
        """Numbers in cells of any width. Those that are the same stay as they are stored."""
        shown, path = self.text()
        if not shown:
            return None
        offset, length = self.span(shown)
        unit = shown.stored_type.itemsize
        offset, length = offset - offset % unit, -(-length // unit) * unit
        data = bytes(shown.make(self.rng, length))[:length]
        if len(data) < length or (shown.stored_type.kind == "f" and not np.isfinite(np.frombuffer(data, shown.stored_type)).all()):
            return None
        before = shown.bytes()
        whole = np.frombuffer(before[:offset] + data + before[offset + length :], shown.stored_type)
        cells = [str(number) for number in whole.tolist()]
        text = " ".join(cells) if self.chance(0.5) else "".join(f"{cell},\n" for cell in cells)
        self.history.append(f"write text of {path}, {length} bytes at {offset} are other numbers")
        worker = self.workers[int(self.rng.integers(WORKERS))]
        worker.call("rewrite", self.mnt / path, text.encode(), int(self.rng.integers(1000, 60000)))
        shown.write(offset, data)
        return shown

    def same_file(self, one, other):
        return one.array is other.array and np.array_equal(one.positions, other.positions)

    def do_truncate(self, weight=4):
        handle = self.writer()
        if not handle or handle.shown.head:
            return None
        shown, inode = handle.shown, handle.inode
        if self.chance(0.1):
            self.expect(errno.EFBIG, handle, "ftruncate", handle.fd, shown.size + 1)
            return shown
        size = int(self.rng.integers(shown.size // shown.unit + 1)) * shown.unit
        self.note(handle, f"truncate to {size}, end {inode.end}")
        assert handle.call("ftruncate", handle.fd, size) == shown.size
        if inode.end is not None and inode.end < size:
            shown.write(inode.end, bytes(size - inode.end))
        inode.end = size
        return shown

    def do_allocate(self, weight=2):
        handle = self.pick(writes=True)
        if not handle:
            return None
        shown = handle.shown
        offset, length = self.span(shown)
        mode = int(self.rng.choice([0, KEEP_SIZE, PUNCH]))
        self.expect(errno.EOPNOTSUPP if mode == PUNCH else 0, handle, "fallocate", handle.fd, mode, offset, length)
        if mode == 0:
            self.expect(errno.EFBIG, handle, "fallocate", handle.fd, 0, offset, shown.size + 1)
        return shown

    def do_seek(self, weight=2):
        """There are no holes in files that were written as a whole."""
        handle = self.pick()
        if not handle:
            return None
        size = handle.shown.size
        at = int(self.rng.integers(size))
        assert handle.call("seek", handle.fd, at, os.SEEK_DATA) == at
        assert handle.call("seek", handle.fd, at, os.SEEK_HOLE) == size
        self.expect(errno.ENXIO, handle, "seek", handle.fd, size, os.SEEK_DATA)
        return handle.shown

    def do_sync(self, weight=4):
        handle = self.pick()
        if not handle:
            return None
        handle.call("fsync" if self.chance(0.5) else "fdatasync", handle.fd)
        return handle.shown

    def do_sendfile(self, weight=6):
        handle = self.pick(reads=True)
        if not handle:
            return None
        self.freshen(handle)
        offset, length = self.span(handle.shown)
        data = handle.call("sendfile", handle.fd, offset, length)
        self.check_data(handle.shown, data, offset, length, "sendfile")
        return handle.shown

    def do_copy(self, weight=6):
        """copy_file_range between two views of one array or of two."""
        target = self.writer()
        if not target or target.shown.as_type or target.inode.end is not None:
            return None
        sources = [h for h in self.handles if h.worker is target.worker and h.reads and h.inode is not target.inode]
        if not sources:
            return None
        source = sources[int(self.rng.integers(len(sources)))]
        self.freshen(source)
        at, length = self.span(target.shown)
        offset, _ = self.span(source.shown)
        length = min(length, source.shown.size - offset)
        data = source.shown.bytes()[offset : offset + length]
        if source.shown.as_type:
            return None
        self.note(target, f"copy {length} from {source.shown.path} at {offset} to {at}")
        assert target.call("copy", source.fd, offset, target.fd, at, length) == length
        self.apply(target, at, data)
        return target.shown

    # --- mappings

    def do_map(self, weight=6):
        handle = self.pick(reads=True)
        if not handle or len(handle.maps) > 2:
            return None
        kinds = [mmap.ACCESS_READ, mmap.ACCESS_COPY] + [mmap.ACCESS_WRITE] * 2 * handle.writes
        access = int(self.rng.choice(kinds))
        number = handle.call("map", handle.fd, access)
        self.note(handle, f"map {access} as {number}")
        handle.maps[number] = access
        return handle.shown

    def do_unmap(self, weight=3):
        handle = self.pick()
        if not handle or not handle.maps:
            return None
        number = int(self.rng.choice(list(handle.maps)))
        del handle.maps[number]
        handle.private.pop(number, None)
        self.note(handle, f"unmap {number}")
        handle.call("unmap", number)
        return handle.shown

    def mapping(self, access):
        able = [(h, number) for h in self.handles for number, kind in h.maps.items() if kind in access]
        return able[int(self.rng.integers(len(able)))] if able else (None, None)

    def do_load(self, weight=12):
        handle, number = self.mapping([mmap.ACCESS_READ, mmap.ACCESS_COPY, mmap.ACCESS_WRITE])
        if not handle or number in handle.private:
            return None
        self.freshen(handle)
        offset, length = self.span(handle.shown)
        self.check_data(handle.shown, handle.call("load", number, offset, length), offset, length, "a mapping")
        return handle.shown

    def do_store_privately(self, weight=3):
        """A private mapping keeps what is stored to itself."""
        handle, number = self.mapping([mmap.ACCESS_COPY])
        if not handle:
            return None
        offset, length = self.span(handle.shown)
        data = self.rng.bytes(length)
        handle.call("store", number, offset, data)
        assert handle.call("load", number, offset, length) == data
        handle.private[number] = True
        return handle.shown

    def store_beside(self, handle, offset, length):
        """Stores to a mapping of another view what does not meet these bytes of the first: both stay. Only of plain elements."""
        shown = handle.shown
        if not shown.is_plain or (self.cache == "pages" and shown.is_whole):
            return None
        able = [(h, n) for h in self.handles for n, kind in h.maps.items() if kind == mmap.ACCESS_WRITE]
        able = [(h, n) for h, n in able if h.shown.array is shown.array and h.inode is not handle.inode]
        able = [(h, n) for h, n in able if h.shown.is_plain and h.inode.end is None and not h.inode.stale]
        if not able or (self.cache == "pages" and any(h.shown.is_whole for h, _ in able)):
            return None
        other, number = able[int(self.rng.integers(len(able)))]
        at, size = self.span(other.shown)
        taken = np.unique(shown.positions[offset : offset + length] // 8)
        if np.isin(other.shown.positions[at : at + size] // 8, taken).any():
            return None
        data = bytes(other.shown.make(self.rng, size))
        self.note(other, f"store {size} at {at} to {number}, before msync of the other mapping")
        other.call("store", number, at, data)
        self.apply(other, at, data)
        return other, number

    def do_store(self, weight=12):
        """Stores to a shared mapping reach the file at msync, fsync or when it goes; a write(2) meanwhile is not undone."""
        handle, number = self.mapping([mmap.ACCESS_WRITE])
        if not handle or handle.inode.end is not None:
            return None
        shown = handle.shown
        offset, length = self.span(shown)
        data = bytes(shown.make(self.rng, length))
        if shown.as_type and not self._fits(shown, data):
            return None
        self.freshen(handle)
        self.note(handle, f"store {length} at {offset} to {number}")
        handle.call("store", number, offset, data)
        self.apply(handle, offset, data)
        if self.cache == "pages" and shown.is_whole:
            # The mapping is one of the array file itself: README, `--cache`.
            self.written_by_another(shown.array)
        others = [h for h in self.handles if h.writes and not h.append and h.shown.array is shown.array]
        others = [h for h in others if h.inode is not handle.inode and h.inode.end is None and not h.shown.as_type]
        if others and self.chance(0.3):
            other = others[int(self.rng.integers(len(others)))]
            at, length = self.span(other.shown)
            data = bytes(other.shown.make(self.rng, length))
            self.note(other, f"write {length} at {at}, before msync")
            assert other.call("pwrite", other.fd, data, at) == length
            self.apply(other, at, data)
        fellow = self.store_beside(handle, offset, length) if self.chance(0.4) else None
        if self.chance(0.2):
            handle.call("fsync", handle.fd)
        else:
            handle.call("msync", number)
        if fellow:
            fellow[0].call("msync", fellow[1])
        if self.chance(0.3):
            fellow = self.pick(reads=True)
            if fellow and not self.may_be_old(fellow):
                size = fellow.shown.size
                self.check_data(fellow.shown, fellow.call("pread", fellow.fd, size, 0), how="after msync of another")
        return shown

    # --- other programs

    def do_write_into_the_file(self, weight=5):
        array, views = self.arrays[int(self.rng.integers(len(self.arrays)))]
        shown = views[int(self.rng.integers(len(views)))]
        worker = self.workers[int(self.rng.integers(WORKERS))]
        start = array.offset + int(self.rng.integers(len(array.model) - array.offset))
        data = self.rng.bytes(int(self.rng.integers(1, min(3000, len(array.model) - start) + 1)))
        operation = "store_into" if self.chance(0.5) else "write_into"
        self.history.append(f"{operation} {array.path.name} {len(data)} at {start}")
        self.written_by_another(array)
        worker.call(operation, array.path, start, data)
        array.model[start : start + len(data)] = data
        return shown


# Operations are told from the others by their names.
assert all(isinstance(f.__defaults__[0], int) for n, f in vars(Operations).items() if n.startswith("do_"))
