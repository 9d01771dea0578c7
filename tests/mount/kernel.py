"""What the kernel can tell about a running daemon and the pages of a file."""

import contextlib
import ctypes
import mmap
import os
import re
import signal
import struct
import subprocess
import tempfile
import threading
from pathlib import Path

import numpy as np

from harness import eventually, needs_command, unavailable

LIBC = ctypes.CDLL(None, use_errno=True)
IN_OPEN, IN_ISDIR, IN_Q_OVERFLOW = 0x20, 0x40000000, 0x4000


class Opens:
    """Which files of a folder are opened, by whomever, from now on:  with Opens(folder) as opens: ..."""

    def __init__(self, folder):
        self._fd = LIBC.inotify_init1(os.O_NONBLOCK)
        if self._fd < 0 or LIBC.inotify_add_watch(self._fd, os.fsencode(folder), IN_OPEN) < 0:
            unavailable("inotify cannot be used")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self._fd)

    def names(self):
        """The files opened since the last call."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while events := os.read(self._fd, 1 << 16):
                while events:
                    _, mask, _, length = struct.unpack_from("iIII", events)
                    assert not mask & IN_Q_OVERFLOW, "more files were opened than inotify can tell"
                    if not mask & IN_ISDIR:
                        found.append(events[16 : 16 + length].rstrip(b"\0").decode())
                    events = events[16 + length :]
        return found


def resident_pages(path):
    """How many pages of a file are in memory."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapping:
        view = np.frombuffer(mapping, np.uint8)
        seen = ctypes.create_string_buffer(-(-len(mapping) // mmap.PAGESIZE))
        failed = LIBC.mincore(ctypes.c_void_p(view.ctypes.data), ctypes.c_size_t(len(mapping)), seen)
        del view
    assert not failed, os.strerror(ctypes.get_errno())
    return int((np.frombuffer(seen, np.uint8) & 1).sum())


def drop_from_memory(path):
    """Has the kernel forget the pages of a file that nobody maps."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def mapped_at(pid, address):
    """The file that a process has mapped at an address, or nothing where there is none."""
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        span, _, _, _, _, *name = line.split(None, 5)
        start, end = (int(part, 16) for part in span.split("-"))
        if start <= address < end:
            return name[0] if name else None
    return None


def buffers_sent(pid, action):
    """For each writev that a process makes during an action: its buffers, as (mapped file, length).

    strace stops the process for a moment as it enters the call; that is when its memory is looked at.
    """
    strace = needs_command("strace")
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        log.touch()
        options = ["-f", "-qq", "-e", "trace=writev", "-e", "raw=writev", "-e", "inject=writev:delay_enter=200000"]
        tracer = subprocess.Popen([strace, *options, "-o", log, "-p", str(pid)], stderr=subprocess.PIPE)
        acting = threading.Thread(target=action)
        try:
            eventually(lambda: tracer.poll() is not None or all_traced(pid), "strace is attached")
            if tracer.poll() is not None:
                unavailable(f"strace cannot attach: {tracer.stderr.read().decode()}")
            acting.start()
            return follow(pid, log, acting)
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.communicate(timeout=20)
            if acting.ident:
                acting.join()


def all_traced(pid):
    statuses = [Path(folder, "status").read_text() for folder in Path(f"/proc/{pid}/task").iterdir()]
    return all(not re.search(r"^TracerPid:\s+0$", status, re.MULTILINE) for status in statuses)


def follow(pid, log, acting):
    """Looks at the buffers of each call as soon as strace has logged it, until the action is done."""
    calls = []
    while acting.is_alive():
        acting.join(timeout=0.005)
        logged = re.findall(r"writev\(0x\w+, (0x\w+), (0x\w+)", log.read_text())
        for address, count in logged[len(calls) :]:
            with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
                memory.seek(int(address, 16))
                pairs = struct.iter_unpack("QQ", memory.read(int(count, 16) * 16))
                calls.append([(mapped_at(pid, base), length) for base, length in pairs])
    return calls


def sent(fd, size):
    """What sendfile moves from a file into a pipe."""
    out, into = os.pipe()
    pieces = []
    try:
        offset = 0
        while offset < size:
            count = os.sendfile(into, fd, offset, min(mmap.PAGESIZE, size - offset))
            assert count, f"sendfile stopped at {offset} of {size}"
            pieces.append(os.read(out, count))
            offset += count
    finally:
        os.close(out)
        os.close(into)
    return b"".join(pieces)
