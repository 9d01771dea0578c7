"""A folder full of files that mean harm: everything in it can be looked at, and nothing comes of it."""

import contextlib
import json
import os
import shutil
import stat
import time

import hostile
import numpy as np
import pytest
from conftest import SEED
from harness import mounted, run

# AFBFS_HOSTILE=100000 for a long run.
COUNT = int(os.environ.get("AFBFS_HOSTILE", "3000"))
# What the process may take in memory, in kB, however many files there are.
MEMORY = 400_000
# A request that takes longer hangs.
SECONDS = 10


def special_files(source, outside):
    """Links in all directions, pipes, sockets, and devices where they can be made."""
    outside.mkdir()
    np.save(outside / "secret.npy", np.frombuffer(b"secret42", "u8"))
    for name, target in {
        "out.npy": outside / "secret.npy",
        "out_relative.npy": "../outside/secret.npy",
        "out_folder": outside,
        "up": "..",
        "self": ".",
        "root": "/",
        "loop_a.npy": "loop_b.npy",
        "loop_b.npy": "loop_a.npy",
        "memory.npy": "/proc/self/mem",
        "zero.raw": "/dev/zero",
        "zero.raw.toml": "/dev/zero",
        "fd.npy": "/proc/self/fd/0",
        "gone.npy": "nowhere.npy",
        "x" * 200 + ".npy": "x" * 200 + ".npy",
    }.items():
        (source / name).symlink_to(target)
    os.mkfifo(source / "pipe.npy")
    os.mkfifo(source / "pipe.raw.toml")
    (source / "pipe.raw").write_bytes(bytes(64))
    (source / "folder.npy").mkdir()
    os.mknod(source / "socket.npy", 0o600 | stat.S_IFSOCK)
    with contextlib.suppress(OSError):
        os.mknod(source / "device.npy", 0o666 | stat.S_IFCHR, os.makedev(1, 5))


@pytest.mark.timeout(0 if COUNT > 3000 else 300)
@pytest.mark.parametrize("options", [[], ["--allow-other", "--update-checksums"]], ids=["alone", "others"])
def test_a_folder_full_of_hostile_files_is_walked(source, scratch, options):
    hostile.make(source, COUNT, SEED)
    special_files(source, scratch / "outside")
    slowest = (0, None)
    with mounted(source, *options) as mnt:
        mnt.spare()
        found = run("find", mnt, "-maxdepth", "2", "-ls", timeout=None)
        assert not found.stderr, found.stderr[-2000:]
        served = refused = 0
        for name in sorted(os.listdir(mnt)):
            if name == ".afbfs":
                continue
            began = time.monotonic()
            inside = set(os.listdir(mnt / name))
            if inside == {"error"}:
                refused += 1
                assert mnt.read(f"{name}/error").endswith(b"\n")
            elif "info.json" in inside:
                served += 1
                look_at_array(mnt, name)
            slowest = max(slowest, (time.monotonic() - began, name))
        walked = mnt.status("VmHWM")
        arrays = mnt.arrays()
        assert mnt.is_alive()
        text = mnt.read(".afbfs/arrays.json").decode()
        assert text.startswith('[\n  {\n    "') and text.endswith("\n  }\n]\n")
        peak, stats = mnt.status("VmHWM"), mnt.stats()
        print(f"{COUNT} files: {served} served, {refused} refused, {len(arrays)} listed, {walked} and {peak} kB, {slowest}")
        assert served > COUNT // 50 and refused > COUNT // 50
        assert peak < MEMORY
        assert slowest[0] < SECONDS, slowest
        assert b"secret42" not in b"".join(json.dumps(entry).encode() for entry in arrays)
        for name in ["out", "out_relative", "out_folder/secret", "up/outside/secret", "memory", "zero", "fd", "loop_a"]:
            with pytest.raises(OSError):
                mnt.read(f"{name}/data")
        assert stats["faults"] == 0
    shutil.rmtree(source)


def look_at_array(mnt, name):
    """Reads the facts, the ends of the data, and a few forms. Errors are answers; hanging, and dying, are not."""
    info = json.loads(mnt.read(f"{name}/info.json"))
    size = os.stat(mnt / name / "data").st_size
    for view in ["data", "row/0", "col/-1", "T/data", "data.npy", "data.txt", "as/f4/data", "value/data.txt", "data.png"]:
        with contextlib.suppress(OSError), mnt.open(f"{name}/{view}") as fd:
            os.pread(fd, 4096, 0)
            os.pread(fd, 4096, max(0, os.fstat(fd).st_size - 4096))
    assert size == info["itemsize"] * np.prod(info["shape"], dtype=object) if "itemsize" in info else size >= 0
    for fact in ["shape", "dtype", "strides", "order"]:
        assert mnt.read(f"{name}/{fact}").endswith(b"\n")


def test_all_that_is_listed_is_there(source):
    """Where elements have no physical values, there is no folder of them."""
    zarr = pytest.importorskip("zarr")
    how = {"shape": (5, 6), "chunks": (2, 6), "compressors": None}
    zarr.create_array(str(source / "missing"), dtype="c8", fill_value=1 + 2j, **how)
    zarr.create_array(str(source / "differs"), dtype="i2", attributes={"scale_factor": [1.0, 2.0]}, **how)
    zarr.create_array(str(source / "same"), dtype="i2", attributes={"scale_factor": [2.0, 2.0]}, **how)
    with mounted(source) as mnt:
        for name, has_values in [("missing", False), ("differs", False), ("same", True)]:
            listed = os.listdir(mnt / name)
            assert ("value" in listed) == has_values
            for entry in listed:
                os.stat(mnt / name / entry)
