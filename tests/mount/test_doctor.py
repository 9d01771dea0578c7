"""`afbfs doctor`: what it finds, and what it says is to be done about it."""

import contextlib
import json
import mmap
import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest

from harness import (
    NOBODY,
    afbfs,
    binary,
    daemons,
    eventually,
    is_mounted,
    mounted,
    mountinfo,
    mountpoint_for,
    needs_command,
    needs_root,
    ordinary_user,
    run,
    unavailable,
    why_nothing_can_be_mounted,
)
from oracle import save_random


@pytest.fixture(autouse=True)
def device():
    reason = why_nothing_can_be_mounted()
    if reason:
        unavailable(reason)


@pytest.fixture
def grid(source, rng):
    return save_random(source / "a.npy", rng, "<f8", (60, 50))


@pytest.fixture
def point(scratch):
    folder = scratch / "point"
    folder.mkdir()
    return folder


class Answer:
    """What the doctor found, topic by topic."""

    def __init__(self, done):
        self.status = done.returncode
        assert done.returncode in (0, 1), done.stderr.decode()
        told = json.loads(done.stdout)
        assert told["can_mount"] == (self.status == 0)
        self.found = told["findings"]
        states = [finding["state"] for finding in self.found]
        assert ("problem" in states) == (self.status == 1)
        assert (b"cannot be mounted" in done.stderr) == (self.status == 1)
        # There is always something that can be done about a problem.
        assert all(finding["remedy"] for finding in self.found if finding["state"] == "problem")

    def problems(self):
        return {finding["topic"] for finding in self.found if finding["state"] == "problem"}

    def has(self, topic, state, says="", remedy=""):
        """There is such a finding, whose text and remedy contain these words."""
        for finding in self.found:
            if (finding["topic"], finding["state"]) == (topic, state):
                if says in finding["says"] and remedy in (finding["remedy"] or ""):
                    return True
        raise AssertionError(f"no {state} of {topic} with {says!r} and {remedy!r} in {json.dumps(self.found, indent=1)}")


def doctor(*arguments, before=(), **how):
    return Answer(run(*before, binary(), "doctor", "--json", *arguments, **how))


def in_a_namespace(script, *arguments):
    """The doctor in mounts of its own, which a line of sh has changed first."""
    needs_root()
    needs_command("unshare")
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", f'{script}; exec "$@"', "sh"]
    return doctor(*arguments, before=command)


# --- where all is well


def test_root_finds_that_all_is_there(grid, point, scratch):
    needs_root()
    with no_mount_left(scratch) as environment:
        answer = doctor(grid.path.parent, point, env=environment)
    assert answer.status == 0
    answer.has("rights", "ok", "may mount")
    answer.has("/dev/fuse", "ok")
    answer.has("kernel", "ok", os.uname().release)
    answer.has("arrays", "ok", "1 can be served")
    answer.has("mapping", "ok", "reading and writing")
    answer.has("mount point", "ok", "empty")
    tried = answer_of(answer, "mounting")
    assert tried["state"] == "ok" and re.fullmatch(r"works: FUSE 7\.\d+, with(out)? shared mappings, .*", tried["says"])


@contextlib.contextmanager
def no_mount_left(scratch):
    """The environment in which temporary folders are made where nothing is to stay."""
    folder = scratch / "temporary"
    folder.mkdir()
    folder.chmod(0o777)
    yield os.environ | {"TMPDIR": str(folder)}
    assert not [mount for mount in mountinfo() if mount.startswith(os.fsencode(folder))]
    assert not list(folder.iterdir())


def answer_of(answer, topic):
    [finding] = [finding for finding in answer.found if finding["topic"] == topic]
    return finding


def test_what_it_says_of_the_kernel_holds(grid, point):
    needs_root()
    says = answer_of(doctor(), "mounting")["says"]
    with mounted(grid.path.parent) as mnt, mnt.open("a/data") as fd:
        if "without shared mappings" in says:
            with pytest.raises(OSError):
                mmap.mmap(fd, 100, mmap.MAP_SHARED, mmap.PROT_READ)
        else:
            mmap.mmap(fd, 100, mmap.MAP_SHARED, mmap.PROT_READ).close()


def test_an_ordinary_user_finds_that_all_is_there(grid, point, scratch):
    with ordinary_user() as user:
        if user:
            os.chown(point, NOBODY, NOBODY)
        with no_mount_left(scratch) as environment:
            answer = doctor(grid.path.parent, point, env=environment, **user)
        assert answer.status == 0, answer.found
        answer.has("rights", "ok", f"user {user.get('user', os.geteuid())} mounts through fusermount3")
        answer.has("fusermount3", "ok", "setuid root")
        answer.has("mounting", "ok", "works: FUSE 7.")
        conf = Path("/etc/fuse.conf")
        if conf.exists() and "user_allow_other" in map(str.strip, conf.read_text().splitlines()):
            answer.has("fuse.conf", "ok")
        else:
            answer.has("fuse.conf", "note", "--allow-other fails", "add the line user_allow_other to /etc/fuse.conf")


def test_lines_for_people(grid, point):
    needs_root()
    answer = afbfs("doctor", grid.path.parent, point)
    assert (answer.returncode, answer.stderr) == (0, b"")
    lines = answer.stdout.decode().splitlines()
    assert all(re.match(r"(ok|note|problem) +\S|  +-> \S", line) for line in lines), lines
    broken = afbfs("doctor", grid.path.parent, point / "missing")
    assert broken.returncode == 1 and broken.stderr.startswith(b"afbfs: there is a problem")
    assert re.search(rf"^problem +mount point +{re.escape(str(point))}/missing: does not exist\n +-> mkdir -p ",
                     broken.stdout.decode(), re.MULTILINE)


# --- where something is missing


def test_without_fusermount3_users_cannot_mount_but_root_can(scratch):
    empty = scratch / "bin"
    empty.mkdir()
    path = {"env": os.environ | {"PATH": str(empty)}}
    with ordinary_user() as user:
        answer = doctor(**user, **path)
        assert answer.problems() == {"fusermount3"}
        answer.has("fusermount3", "problem", "is not in PATH", "apt install fuse3")
        answer.has("mounting", "note", "was not tried")
    if os.geteuid() == 0:
        answer = doctor(**path)
        assert answer.status == 0
        answer.has("fusermount3", "note", "ordinary users need it", "apt install fuse3")


def test_a_helper_that_is_not_setuid_is_of_no_use_to_users(scratch):
    helper = scratch / "fusermount3"
    helper.write_text("#!/bin/sh\nexit 1\n")
    helper.chmod(0o755)
    with ordinary_user() as user:
        answer = doctor(**user, env=os.environ | {"PATH": str(scratch)})
    assert answer.problems() == {"fusermount3"}
    answer.has("fusermount3", "problem", f"{helper} is not setuid root", f"chmod 4755 {helper}")


def test_a_process_that_may_gain_no_rights():
    needs_command("setpriv")
    with ordinary_user() as user:
        answer = doctor(before=["setpriv", "--no-new-privs"], **user)
    assert answer.problems() == {"fusermount3"}
    answer.has("fusermount3", "problem", "no_new_privs", "NoNewPrivileges=no")


def test_root_without_the_right_to_mount():
    needs_root()
    needs_command("setpriv")
    answer = doctor(before=["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"])
    assert answer.problems() == {"rights"}
    answer.has("rights", "problem", "SYS_ADMIN", "--cap-add SYS_ADMIN")
    answer = doctor(before=["setpriv", "--bounding-set=-chown", "--inh-caps=-chown"])
    assert answer.status == 0
    answer.has("rights", "note", "CHOWN")


def test_no_device(scratch):
    answer = in_a_namespace("mount -t tmpfs none /dev")
    assert answer.problems() == {"/dev/fuse"}
    answer.has("/dev/fuse", "problem", "does not exist", "--device /dev/fuse")


def test_something_else_in_the_place_of_the_device(scratch):
    empty = scratch / "empty"
    empty.touch()
    answer = in_a_namespace(f"mount --bind {empty} /dev/fuse")
    assert answer.problems() == {"/dev/fuse"}
    answer.has("/dev/fuse", "problem", "is no device", "mknod -m 666 /dev/fuse c 10 229")


def test_a_device_that_the_user_may_not_open(scratch):
    needs_command("setpriv")
    device = scratch / "fuse"
    script = f"mknod -m 600 {device} c 10 229; mount --bind {device} /dev/fuse; rm {device} || true"
    nobody = f"setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups"
    needs_root()
    if run(*nobody.split(), binary(), "--version").returncode:
        unavailable(f"other users cannot run {binary()}")
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", f'{script}; exec {nobody} "$@"', "sh"]
    answer = doctor(before=command)
    assert answer.problems() == {"/dev/fuse"}
    answer.has("/dev/fuse", "problem", "may not be opened", "chmod 666 /dev/fuse")


def test_limits_that_are_low(scratch):
    script = 'ulimit -n 512; ulimit -v 8000000; exec "$@"'
    answer = doctor(before=["sh", "-ec", script, "sh"])
    answer.has("descriptors", "note", "512 at most", "LimitNOFILE")
    answer.has("addresses", "note", "8192000000 bytes", "ulimit -v unlimited")
    missing = doctor(env=os.environ | {"TMPDIR": str(scratch / "missing")})
    missing.has("TMPDIR", "note", str(scratch / "missing"), "set TMPDIR")
    # None of it is in the way of mounting.
    if os.geteuid() == 0:
        assert (answer.status, missing.status) == (0, 0)


def test_a_folder_for_temporary_files_that_is_full(scratch):
    answer = in_a_namespace(f"mount -t tmpfs -o size=1M none {scratch}; export TMPDIR={scratch}")
    answer.has("TMPDIR", "note", "only 1 MiB", "more room")
    assert answer.status == 0


# --- the source


def test_sources_that_cannot_be_mounted(scratch, point):
    text = scratch / "text"
    text.write_text("no array")
    for source in [scratch / "missing", text]:
        answer = doctor(source, point)
        assert answer.problems() >= {"source"}
        answer.has("source", "problem", str(source))


def test_a_source_that_the_user_may_not_read(grid, point):
    grid.path.parent.chmod(0o700)
    with ordinary_user() as user:
        if not user:
            unavailable("only root has folders that others may not read")
        os.chown(point, NOBODY, NOBODY)
        assert doctor(grid.path.parent, point, **user).problems() == {"source"}
        grid.path.parent.chmod(0o711)
        answer = doctor(grid.path.parent, point, **user)
    answer.has("source", "problem", "cannot be listed", "chmod u+rx")


def test_arrays_are_counted_and_those_that_are_refused_are_named(grid, source):
    for number in range(5):
        (source / f"sick{number}.npy").write_bytes(b"no array")
    np.savez(source / "many.npz", first=np.arange(3), second=np.arange(4))
    before = sorted((path.name, path.stat().st_mtime_ns) for path in [source, *source.iterdir()])
    answer = doctor(source)
    answer.has("arrays", "ok", "3 can be served")
    named = [finding["says"] for finding in answer.found if "sick" in finding["says"]]
    assert len(named) == 3 and all(f"sick{number}: " in said for number, said in enumerate(named))
    answer.has("arrays", "note", "2 more are not served", f"afbfs ls {source}")
    assert before == sorted((path.name, path.stat().st_mtime_ns) for path in [source, *source.iterdir()])


def test_a_source_without_arrays(source, point):
    (source / "readme").write_text("nothing")
    answer = doctor(source, point)
    answer.has("arrays", "note", "no array file that afbfs knows", "--array")
    (source / "x.bin").write_bytes(bytes(24))
    described = doctor("--array", "file=x.bin,dtype=f4,shape=2x3", source, point)
    described.has("arrays", "ok", "1 can be served")


def test_what_lies_below_the_source_is_named(grid, scratch):
    answer = in_a_namespace(f"mount -t tmpfs none {scratch}; mkdir {scratch}/s; mount -o remount,ro {scratch}", scratch / "s")
    answer.has("file system", "note", "tmpfs, mounted for reading only")
    # A file system in user space: this one.
    with mounted(grid.path.parent) as mnt:
        answer = doctor(mnt)
        answer.has("file system", "note", "fuse.afbfs")


# --- the mount point


def test_mount_points_that_cannot_be(grid, source, scratch):
    inside = source / "inside"
    inside.mkdir()
    file = scratch / "file"
    file.touch()
    for place, says, remedy in [
        (inside, "lies in the source", "outside"),
        (source, "lies in the source", "outside"),
        (scratch, "the source lies in it", "another folder"),
        (file, "is not a folder", ""),
        (scratch / "missing", "does not exist", f"mkdir -p {scratch / 'missing'}"),
    ]:
        answer = doctor(source, place)
        assert answer.problems() == {"mount point"} or os.geteuid() != 0
        answer.has("mount point", "problem", says, remedy)
        # And so it is.
        assert afbfs("mount", source, place).returncode == 1


def test_a_mount_point_with_something_in_it(grid, source, point):
    (point / "something").touch()
    answer = doctor(source, point)
    answer.has("mount point", "note", "is not empty")
    assert answer.problems() == set() or os.geteuid() != 0


def test_a_mount_point_that_is_taken(grid, source):
    with mounted(source) as mnt:
        answer = doctor(source, mnt)
        answer.has("mount point", "problem", "mounted there already", f"afbfs umount {mnt.path}")
        assert mnt.read("a/shape") == b"60 50\n"


def test_a_mount_point_where_the_user_may_not_write(grid, source, point):
    with ordinary_user() as user:
        if not user:
            unavailable("only root has folders that others may not write")
        answer = doctor(source, point, **user)
    assert answer.problems() == {"mount point"}
    answer.has("mount point", "problem", "may not write", f"chown {NOBODY} {point}")


def test_a_dead_mount_is_told_and_left_alone(grid, source):
    with mounted(source) as mnt:
        os.kill(mnt.pid, signal.SIGKILL)
        eventually(lambda: not mnt.is_alive(), "the process has ended")
        answer = doctor(source, mnt)
        answer.has("mount point", "note", "whose process has died", f"afbfs umount {mnt.path}")
        assert is_mounted(mnt)
        if os.geteuid() == 0:
            assert answer.status == 0
            # It does not stand in the way, as was said.
            assert afbfs("mount", source, mnt).returncode == 0
            mnt.unmount()
    with mountpoint_for(source) as folder:
        assert not daemons(folder)
