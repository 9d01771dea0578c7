"""Starting, asking and stopping afbfs, as a user does."""

import contextlib
import errno
import functools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

# A daemon that still has a mount after this long hangs: it is killed, so that whoever waits for it gets an error.
WATCHDOG_SECONDS = 100


def unavailable(reason):
    """Ends a test that this machine cannot run: skipped, but a failure where CI promised that it can."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"cannot be tested here, and CI=true: {reason}")
    pytest.skip(reason)


def why_nothing_can_be_mounted():
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        return f"/dev/fuse cannot be used: {error.strerror}"
    return None


def needs_root():
    if os.geteuid() != 0:
        unavailable("only root can do this")


def needs_command(name):
    found = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    return found or unavailable(f"the command {name} is missing")


@functools.cache
def binary():
    named = os.environ.get("AFBFS_BIN")
    if not named or not os.access(named, os.X_OK):
        pytest.exit(f"AFBFS_BIN must name the afbfs binary; it is {named!r}", returncode=2)
    return os.path.abspath(named)


def afbfs(*arguments, timeout=60, **options):
    """Runs afbfs to its end; status, stdout and stderr (bytes) are in what it gives."""
    command = [binary(), *(os.fspath(argument) for argument in arguments)]
    return subprocess.run(command, capture_output=True, timeout=timeout, check=False, **options)


def run(*command, **options):
    """Runs any other program to its end."""
    command = [os.fspath(word) for word in command]
    return subprocess.run(command, capture_output=True, check=False, **{"timeout": 100, **options})


def shell(script, *arguments, **options):
    """Runs a line of bash, in which $1, $2, ... are the arguments."""
    return run("bash", "-c", script, "bash", *arguments, **options)


def eventually(condition, what, within=10.0):
    """Waits until the condition holds, and gives its value; fails where it does not within that many seconds."""
    end = time.monotonic() + within
    while True:
        late = time.monotonic() > end
        value = condition()
        if value:
            return value
        if late:
            pytest.fail(f"not within {within} s: {what}")
        time.sleep(0.01)


@contextlib.contextmanager
def refused(*names):
    """The block must fail with one of these errors:  with refused("EPERM"): ..."""
    try:
        yield
    except OSError as error:
        wanted = [getattr(errno, name) for name in names]
        assert error.errno in wanted, f"{error} instead of {' or '.join(names)}"
    else:
        pytest.fail(f"done without {' or '.join(names)}")


def mountinfo():
    """The mount points of this machine, as bytes."""
    lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    return [line.split()[4].decode("unicode_escape").encode("latin-1") for line in lines]


def is_mounted(mountpoint):
    return os.fsencode(mountpoint) in mountinfo()


def daemons(mountpoint):
    """Process ids of the daemons that were started for this mount point."""
    found = []
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError):
            pid = int(entry)
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
            serves = os.fsencode(mountpoint) in words and b"mount" in words
            if serves and pid != os.getpid() and state != b"Z":
                found.append(pid)
    return found


class Mount:
    """A mounted file system: its path, and the process that serves it."""

    def __init__(self, path):
        self.path = Path(path)
        self.pid = None
        self.how = {}
        self._watchdog = None

    def __fspath__(self):
        return os.fspath(self.path)

    def __truediv__(self, name):
        if isinstance(name, bytes):
            name = os.fsdecode(name)
        return self.path / name

    def read(self, name):
        return (self / name).read_bytes()

    def write(self, name, data, offset=0):
        """Writes in place, without truncation, all of it."""
        with self.open(name, os.O_WRONLY) as fd:
            assert os.pwrite(fd, data, offset) == len(data)

    @contextlib.contextmanager
    def open(self, name, flags=os.O_RDONLY):
        """An open descriptor:  with mnt.open("a/data", os.O_RDWR) as fd: ..."""
        fd = os.open(self / name, flags)
        try:
            yield fd
        finally:
            os.close(fd)

    def stats(self):
        return json.loads(self.read(".afbfs/stats.json"))

    def arrays(self):
        return json.loads(self.read(".afbfs/arrays.json"))

    def status(self, key):
        """A figure of /proc/PID/status: kB, or a number of threads."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == key:
                return int(value.split()[0])
        raise KeyError(key)

    def is_alive(self):
        return self.pid in daemons(self.path)

    def watch(self):
        """Finds the daemon, and has it killed should it hang."""
        found = daemons(self.path)
        assert len(found) == 1, f"{len(found)} processes serve {self.path}"
        self.pid = found[0]
        kill = f"sleep {WATCHDOG_SECONDS}; kill -KILL {self.pid}"
        self._watchdog = subprocess.Popen(["sh", "-c", kill], start_new_session=True)

    def spare(self):
        """Lets the daemon live as long as the test takes, which must have a time limit of its own."""
        os.killpg(self._watchdog.pid, signal.SIGKILL)
        self._watchdog.wait()
        self._watchdog = None

    def unmount(self):
        """Unmounts as a user does, and makes sure that the daemon has ended."""
        answer = afbfs("umount", self.path, **self.how)
        assert answer.returncode == 0, answer.stderr.decode()
        assert not is_mounted(self.path), "still mounted after afbfs umount"
        eventually(lambda: not daemons(self.path), "the daemon ends after umount")

    def clear(self):
        """Leaves nothing behind, whatever happened."""
        for pid in daemons(self.path):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        while is_mounted(self.path):
            umount = ["umount", "-l"] if os.geteuid() == 0 else ["fusermount3", "-u", "-z"]
            subprocess.run([*umount, self.path], check=True, timeout=20)
        if self._watchdog:
            os.killpg(self._watchdog.pid, signal.SIGKILL)
            self._watchdog.wait()
            self._watchdog = None


@contextlib.contextmanager
def mountpoint_for(source, owner=None):
    """A fresh, empty folder beside the source (or in the scratch folder), gone afterwards."""
    beside = Path(source).parent
    folder = Path(tempfile.mkdtemp(prefix="mnt-", dir=beside if os.access(beside, os.W_OK) else None))
    folder.chmod(0o755)
    if owner is not None:
        os.chown(folder, owner, -1)
    try:
        yield folder
    finally:
        folder.rmdir()


@contextlib.contextmanager
def cleared(mountpoint):
    """A Mount on which the block may start afbfs as it likes; nothing of it is left afterwards."""
    reason = why_nothing_can_be_mounted()
    if reason:
        unavailable(reason)
    mount = Mount(mountpoint)
    try:
        yield mount
    finally:
        mount.clear()


@contextlib.contextmanager
def mounted(source, *options, **how):
    """The source, mounted:  with mounted(source, "--read-only") as mnt: ..."""
    with mountpoint_for(source, how.get("user")) as folder, cleared(folder) as mount:
        mount.how = how
        answer = afbfs("mount", *options, source, folder, **how)
        assert answer.returncode == 0, answer.stderr.decode()
        assert is_mounted(folder), "afbfs mount returned before there was a mount"
        mount.watch()
        yield mount
        if is_mounted(folder) or daemons(folder):
            mount.unmount()


def as_nobody(*command):
    """Runs a program as the user nobody, of the group nogroup, with no privileges."""
    needs_root()
    needs_command("setpriv")
    return run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command)


NOBODY = 65534


@contextlib.contextmanager
def ordinary_user():
    """How programs are run as an ordinary user who may mount:  with ordinary_user() as user: run("id", **user)

    That is whoever runs the tests; of root's, it is nobody. For root, the device is as udev makes it meanwhile: for all.
    """
    needs_command("fusermount3")
    if os.geteuid() != 0:
        yield {}
        return
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    try:
        found = run(binary(), "--version", **user).returncode == 0
    except PermissionError:
        found = False
    if not found:
        unavailable(f"other users cannot run {binary()}")
    mode = os.stat("/dev/fuse").st_mode & 0o777
    os.chmod("/dev/fuse", mode | 0o666)
    try:
        yield user
    finally:
        os.chmod("/dev/fuse", mode)
