"""The Debian package, and what the command says of itself: manual pages, completions, units."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tools
from harness import afbfs, binary, eventually, is_mounted, needs_root
from machine import machine

TOP = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    tools.needs("cargo-deb", "dpkg-shlibdeps")
    folder = tmp_path_factory.mktemp("package")
    done = subprocess.run(
        [TOP / "scripts/package", folder], env=os.environ | {"AFBFS_BIN": binary()}, capture_output=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    [package] = folder.glob("afbfs_*.deb")
    return package


@pytest.mark.timeout(700)
def test_a_package_is_installed_used_and_removed(package, scratch, source):
    needs_root()
    root, point = scratch / "root", scratch / "point"
    (root / "var/lib/dpkg/info").mkdir(parents=True)
    (root / "var/lib/dpkg/updates").mkdir()
    (root / "var/lib/dpkg/status").touch()
    point.mkdir()
    np.save(source / "a.npy", np.arange(6.0).reshape(2, 3))
    # What it depends on is not in this root; the programs are those of the machine.
    dpkg = f"dpkg --root={root} --force-not-root,depends,script-chrootless"
    tools.sh(f"{dpkg} --install $1", package)
    version = afbfs("--version").stdout.decode().split()[1]
    assert f"Version: {version}-1\n" in tools.sh(f"{dpkg} --status afbfs")
    assert "Depends: fuse3, libc6" in tools.sh(f"{dpkg} --status afbfs")
    files = [path for path in tools.sh(f"{dpkg} --listfiles afbfs").split() if (root / path[1:]).is_file()]
    for wanted in ["/usr/bin/afbfs", "/usr/sbin/mount.afbfs", "/usr/sbin/mount.fuse.afbfs", "/usr/share/man/man1/afbfs-mount.1.gz"]:
        assert wanted in files
    assert tools.sh("$1 --version", root / "usr/bin/afbfs") == afbfs("--version").stdout.decode()
    # Its helper mounts, and says by its name what it is.
    with machine(scratch) as m:
        m.does(root / "usr/sbin/mount.fuse.afbfs", source, point, "-o", "ro")
        assert m.does("cat", point / "a/row/1.txt").split() == ["3.0", "4.0", "5.0"]
        m.does(root / "usr/bin/afbfs", "umount", point)
        assert m.gone(point)
    assert "afbfs umount" in tools.sh('man -l "$1"', root / "usr/share/man/man1/afbfs-umount.1.gz").replace("\n", " ")
    tools.sh(f"{dpkg} --purge afbfs")
    assert not [path for path in files if (root / path[1:]).exists()]


@pytest.mark.timeout(700)
def test_the_package_is_as_debian_wants_it(package):
    tools.needs("lintian")
    # There is no address yet, and no bug that asks for the package.
    known = "bogus-mail-host,bogus-mail-host-in-debian-changelog,initial-upload-closes-no-bugs"
    done = tools.attempt(f"lintian --suppress-tags {known} --fail-on error,warning $1", package, timeout=600)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


@pytest.fixture
def pages(scratch):
    assert afbfs("man", scratch / "man").returncode == 0
    return sorted((scratch / "man").iterdir())


def test_every_subcommand_has_a_page_that_can_be_shown(pages):
    tools.needs("man", "groff", "mandoc")
    listed = re.findall(r"^  ([a-z]+)  ", afbfs("--help").stdout.decode(), re.MULTILINE)
    wanted = {"afbfs.1", "mount.afbfs.8", *(f"afbfs-{name}.1" for name in listed if name != "help")}
    assert {page.name for page in pages} == wanted and len(wanted) > 8
    for page in pages:
        assert tools.sh("groff -ww -man -Tutf8 -z $1 2>&1", page) == "", page
        assert tools.sh("mandoc -T lint -W error $1 2>&1", page) == "", page
    shown = tools.sh("MANWIDTH=80 man -l $1 | col -bx", next(page for page in pages if page.name == "afbfs-mount.1"))
    help_text = afbfs("mount", "--help").stdout.decode()
    options = set(re.findall(r"--[a-z]+[a-z-]*", help_text))
    assert len(options) > 10 and options <= set(re.findall(r"--[a-z]+[a-z-]*", shown.replace("‐\n", "")))
    assert afbfs("man").stdout.strip() == next(page for page in pages if page.name == "afbfs.1").read_bytes().strip()


def test_bash_completes(scratch):
    script = scratch / "afbfs.bash"
    script.write_bytes(afbfs("completions", "bash").stdout)
    ask = (
        'source $1; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _afbfs afbfs "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"; '
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    assert set(tools.sh(ask, script, "afbfs", "u").split()) == {"umount", "unpack"}
    assert tools.sh(ask, script, "afbfs", "mount", "--allow-o").split() == ["--allow-other"]
    assert set(tools.sh(ask, script, "afbfs", "mount", "--cache", "").split()) == {"none", "pages"}


def test_zsh_completes(scratch):
    tools.needs("zsh")
    (scratch / "_afbfs").write_bytes(afbfs("completions", "zsh").stdout)
    # A terminal of its own, as completion needs one.
    script = (
        "import os, pty, select, sys, time\n"
        "pid, fd = pty.fork()\n"
        "if pid == 0: os.execvp('zsh', ['zsh', '-f', '-i'])\n"
        "os.write(fd, f'PS1=; fpath=({sys.argv[1]} $fpath); autoload -U compinit; compinit -u -d {sys.argv[1]}/dump\\n'.encode())\n"
        "os.write(fd, b'afbfs umo\\t\\nexit\\n')\n"
        "said = b''\n"
        "try:\n"
        "    while select.select([fd], [], [], 20)[0]: said += os.read(fd, 1000)\n"
        "except OSError: pass\n"
        "os.waitpid(pid, 0)\n"
        "sys.stdout.buffer.write(said)\n"
    )
    said = subprocess.run([sys.executable, "-c", script, scratch], env=os.environ | {"TERM": "dumb"}, capture_output=True, timeout=60, check=True)
    assert b"umount" in said.stdout, said.stdout


def test_fish_completes(scratch):
    tools.needs("fish")
    script = scratch / "afbfs.fish"
    script.write_bytes(afbfs("completions", "fish").stdout)
    ask = "HOME=$2 fish --no-config -c 'source $argv[1]; complete --do-complete $argv[2]' $1 \"$3\""
    assert {line.split()[0] for line in tools.sh(ask, script, scratch, "afbfs um").splitlines()} == {"umount"}
    found = {line.split()[0] for line in tools.sh(ask, script, scratch, "afbfs mount --allow-").splitlines()}
    assert found == {"--allow-other", "--allow-root"}


def test_units_are_as_systemd_wants_them(scratch):
    tools.needs("systemd-analyze")
    verify = "systemd-analyze verify --man=no --recursive-errors=no $1 2>&1"
    for name in ["afbfs@.service", "mnt-arrays.mount"]:
        text = (TOP / "scripts/dist" / name).read_text()
        (scratch / name).write_text(text.replace("/usr/bin/afbfs", binary()))
        assert tools.sh(verify, scratch / name) == ""
    # It finds fault with what is wrong.
    (scratch / "bad.mount").write_text((scratch / "mnt-arrays.mount").read_text())
    assert tools.attempt(verify, scratch / "bad.mount").returncode != 0


def test_the_service_mounts_what_its_file_says(scratch, source):
    """Runs the line that the unit runs, as systemd would expand it."""
    np.save(source / "a.npy", np.arange(6.0).reshape(2, 3))
    point = scratch / "point"
    point.mkdir()
    unit = (TOP / "scripts/dist/afbfs@.service").read_text()
    [line] = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    values = {"OPTIONS": "ro", "SOURCE": str(source), "MOUNTPOINT": str(point)}
    words = [values.get(word.strip("${}"), word) for word in line.replace("/usr/bin/afbfs", binary()).split()]
    assert shutil.which(words[0])
    with subprocess.Popen(words) as process:
        try:
            eventually(lambda: is_mounted(point), "the mount is there")
            assert (point / "a/row/1.txt").read_text().split() == ["3.0", "4.0", "5.0"]
            process.terminate()
            assert process.wait(timeout=30) == 0
            assert not is_mounted(point)
        finally:
            process.kill()
