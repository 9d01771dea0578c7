"""afbfs unpack: archives, files that are compressed as a whole, and how it fails."""

import bz2
import gzip
import lzma
import os
import signal
import subprocess
import zipfile

import h5py
import nibabel
import numpy as np
import pytest

from harness import afbfs, binary, mounted


@pytest.fixture
def arrays(rng):
    return {
        "a": rng.random((30, 40)),
        "b": np.asfortranarray(rng.integers(0, 5, (7, 9)).astype("i2")),
        "group/c": np.arange(1000, dtype=">u4"),
        "scalar": np.float32(2.5),
        "empty": np.zeros((0, 4), "c8"),
    }


def unpack(*arguments):
    answer = afbfs("unpack", *arguments)
    assert answer.returncode == 0, answer.stderr.decode()
    return answer


def refusal(source, out, *options):
    """The message of a failure, which leaves nothing behind."""
    before = sorted(os.listdir(out.parent))
    answer = afbfs("unpack", source, out, *options)
    assert answer.returncode == 1
    assert sorted(os.listdir(out.parent)) == before
    return answer.stderr.decode()


def test_a_deflated_archive_becomes_one_that_is_served(source, scratch, arrays):
    np.savez_compressed(source / "packed.npz", **arrays)
    unpack(source / "packed.npz", source / "plain.npz")
    with zipfile.ZipFile(source / "plain.npz") as archive:
        assert archive.testzip() is None
        assert all(member.compress_type == zipfile.ZIP_STORED for member in archive.infolist())
    with np.load(source / "plain.npz") as loaded:
        for name, wanted in arrays.items():
            assert loaded[name].dtype == wanted.dtype and loaded[name].tobytes("A") == np.asarray(wanted).tobytes("A")
    with mounted(source) as mnt:
        assert os.listdir(mnt / "packed/a") == ["error"]
        assert mnt.read("plain/a/col/3") == arrays["a"][:, 3].tobytes()
        assert mnt.read("plain/group/c/row/7") == arrays["group/c"][7:8].tobytes()


def test_an_archive_becomes_a_folder_or_one_array(source, scratch, arrays):
    np.savez_compressed(source / "packed.npz", **arrays)
    unpack(source / "packed.npz", scratch / "copies")
    for name, wanted in arrays.items():
        found = np.load(scratch / "copies" / f"{name}.npy")
        assert found.dtype == wanted.dtype and np.array_equal(found, wanted)
    unpack(source / "packed.npz", "--array", "group/c", scratch / "c.npy")
    assert np.array_equal(np.load(scratch / "c.npy"), arrays["group/c"])
    assert "--array" in refusal(source / "packed.npz", scratch / "one.npy")
    assert "nothing" in refusal(source / "packed.npz", scratch / "x.npy", "--array", "nothing")


@pytest.mark.parametrize("suffix, compress", [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)])
def test_a_file_that_is_compressed_as_a_whole(source, scratch, suffix, compress, rng):
    np.save(source / "a.npy", rng.random((50, 60)))
    content = (source / "a.npy").read_bytes()
    (source / f"a.npy{suffix}").write_bytes(compress(content))
    unpack(source / f"a.npy{suffix}", scratch / "a.npy")
    assert (scratch / "a.npy").read_bytes() == content
    (source / f"cut{suffix}").write_bytes(compress(content)[:-200])
    assert f"cut{suffix}" in refusal(source / f"cut{suffix}", scratch / "cut.npy")


def test_a_volume_of_nibabel(source, rng):
    values = rng.integers(0, 1000, (5, 6, 7)).astype("i2")
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), source / "scan.nii.gz")
    with mounted(source) as mnt:
        assert "afbfs unpack" in (mnt / "scan.nii.gz" / "error").read_text() or "afbfs unpack" in (mnt / "scan/error").read_text()
    unpack(source / "scan.nii.gz", source / "plain.nii")
    with mounted(source) as mnt:
        assert mnt.read("plain/data") == values.tobytes()


def test_what_is_there_is_kept(source, scratch, arrays):
    np.savez_compressed(source / "packed.npz", **arrays)
    (scratch / "out.npz").write_text("precious")
    assert "out.npz" in refusal(source / "packed.npz", scratch / "out.npz")
    assert (scratch / "out.npz").read_text() == "precious"
    unpack("--force", source / "packed.npz", scratch / "out.npz")
    with np.load(scratch / "out.npz") as loaded:
        assert np.array_equal(loaded["a"], arrays["a"])


def test_damage_is_found_and_leaves_nothing(source, scratch, arrays):
    np.savez_compressed(source / "packed.npz", **arrays)
    content = bytearray((source / "packed.npz").read_bytes())
    with zipfile.ZipFile(source / "packed.npz") as archive:
        start = archive.getinfo("a.npy").header_offset + 200
    content[start : start + 100] = bytes(100)
    (source / "bad.npz").write_bytes(content)
    message = refusal(source / "bad.npz", scratch / "plain.npz")
    assert "bad.npz" in message and "a" in message
    # A folder has what could be had.
    answer = afbfs("unpack", source / "bad.npz", scratch / "folder")
    assert answer.returncode == 1 and b"bad.npz: a: " in answer.stderr
    assert not (scratch / "folder/a.npy").exists()
    assert np.array_equal(np.load(scratch / "folder/group/c.npy"), arrays["group/c"])
    assert "missing.npz" in refusal(source / "missing.npz", scratch / "x.npz")


def test_an_interrupt_leaves_nothing(source, scratch):
    with h5py.File(source / "large.h5", "w") as file:
        file.create_dataset("x", shape=(20_000, 2_000), dtype="f8", chunks=(100, 100), compression="gzip", fillvalue=1)
        file["x"][:10] = 2
    started = subprocess.Popen([binary(), "unpack", source / "large.h5", scratch / "x.npy"], stderr=subprocess.PIPE)
    while started.poll() is None and not any(name != "source" and "x" in name for name in os.listdir(scratch)):
        pass
    started.send_signal(signal.SIGINT)
    _, message = started.communicate(timeout=60)
    if started.returncode == 0:
        pytest.skip("it was done before the signal came")
    assert not [name for name in os.listdir(scratch) if "x.npy" in name], message
