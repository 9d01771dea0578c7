"""Files that do not describe themselves: --array, a sidecar, or a name that says it all."""

import contextlib
import os
import subprocess
import tempfile

import numpy as np
import pytest

from harness import (
    afbfs,
    cleared,
    eventually,
    is_mounted,
    mounted,
    mountpoint_for,
    needs_command,
    needs_root,
    refused,
    unavailable,
)
from oracle import json_dtype


@pytest.fixture
def values(rng):
    return np.frombuffer(rng.bytes(100 * 200 * 4), "<f4").reshape(100, 200)


def check_array(mnt, name, wanted):
    """All of the array, a row, and a write that reaches the file."""
    assert mnt.read(f"{name}/data") == wanted.tobytes()
    assert mnt.read(f"{name}/row/-1") == wanted[-1].tobytes()
    assert mnt.read(f"{name}/col/1") == wanted[:, 1].tobytes()
    assert (mnt / name / "shape").read_text().split() == [str(length) for length in wanted.shape]
    assert (mnt / name / "format").read_text() == "raw\n"


def test_an_array_described_on_the_command_line(source, values):
    stored = bytearray(b"h" * 512 + values.tobytes(order="F") + b"trailer")
    (source / "x.bin").write_bytes(stored)
    spec = "name=x,file=x.bin,dtype=f4,shape=100x200,offset=512,order=F"
    with mounted(source, "--array", spec) as mnt:
        assert set(os.listdir(mnt)) - {".afbfs"} == {"x"}
        check_array(mnt, "x", values)
        facts = {name: (mnt / "x" / name).read_text() for name in ["dtype", "offset", "order", "strides"]}
        assert facts == {"dtype": "<f4\n", "offset": "512\n", "order": "F\n", "strides": "4 400\n"}
        mnt.write("x/slice/3,5", b"\x07" * 4)
        at = 512 + (3 + 5 * 100) * 4
        stored[at : at + 4] = b"\x07" * 4
        assert (source / "x.bin").read_bytes() == stored


def test_several_arrays_in_one_file(source, values):
    shorts = np.arange(20_000, dtype=">i2")
    (source / "x.bin").write_bytes(bytes(16) + values.tobytes() + shorts.tobytes())
    first = "name=floats,file=x.bin,dtype=<f4,shape=100x200,offset=16"
    second = f"name=shorts,file=x.bin,dtype=>i2,shape=20000,offset={16 + values.nbytes}"
    with mounted(source, "--array", first, "--array", second) as mnt:
        check_array(mnt, "floats", values)
        assert mnt.read("shorts/data") == shorts.tobytes()
        entries = {entry["path"]: entry for entry in mnt.arrays()}
        assert set(entries) == {"floats", "shorts"}
        assert {entry["file"] for entry in entries.values()} == {"x.bin"}
        assert json_dtype(entries["shorts"]["dtype"]) == np.dtype(">i2")


def test_overlapping_descriptions_alias(source):
    (source / "x.bin").write_bytes(bytes(64))
    with mounted(
        source, "--array", "name=p,file=x.bin,dtype=u1,shape=64", "--array", "name=q,file=x.bin,dtype=<u4,shape=4x4"
    ) as mnt:
        with mnt.open("q/T/data") as fd:
            mnt.write("p/range/16", b"\xff")
            assert os.pread(fd, 4, 4) == b"\xff\0\0\0"


def test_an_array_outside_the_source_is_named_by_its_absolute_path(source, scratch, values):
    outside = scratch / "outside.bin"
    outside.write_bytes(values.tobytes())
    with mounted(source, "--array", f"name=x,file={outside},dtype=f4,shape=100x200") as mnt:
        check_array(mnt, "x", values)
        mnt.write("x/row/0", bytes(800))
    assert outside.read_bytes()[:800] == bytes(800)


def test_an_array_in_shared_memory(source, values):
    if not os.access("/dev/shm", os.W_OK):
        unavailable("there is no /dev/shm")
    with tempfile.NamedTemporaryFile(dir="/dev/shm", prefix="afbfs-test-") as shared:
        shared.write(values.tobytes())
        shared.flush()
        with mounted(source, "--array", f"name=x,file={shared.name},dtype=f4,shape=100x200") as mnt:
            check_array(mnt, "x", values)
            array = np.memmap(shared.name, "<f4", "r+", shape=(100, 200))
            array[7, 9] = 42
            assert mnt.read("x/slice/7,9") == np.float32(42).tobytes()


@contextlib.contextmanager
def block_device(image):
    """A loop device of this file."""
    needs_root()
    losetup = needs_command("losetup")
    found = subprocess.run([losetup, "--find", "--show", image], capture_output=True, text=True, check=False)
    if found.returncode:
        unavailable(f"losetup: {found.stderr}")
    device = found.stdout.strip()
    try:
        yield device
    finally:
        subprocess.run([losetup, "--detach", device], check=True)


def test_an_array_on_a_block_device(source, scratch, values):
    image = scratch / "image"
    image.write_bytes(bytes(4096) + values.tobytes() + bytes(-values.nbytes % 4096))
    with block_device(image) as device:
        with mounted(source, "--array", f"name=x,file={device},dtype=f4,shape=100x200,offset=4096") as mnt:
            check_array(mnt, "x", values)
            with mnt.open("x/row/3", os.O_RDWR) as fd:
                os.pwrite(fd, b"\x05" * 800, 0)
                os.fsync(fd)
            assert mnt.read("x/col/0")[12:16] == b"\x05" * 4
    assert image.read_bytes()[4096 + 2400 : 4096 + 3200] == b"\x05" * 800


@pytest.mark.parametrize("shape", ['"100x200"', "[100, 200]"])
def test_an_array_described_by_a_sidecar(source, values, shape):
    (source / "x.bin").write_bytes(b"h" * 512 + values.tobytes(order="F"))
    (source / "x.bin.toml").write_text(f'dtype = "f4"\nshape = {shape}\noffset = 512\norder = "F"\n')
    with mounted(source) as mnt:
        assert set(os.listdir(mnt)) - {".afbfs"} == {"x"}
        check_array(mnt, "x", values)
        check_array(mnt, "x.bin", values)


@pytest.mark.parametrize(
    "sidecar, word",
    [
        ('shape = "3"\n', "dtype"),
        ('dtype = "quux"\nshape = "3"\n', "quux"),
        ('dtype = "f4"\nshape = "3x"\n', "shape"),
        ('dtype = "f4"\nshape = "30000"\n', "30000"),
        ('dtype = "f4"\nshape = "3"\norder = "Z"\n', "order"),
        ('dtype = "f4"\nshape = "3"\noffset = -1\n', "offset"),
        ('dtype = "f4"\nshape = "3"\ncolour = "red"\n', "colour"),
        ("this is no TOML", "x.bin.toml"),
    ],
)
def test_a_sidecar_that_is_wrong_is_an_error_that_says_so(source, sidecar, word):
    (source / "x.bin").write_bytes(bytes(12))
    (source / "x.bin.toml").write_text(sidecar)
    with mounted(source) as mnt:
        assert os.listdir(mnt / "x") == ["error"]
        message = (mnt / "x/error").read_text()
        assert word in message and "x.bin" in message


def test_a_name_that_says_it_all(source, values):
    # Dimensions fastest first, as volume data sets have it.
    (source / "x_200x100_float32.raw").write_bytes(values.tobytes())
    (source / "volume_4x3x2_uint8.raw").write_bytes(bytes(range(24)))
    (source / "nameless.raw").write_bytes(bytes(24))
    with mounted(source) as mnt:
        assert {"x_200x100_float32", "volume_4x3x2_uint8"} <= set(os.listdir(mnt))
        check_array(mnt, "x_200x100_float32", values)
        check_array(mnt, "x_200x100_float32.raw", values)
        check_array(mnt, "volume_4x3x2_uint8", np.arange(24, dtype="u1").reshape(2, 3, 4))


def test_a_name_that_promises_more_than_the_file_holds(source):
    (source / "short_200x100_float32.raw").write_bytes(bytes(100))
    with mounted(source) as mnt:
        assert os.listdir(mnt / "short_200x100_float32") == ["error"]
        message = (mnt / "short_200x100_float32/error").read_text()
        assert "80000" in message and "100" in message


def test_a_description_of_a_file_that_is_not_there(source):
    spec = "name=x,file=nowhere.bin,dtype=f4,shape=3"
    with mountpoint_for(source) as folder, cleared(folder):
        answer = afbfs("mount", "--array", spec, source, folder)
        if answer.returncode == 0:
            assert os.listdir(folder / "x") == ["error"]
            assert "nowhere.bin" in (folder / "x/error").read_text()
            assert afbfs("umount", folder).returncode == 0
        else:
            assert answer.returncode == 1 and "nowhere.bin" in answer.stderr.decode()
        assert not is_mounted(folder)


def test_the_command_reads_descriptions_too(source, values):
    (source / "x_200x100_float32.raw").write_bytes(values.tobytes())
    (source / "y.bin").write_bytes(values.tobytes())
    (source / "y.bin.toml").write_text('dtype = "f4"\nshape = "100x200"\n')
    for name in ["x_200x100_float32", "y"]:
        assert afbfs("cat", source, f"{name}/row/7").stdout == values[7].tobytes()
    listed = afbfs("ls", source).stdout.decode()
    assert "x_200x100_float32" in listed and "raw" in listed


def test_a_sidecar_that_grows_beyond_reason_is_refused(source):
    (source / "x.bin").write_bytes(bytes(64))
    sidecar = source / "x.bin.toml"
    sidecar.write_text('dtype = "f8"\nshape = "8"\n')
    with mounted(source) as mnt:
        assert mnt.read("x/shape") == b"8\n"
        with mnt.open("x/data", os.O_RDWR) as fd:
            os.truncate(sidecar, 1 << 40)
            with refused("ESTALE"):
                os.pwrite(fd, b"12345678", 0)
        eventually(lambda: os.listdir(mnt / "x") == ["error"], "the array is refused")
        assert mnt.is_alive()
