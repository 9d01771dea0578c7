"""Mounting as machines do it: mount(8), /etc/fstab, and the helpers that it runs."""

import os

import numpy as np
import pytest

from harness import NOBODY, ordinary_user, run
from machine import machine

HELPERS = ["mount.afbfs", "mount.fuse.afbfs"]


@pytest.fixture
def data(source):
    np.save(source / "a.npy", np.arange(6.0).reshape(2, 3))
    return source


@pytest.fixture
def point(scratch):
    folder = scratch / "point"
    folder.mkdir()
    return folder


LINES = [
    ("afbfs#{data} {point} fuse defaults,ro 0 0", []),
    ("{data} {point} fuse.afbfs ro,nofail,_netdev,x-systemd.automount,noatime 0 0", []),
    ("{data} {point} fuse.afbfs ro,nofail,_netdev,x-systemd.automount,noatime 0 0", HELPERS),
    ("{data} {point} afbfs defaults,ro,threads=2 0 0", HELPERS),
]


@pytest.mark.parametrize(("line", "helpers"), LINES, ids=["fuse", "fuse.afbfs", "fuse.afbfs, helper", "afbfs, helper"])
def test_lines_of_fstab_of_all_kinds(data, point, scratch, line, helpers):
    with machine(scratch, *helpers) as m:
        m.fstab(line.format(data=data, point=point))
        # By the mount point alone, and by -a, which leaves alone what is there.
        for ways in [["mount", point], ["mount", "-a"]]:
            m.does(*ways)
            m.does("mount", "-a")
            [(source, kind, options)] = m.mounts(point)
            assert (source, kind) == (str(data), "fuse.afbfs")
            assert {"ro", "nosuid", "nodev", "default_permissions"} <= options
            assert ("noatime" in options) == ("noatime" in line)
            assert m.does("cat", point / "a/row/1.txt").split() == ["3.0", "4.0", "5.0"]
            assert m.run("dd", f"of={point / 'a/row/1'}", "conv=notrunc", input=bytes(8)).returncode != 0
            found = m.does("findmnt", "--noheadings", "--output", "SOURCE,FSTYPE,TARGET", point).split()
            assert found == [str(data), "fuse.afbfs", str(point)]
            assert m.does("findmnt", "--noheadings", "--output", "TARGET", "--types", "fuse.afbfs").split() == [str(point)]
            assert f"{data} on {point} type fuse.afbfs (ro," in m.does("mount")
            m.does("umount", point)
            assert m.gone(point)


def test_what_is_mounted_already_is_told_from_what_is_not(data, point, scratch):
    with machine(scratch, *HELPERS) as m:
        m.fstab(f"afbfs#{data} {point} fuse defaults 0 0")
        m.does("mount", point)
        # mount(8) cannot tell that this line is mounted; the helper can.
        m.does("mount", "-a")
        assert len(m.mounts(point)) == 1
        other = scratch / "other"
        other.mkdir()
        for again in [("fuse.afbfs", data), ("fuse.afbfs", other), ("fuse", f"afbfs#{other}")]:
            answer = m.run("mount", "-t", *again, point)
            assert answer.returncode == 32 and b"are mounted there already" in answer.stderr
        assert len(m.mounts(point)) == 1
        m.does("umount", point)
        assert m.gone(point)


def test_other_ways_of_unmounting(data, point, scratch):
    with machine(scratch, *HELPERS) as m:
        m.fstab(f"{data} {point} fuse.afbfs defaults 0 0")
        for way in [["fusermount3", "-u", point], ["afbfs", "umount", point], ["umount", "-a", "-t", "fuse.afbfs"]]:
            m.does("mount", point)
            m.does(*way)
            assert m.gone(point)


def test_options_of_the_command_line_go_before_those_of_the_table(data, point, scratch):
    with machine(scratch, *HELPERS) as m:
        m.fstab(f"{data} {point} fuse.afbfs ro,fsname=lab,max_read=65536 0 0")
        m.does("mount", "-o", "rw", point)
        [(source, _, options)] = m.mounts(point)
        assert source == "lab" and {"rw", "max_read=65536"} <= options
        m.does("dd", f"of={point / 'a/row/1'}", "conv=notrunc", input=np.arange(3.0).tobytes())
        m.does("umount", point)
        assert m.gone(point)
    assert np.load(data / "a.npy").tolist() == [[0, 1, 2], [0, 1, 2]]


@pytest.mark.parametrize("kind", ["fuse", "fuse.afbfs"])
def test_faults_are_named_and_have_the_status_of_mount(data, point, scratch, kind):
    named = f"afbfs#{data}" if kind == "fuse" else data
    with machine(scratch, *HELPERS) as m:
        for option, status, word in [("frobnicate", 1, b"frobnicate"), ("uid=me-not", 1, b"me-not"), ("remount", 1, b"anew")]:
            answer = m.run("mount", "-t", kind, "-o", option, named, point)
            assert answer.returncode == status and word in answer.stderr, answer
        answer = m.run("mount", "-t", kind, f"{named}-not", point)
        assert answer.returncode == 32 and b"source-not" in answer.stderr
        answer = m.run("mount", "-t", kind, "-o", "allow_other,allow_root", named, point)
        assert answer.returncode == 32 and b"exclude each other" in answer.stderr
        assert not m.mounts(point)


def test_flags_of_the_helper(data, point, scratch):
    with machine(scratch, *HELPERS) as m:
        helper = "/sbin/mount.fuse.afbfs"
        # -f mounts nothing, but sees what is wrong.
        m.does(helper, data, point, "-f", "-o", "ro")
        assert m.run(helper, data, scratch / "none", "-f").returncode == 32
        assert not m.mounts(point)
        # -s passes over what is not known.
        assert m.run(helper, data, point, "-o", "frobnicate,ro").returncode == 1
        m.does(helper, data, point, "-s", "-n", "-v", "-t", "fuse.afbfs", "-o", "frobnicate,ro")
        [(_, _, options)] = m.mounts(point)
        assert "ro" in options
        m.does("umount", point)
        assert m.gone(point)


def test_a_mount_in_another_namespace(data, point, scratch):
    with machine(scratch, *HELPERS) as m:
        helper = scratch / "sbin/mount.afbfs"
        # Run outside of it.
        answer = run(helper, data, point, "-N", f"/proc/{m.pid}/ns/mnt")
        assert answer.returncode == 0, answer.stderr
        assert len(m.mounts(point)) == 1 and not os.path.ismount(point)
        m.does("umount", point)
        assert m.gone(point)
        answer = run(helper, data, point, "-N", scratch / "none")
        assert answer.returncode == 32 and b"none" in answer.stderr


@pytest.mark.parametrize("helpers", [[], HELPERS], ids=["mount.fuse3", "helper"])
def test_a_line_that_a_user_may_mount(data, point, scratch, helpers):
    os.chown(point, NOBODY, NOBODY)
    with ordinary_user(), machine(scratch, *helpers) as m:
        m.fstab(f"{data} {point} fuse.afbfs user,noauto 0 0")
        m.does("mount", point, user=NOBODY)
        [(_, kind, options)] = m.mounts(point)
        assert kind == "fuse.afbfs" and f"user_id={NOBODY}" in options
        assert m.does("ls", point, user=NOBODY).split() == ["a"]
        m.does("umount", point, user=NOBODY)
        assert m.gone(point)


@pytest.mark.parametrize("helpers", [[], HELPERS], ids=["mount.fuse3", "helper"])
def test_a_line_that_root_mounts_for_a_user(data, point, scratch, helpers):
    os.chown(point, NOBODY, NOBODY)
    with ordinary_user(), machine(scratch, *helpers) as m:
        m.fstab(f"{data} {point} fuse.afbfs setuid=nobody 0 0")
        m.does("mount", point)
        [(source, _, options)] = m.mounts(point)
        assert source == str(data) and f"user_id={NOBODY}" in options
        assert m.run("ls", point).returncode != 0
        assert m.does("ls", point, user=NOBODY).split() == ["a"]
        m.does("umount", point)
        assert m.gone(point)
