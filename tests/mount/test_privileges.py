"""What the process behind a mount may do: what serving needs, each right by its name, and nothing beyond it."""

import contextlib
import os
import resource
import shutil
import stat
import subprocess
from pathlib import Path

import numpy as np
import pytest

from harness import as_nobody, eventually, mounted, needs_root, unavailable
from oracle import save_random

# Their numbers, as capabilities(7) has them.
CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, SYS_ADMIN = 0, 1, 2, 3, 21
WRITING = {CHOWN, DAC_OVERRIDE, FOWNER}
UNMOUNTING = {SYS_ADMIN, DAC_READ_SEARCH}
NOBODY = 65534


def mask(capabilities):
    return f"{sum(1 << number for number in capabilities):016x}"


def threads(pid):
    """The lines of /proc/PID/task/TID/status of each thread, by key."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        lines = (task / "status").read_text().splitlines()
        yield {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def check_threads(mnt, kept):
    """Every thread has the rights to serve, but one, which has those to unmount."""
    found = list(threads(mnt.pid))
    assert len(found) >= 7, [thread["Name"] for thread in found]
    assert [thread["Name"] for thread in found].count("unmounter") == 1
    for thread in found:
        wanted = UNMOUNTING if thread["Name"] == "unmounter" else kept
        for which in ["CapPrm", "CapEff", "CapBnd"]:
            assert thread[which] == mask(wanted), (thread["Name"], which)
        for which in ["CapInh", "CapAmb"]:
            assert thread[which] == mask([]), (thread["Name"], which)
        assert thread["NoNewPrivs"] == "1", thread["Name"]


@pytest.mark.parametrize(
    "options, kept",
    [
        ([], WRITING),
        (["--allow-other"], WRITING),
        (["--allow-other", "--follow-links"], WRITING),
        (["--allow-other", "--read-only"], {DAC_READ_SEARCH}),
        (["--cow"], {DAC_READ_SEARCH, FOWNER}),
        (["--cow", "--cache", "pages"], {DAC_READ_SEARCH, FOWNER}),
        (["--cache", "pages"], {*WRITING, SYS_ADMIN}),
        (["--cache", "pages", "--read-only"], {DAC_READ_SEARCH, SYS_ADMIN}),
    ],
)
def test_every_thread_has_the_named_capabilities_and_no_other(source, rng, options, kept):
    needs_root()
    array = save_random(source / "a.npy", rng, "<f8", (300, 200))
    with mounted(source, *options) as mnt:
        check_threads(mnt, kept)
        # Threads that are started later, too.
        for view in ["a/data.png", "a/data.txt", "a/row/3"]:
            assert mnt.read(view)
        if "--read-only" not in options:
            mnt.write("a/row/3", array.path.read_bytes()[-1600:])
            (mnt / "a/row/4.txt").write_text("7 " * 200)
        check_threads(mnt, kept)


@pytest.fixture
def of_nobody(source, rng):
    """An array that only its owner can reach: another user than the one who mounts."""
    needs_root()
    folder = source / "private"
    folder.mkdir()
    array = save_random(folder / "a.npy", rng, "<f8", (8, 5))
    for path in [folder, array.path]:
        os.chown(path, NOBODY, NOBODY)
    array.path.chmod(0o600)
    folder.chmod(0o700)
    if as_nobody("ls", folder).returncode:
        unavailable(f"other users cannot enter {source}")
    return array


def test_arrays_of_any_owner_are_read_and_written(of_nobody, source):
    with mounted(source, "--allow-other") as mnt:
        view = mnt / "private/a/row/3"
        assert as_nobody("cat", view).stdout == of_nobody.path.read_bytes()[128 + 120 : 128 + 160]
        assert as_nobody("bash", "-c", f"echo 1 2 3 4 5 > {view}.txt").returncode == 0
        assert np.load(of_nobody.path)[3].tolist() == [1, 2, 3, 4, 5]
        assert as_nobody("touch", "-d", "2001-02-03 04:05:06 UTC", view).returncode == 0
        assert of_nobody.path.stat().st_mtime == 981173106
    with mounted(source, "--allow-other", "--read-only") as mnt:
        assert as_nobody("cat", mnt / "private/a/row/3.txt").stdout.split() == [b"1.0", b"2.0", b"3.0", b"4.0", b"5.0"]


def zarr_of_nobody(source, separator):
    zarr = pytest.importorskip("zarr")
    how = {"chunk_key_encoding": {"name": "default", "separator": separator}}
    made = zarr.create_array(str(source / "z"), shape=(4, 4), chunks=(2, 2), dtype="u1", compressors=None, fill_value=5, **how)
    for path in [source / "z", *(source / "z").rglob("*")]:
        os.chown(path, NOBODY, NOBODY)
    return made


@pytest.mark.parametrize("separator", ["/", "."])
def test_a_piece_that_is_made_belongs_to_the_owner_of_the_array(source, separator):
    needs_root()
    made = zarr_of_nobody(source, separator)
    with mounted(source, "--allow-other") as mnt:
        assert as_nobody("bash", "-c", f"echo 1 2 3 4 > {mnt.path}/z/row/3.txt").returncode == 0
        assert as_nobody("cat", mnt / "z/row/3").stdout == bytes([1, 2, 3, 4])
    with mounted(source, "--allow-other") as mnt:
        assert as_nobody("cat", mnt / "z/row/3").stdout == bytes([1, 2, 3, 4])
    assert made[3].tolist() == [1, 2, 3, 4] and made[2].tolist() == [5] * 4
    pieces = [path for path in (source / "z").rglob("*") if path.is_file()]
    assert len(pieces) == 3
    for path in pieces:
        assert (path.stat().st_uid, path.stat().st_gid) == (NOBODY, NOBODY), path
        assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((source / "z/zarr.json").stat().st_mode), path


def test_a_file_that_waits_under_the_name_of_one_that_is_made_is_left_alone(source, scratch):
    needs_root()
    zarr_of_nobody(source, ".")
    secret = scratch / "secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    with mounted(source, "--allow-other") as mnt:
        for number in range(4):
            for piece in ["c.1.0", "c.1.1"]:
                os.link(secret, source / f"z/.{piece}.{mnt.pid}-{number}.partial")
        assert as_nobody("bash", "-c", f"echo 1 2 3 4 > {mnt.path}/z/row/3.txt").returncode == 0
        assert as_nobody("cat", mnt / "z/row/3").stdout == bytes([1, 2, 3, 4])
    assert secret.read_text() == "secret"
    assert (secret.stat().st_uid, stat.S_IMODE(secret.stat().st_mode)) == (0, 0o600)


def test_a_write_takes_the_setuid_bit_away(source, rng):
    needs_root()
    array = save_random(source / "a.npy", rng, "<f8", (8, 5))
    array.path.chmod(0o4777)
    with mounted(source, "--allow-other") as mnt:
        as_nobody("bash", "-c", f"echo 1 2 3 4 5 > {mnt.path}/a/row/3.txt")
        assert stat.S_IMODE((mnt / "a/row/3").stat().st_mode) == 0o666


def test_the_mount_carries_no_setuid_programs_and_no_devices(source, rng):
    needs_root()
    save_random(source / "a.npy", rng, "<f8", (8, 5))
    with mounted(source, "--allow-other") as mnt:
        line = next(line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f" {mnt.path} " in line)
        assert {"nosuid", "nodev"} <= set(line.split()[5].split(","))


@pytest.mark.parametrize(
    "options, kept",
    [
        ([], "are out of reach"),
        (["--array", "name=x,file=x.bin,dtype=u1,shape=4"], "are out of reach"),
        (["--array", "name=x,file=../x.bin,dtype=u1,shape=4"], "stay within reach"),
        (["--follow-links"], "stay within reach"),
    ],
)
def test_the_process_is_kept_within_the_source(source, rng, scratch, options, kept):
    save_random(source / "a.npy", rng, "<f8", (8, 5))
    for folder in [source, scratch]:
        (folder / "x.bin").write_bytes(bytes(4))
    log = scratch / "log"
    with mounted(source, "--log-file", log, *options, env={**os.environ, "RUST_LOG": "afbfs=debug"}) as mnt:
        assert mnt.read("a/row/1")
        said = log.read_text()
        if "NotEnforced" in said:
            unavailable("this kernel has no Landlock")
        assert kept in said


def test_a_link_that_comes_and_goes_never_leads_out(source, rng, scratch):
    needs_root()
    array = save_random(source / "a.npy", rng, "<f8", (8, 5))
    np.save(scratch / "secret.npy", np.full((8, 5), 42.0))
    (scratch / "secret.npy").chmod(0o600)
    link, file, said = scratch / "link", scratch / "file", scratch / "said"
    inside = array.path.read_bytes()
    with mounted(source, "--allow-other") as mnt:
        reader = f"for i in $(seq 300); do cat {mnt.path}/a.npy/row/3.txt {mnt.path}/a.npy/error 2>&1; done"
        with said.open("wb") as output, subprocess.Popen(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "bash", "-c", reader], stdout=output
        ) as process:
            while process.poll() is None:
                link.symlink_to(scratch / "secret.npy")
                os.replace(link, array.path)
                file.write_bytes(inside)
                os.replace(file, array.path)
    text = said.read_text()
    assert text and " 42.0" not in text


# Opens files for reading until it may no more, maps them where asked to, and waits.
HOG = """
import mmap, os, resource, sys
limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
count, kept = 0, []
try:
    while count < 1000:
        fd = os.open(sys.argv[1].replace("%", str(count % 50)), os.O_RDONLY)
        kept.append(mmap.mmap(fd, 8, mmap.MAP_SHARED, mmap.PROT_READ) if sys.argv[2] == "map" else fd)
        if sys.argv[2] == "map":
            os.close(fd)
        count += 1
except OSError as error:
    print(count, error.strerror, flush=True)
else:
    print(count, "no error", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def hog(path, how="open"):
    """Somebody who has opened as much as may be; how often that was, and the error that ended it."""
    python = shutil.which("python3", path="/usr/bin:/bin") or unavailable("there is no Python that every user may run")
    command = ["setpriv", "--reuid=1234", "--regid=1234", "--clear-groups", python, "-c", HOG, path, how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        count, error = process.stdout.readline().strip().split(" ", 1)
        yield int(count), error
        process.stdin.close()


@pytest.mark.parametrize(
    "view, how, most",
    [
        ("a%/row/3", "open", 100),
        # A share is of descriptors; the text of a preview counts as more than one.
        ("a%/data.png", "open", 100),
        ("a%/info.json", "open", 100),
        ("folder", "open", 100),
        ("a%/row", "open", 100),
        ("a%/row/3", "map", 100),
    ],
)
def test_nobody_uses_up_what_there_is_for_all(source, rng, view, how, most):
    needs_root()
    (source / "folder").mkdir()
    for number in range(50):
        save_random(source / f"a{number}.npy", rng, "<f8", (8, 5))
    if as_nobody("ls", source).returncode:
        unavailable(f"other users cannot enter {source}")

    def few_descriptors():
        resource.setrlimit(resource.RLIMIT_NOFILE, (400, 400))

    with mounted(source, "--allow-other", preexec_fn=few_descriptors) as mnt:
        for _ in range(3):
            with hog(f"{mnt.path}/{view}", how) as (count, error):
                assert 1 < count <= most and error == "Too many open files", (count, error)
                # Others, and the one who mounts, notice nothing.
                assert as_nobody("cat", mnt / "a7/row/3.txt").returncode == 0
                assert as_nobody("ls", mnt / "folder").returncode == 0
                with contextlib.ExitStack() as stack:
                    for number in range(120):
                        stack.enter_context(mnt.open(f"a{number % 50}/row/{number % 8}"))
        # What was closed counts no more.
        eventually(lambda: mnt.stats()["open_handles"] <= 1, "all handles are closed")
        with hog(f"{mnt.path}/a%/row/3") as (count, _):
            assert count == 100


def test_without_other_users_there_are_no_shares(source, rng):
    save_random(source / "a.npy", rng, "<f8", (8, 5))
    with mounted(source) as mnt, contextlib.ExitStack() as stack:
        for number in range(200):
            stack.enter_context(mnt.open(f"a/row/{number % 8}"))
