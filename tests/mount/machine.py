"""A machine of the test's own: a mount namespace with its own /etc/fstab, /etc/fuse.conf and helpers of mount(8)."""

import contextlib
import os
import subprocess
from pathlib import Path

from harness import binary, daemons, eventually, needs_command, needs_root, run


class Machine:
    """Runs programs in the namespace. Nothing of the real machine changes, and nothing is left behind."""

    def __init__(self, scratch, pid):
        self.scratch, self.pid = scratch, pid

    def run(self, *command, **how):
        environment = os.environ | {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
        user = how.pop("user", None)
        as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        return run("nsenter", f"--mount=/proc/{self.pid}/ns/mnt", *as_user, *command, env=environment, **how)

    def does(self, *command, **how):
        """What a program prints that must succeed."""
        done = self.run(*command, **how)
        assert done.returncode == 0, f"{command}: {done.returncode}: {done.stderr.decode()}"
        return done.stdout.decode()

    def fstab(self, *lines):
        (self.scratch / "fstab").write_text("".join(f"{line}\n" for line in lines))

    def mounts(self, point):
        """Source, type and options of all mounts at a path."""
        lines = Path(f"/proc/{self.pid}/mountinfo").read_text().splitlines()
        fields = [line.split() for line in lines]
        found = [(line[line.index("-") :], line[5]) for line in fields if line[4] == os.fspath(point)]
        return [(last[2], last[1], {*options.split(","), *last[3].split(",")}) for last, options in found]

    def gone(self, point):
        eventually(lambda: not daemons(point), f"the process that serves {point} ends")
        return not self.mounts(point)


@contextlib.contextmanager
def machine(scratch, *helpers, fuse_conf=""):
    """The helpers are links to afbfs in /sbin:  with machine(scratch, "mount.afbfs") as m: m.does("mount", "-a")"""
    needs_root()
    for command in ["unshare", "nsenter", "setpriv", "mount.fuse3"]:
        needs_command(command)
    for folder in ["bin", "sbin"]:
        (scratch / folder).mkdir()
    (scratch / "bin/afbfs").symlink_to(binary())
    for helper in helpers:
        (scratch / "sbin" / helper).symlink_to(binary())
    (scratch / "fstab").write_text("")
    (scratch / "fuse.conf").write_text(fuse_conf)
    keeper = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sleep", "infinity"])
    try:
        here = os.readlink("/proc/self/ns/mnt")
        eventually(lambda: os.readlink(f"/proc/{keeper.pid}/ns/mnt") != here, "the namespace is there")
        made = Machine(scratch, keeper.pid)
        # Copies of other tests' mounts, which would keep them from ending.
        made.run("umount", "--all", "--lazy", "--types", "fuse.afbfs")
        for name in ["fstab", "fuse.conf"]:
            made.does("mount", "--bind", scratch / name, f"/etc/{name}")
        for name in ["bin", "sbin"]:
            lower = f"lowerdir={scratch / name}:/usr/{name}"
            made.does("mount", "-t", "overlay", "-o", lower, "overlay", f"/usr/{name}")
        yield made
    finally:
        for pid in daemons_below(scratch):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        # With its last process the namespace goes, and all its mounts.
        keeper.kill()
        keeper.wait()


def daemons_below(folder):
    """Processes of which an argument lies in the folder, that serve a mount."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if words[:2] == [b"afbfs", b"mount"] and any(word.startswith(os.fsencode(folder)) for word in words):
                yield int(entry.name)
