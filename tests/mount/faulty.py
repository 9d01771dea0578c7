"""Disks that are small, or that fail on demand (see faulty_fuse.rs)."""

import contextlib
import errno
import os
import subprocess
from pathlib import Path

from harness import binary, eventually, is_mounted, needs_command, needs_root, unavailable


@contextlib.contextmanager
def mounted_disk(folder, *command):
    """What a mount command mounts at a folder, which is made for it."""
    needs_root()
    folder.mkdir(exist_ok=True)
    done = subprocess.run([*command, folder], capture_output=True, check=False)
    if done.returncode:
        unavailable(f"{' '.join(map(str, command))}: {done.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        while is_mounted(folder):
            subprocess.run(["umount", "-l", folder], check=True)


def tmpfs(folder, size):
    return mounted_disk(folder, "mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs")


@contextlib.contextmanager
def ext4(folder, image, make=True):
    """A small ext4, in a file, without blocks reserved for root."""
    if make:
        image.touch()
        os.truncate(image, 16 << 20)
        subprocess.run([needs_command("mkfs.ext4"), "-q", "-F", "-m", "0", image], check=True)
    with mounted_disk(folder, "mount", "-o", "loop", image) as disk:
        yield disk


def fill(folder):
    """Leaves no free block."""
    filler = folder / "filler"
    with open(filler, "wb", buffering=0) as file:
        # What the first round promised may turn out to take less once it is written.
        for _ in range(2):
            with contextlib.suppress(OSError):
                while file.write(bytes(4096)):
                    pass
            with contextlib.suppress(OSError):
                os.fsync(file.fileno())
    return filler


class Faulty:
    """A folder `files`, shown at `path` by a file system that obeys rules."""

    def __init__(self, path, files, rules):
        self.path, self.files, self._rules = path, files, rules
        self.pid = None
        self.always = []

    def fail(self, *rules):
        """From now on these operations fail, and no others:  disk.fail("read a.npy 0 4096 EIO")"""
        lines = []
        for rule in [*rules, *self.always]:
            *words, answer = rule.split()
            lines.append(" ".join([*words, str(getattr(errno, answer, answer))]) + "\n")
        new = self._rules.with_suffix(".new")
        new.write_text("".join(lines))
        os.replace(new, self._rules)

    def heal(self):
        self.fail()


@contextlib.contextmanager
def faulty_disk(folder, beside):
    """A disk that fails on demand, mounted at a folder; `beside` is where its files lie."""
    needs_root()
    program = Path(binary()).parent / "examples/faulty-fuse"
    if not program.exists():
        unavailable(f"{program} is missing: cargo build --example faulty-fuse")
    folder.mkdir()
    files, rules = beside / "files", beside / "rules"
    files.mkdir(exist_ok=True)
    rules.touch()
    disk = Faulty(folder, files, rules)
    with subprocess.Popen([program, files, folder, rules]) as served:
        disk.pid = served.pid
        try:
            eventually(lambda: is_mounted(folder), "the faulty disk is mounted")
            yield disk
        finally:
            disk.heal()
            while is_mounted(folder):
                subprocess.run(["umount", "-l", folder], check=True)
            served.kill()
