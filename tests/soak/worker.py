"""Processes that do what they are told: each has open files and mappings of its own."""

import ctypes
import mmap
import multiprocessing
import os
import pickle
import signal

LIBC = ctypes.CDLL(None, use_errno=True)


class Gone(Exception):
    """The process was killed."""


class Worker:
    """A process, and the pipe to it. `call` waits for the answer; `start` and `finish` do the two halves."""

    def __init__(self):
        # Forked: NumPy is loaded already, and a worker is there at once.
        context = multiprocessing.get_context("fork")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=serve, args=(other, self._pipe), daemon=True)
        self._process.start()
        other.close()
        self.pid = self._process.pid

    def start(self, operation, *arguments):
        try:
            self._pipe.send_bytes(pickle.dumps((operation, arguments)))
        except OSError:
            raise Gone from None

    def finish(self):
        try:
            error, value = pickle.loads(self._pipe.recv_bytes())
        except (EOFError, OSError):
            raise Gone from None
        if error:
            raise OSError(error, os.strerror(error))
        return value

    def call(self, operation, *arguments):
        self.start(operation, *arguments)
        return self.finish()

    def kill(self):
        """Also where it has ended already."""
        self._process.kill()
        self._process.join(60)
        assert not self._process.is_alive(), "a killed program does not end"


def serve(pipe, parent):
    parent.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    files = Files()
    while True:
        try:
            operation, arguments = pickle.loads(pipe.recv_bytes())
        except EOFError:
            os._exit(0)
        try:
            answer = (0, getattr(files, operation)(*arguments))
        except OSError as error:
            answer = (error.errno, None)
        pipe.send_bytes(pickle.dumps(answer))


class Files:
    """The operations. Files and mappings are called by numbers."""

    def __init__(self):
        self.mappings = {}
        self.next = 0

    def open(self, path, flags):
        fd = os.open(path, flags)
        status = os.fstat(fd)
        return fd, status.st_ino, status.st_size

    def close(self, fd):
        os.close(fd)

    def pread(self, fd, size, offset):
        return os.pread(fd, size, offset)

    def read(self, fd, size, offset):
        os.lseek(fd, offset, os.SEEK_SET)
        data = os.read(fd, size)
        assert os.lseek(fd, 0, os.SEEK_CUR) == offset + len(data)
        return data

    def pwrite(self, fd, data, offset):
        return os.pwrite(fd, data, offset)

    def pwritev(self, fd, data, offset):
        third = len(data) // 3
        return os.pwritev(fd, [data[:third], data[third : 2 * third], data[2 * third :]], offset)

    def write(self, fd, data, offset):
        os.lseek(fd, offset, os.SEEK_SET)
        count = os.write(fd, data)
        assert os.lseek(fd, 0, os.SEEK_CUR) == offset + count
        return count

    def append(self, fd, data):
        return os.write(fd, data)

    def whole(self, path):
        fd = os.open(path, os.O_RDONLY)
        try:
            pieces = []
            while piece := os.read(fd, 1 << 20):
                pieces.append(piece)
            return b"".join(pieces)
        finally:
            os.close(fd)

    def rewrite(self, path, data, piece):
        """As cp and the shell write."""
        fd = os.open(path, os.O_WRONLY | os.O_TRUNC)
        try:
            for at in range(0, len(data), piece):
                assert os.write(fd, data[at : at + piece]) == len(data[at : at + piece])
        finally:
            os.close(fd)

    def ftruncate(self, fd, size):
        os.ftruncate(fd, size)
        return os.fstat(fd).st_size

    def fallocate(self, fd, mode, offset, length):
        if LIBC.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(length)):
            raise OSError(ctypes.get_errno(), "fallocate")

    def seek(self, fd, offset, whence):
        return os.lseek(fd, offset, whence)

    def fsync(self, fd):
        os.fsync(fd)

    def fdatasync(self, fd):
        os.fdatasync(fd)

    def sendfile(self, fd, offset, length):
        out, into = os.pipe()
        try:
            pieces = []
            while length:
                count = os.sendfile(into, fd, offset, min(length, 1 << 15))
                if not count:
                    break
                pieces.append(os.read(out, count))
                offset, length = offset + count, length - count
            return b"".join(pieces)
        finally:
            os.close(out)
            os.close(into)

    def copy(self, source, offset, target, at, length):
        return os.copy_file_range(source, target, length, offset, at)

    def map(self, fd, access):
        self.next += 1
        self.mappings[self.next] = mmap.mmap(fd, 0, access=access)
        return self.next

    def unmap(self, number):
        self.mappings.pop(number).close()

    def load(self, number, offset, length):
        return self.mappings[number][offset : offset + length]

    def store(self, number, offset, data):
        self.mappings[number][offset : offset + len(data)] = data

    def msync(self, number):
        self.mappings[number].flush()

    def store_into(self, path, offset, data):
        """As another program stores into the array file, through a mapping of its own."""
        with open(path, "r+b", buffering=0) as file, mmap.mmap(file.fileno(), 0) as mapping:
            mapping[offset : offset + len(data)] = data

    def write_into(self, path, offset, data):
        """The same with write(2)."""
        with open(path, "r+b", buffering=0) as file:
            assert os.pwrite(file.fileno(), data, offset) == len(data)

    def keep_writing(self, path, pieces, rounds):
        """Writes pieces (offset, data) one after the other, again and again, with an fsync here and there."""
        fd = os.open(path, os.O_RDWR)
        try:
            done = 0
            for turn in range(rounds):
                for offset, data in pieces:
                    assert os.pwrite(fd, data, offset) == len(data)
                    assert os.pread(fd, len(data), offset) == data, f"{path} at {offset}: not what was just written"
                    done += 2
                if turn % 8 == 7:
                    os.fsync(fd)
                    done += 1
            return done
        finally:
            os.close(fd)

    def confirm_writes(self, path, offset, length, first, report, sync):
        """Writes counters, and after each fsync tells the pipe `report` which one has been confirmed, until the mount goes."""
        fd = os.open(path, os.O_RDWR | (os.O_DSYNC if sync == "dsync" else 0))
        mapping = mmap.mmap(fd, 0) if sync == "msync" else None
        count = first
        try:
            while True:
                data = count.to_bytes(8, "little") * (length // 8)
                if mapping:
                    mapping[offset : offset + length] = data
                    mapping.flush()
                else:
                    os.pwrite(fd, data, offset)
                    if sync == "fsync":
                        os.fsync(fd)
                os.write(report, count.to_bytes(8, "little"))
                count += 1
        except OSError as error:
            return error.errno, count
