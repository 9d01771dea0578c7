"""afbfs unpack: archives, files that were compressed as a whole, and what becomes of OUT."""

import bz2
import contextlib
import gzip
import io
import lzma
import os
import signal
import subprocess
import time
import zipfile

import nibabel
import nrrd
import numcodecs
import numpy as np
import pytest

from harness import afbfs, binary, mounted


def unpack(*arguments):
    answer = afbfs("unpack", *arguments)
    assert answer.returncode == 0, answer.stderr.decode()


def refusal(source, out, *options):
    """The message of a failure, which leaves nothing behind."""
    before = sorted(os.listdir(out.parent))
    answer = afbfs("unpack", source, out, *options)
    assert answer.returncode == 1
    assert sorted(os.listdir(out.parent)) == before
    return answer.stderr.decode()


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.fixture
def arrays(rng):
    return {
        "x": rng.integers(0, 9, (40, 50)),
        "fortran": np.asfortranarray(rng.random((4, 5))),
        "scalar": np.array(3.5, ">f4"),
        "empty": np.zeros((0, 3)),
        "record": np.zeros(3, [("a", "i2"), ("b", "U4")]),
    }


@pytest.fixture
def archive(scratch, arrays):
    path = scratch / "a.npz"
    np.savez_compressed(path, **arrays)
    return path


def check_arrays(found, wanted):
    assert set(found) == set(wanted)
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)


def test_an_archive_with_all_members_stored(scratch, archive, arrays):
    plain = scratch / "plain.npz"
    unpack(archive, plain)
    with np.load(plain) as found:
        check_arrays(found, arrays)
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(plain) as new:
        assert new.testzip() is None
        for before, after in zip(old.infolist(), new.infolist(), strict=True):
            assert after.compress_type == zipfile.ZIP_STORED
            assert (after.filename, after.date_time, after.CRC) == (before.filename, before.date_time, before.CRC)
            # Aligned, as the elements are within the member.
            header = plain.read_bytes()[after.header_offset :]
            name, extra = (int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
            assert (after.header_offset + 30 + name + extra) % 64 == 0
    with mounted(scratch) as mnt:
        assert os.listdir(mnt / "a/x") == ["error"]
        assert "afbfs unpack" in (mnt / "a/x/error").read_text()
        assert mnt.read("plain/x/col/3") == arrays["x"][:, 3].tobytes()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_whatever_else_is_in_an_archive(scratch, arrays, method):
    path, plain = scratch / "a.zip", scratch / "b.zip"
    with zipfile.ZipFile(path, "w", method) as file:
        file.comment = "größe".encode()
        file.mkdir("folder")
        file.writestr("README", "no array" * 100)
        file.writestr("größe.npy", npy(arrays["x"]))
        with file.open("long.npy", "w", force_zip64=True) as member:
            member.write(npy(arrays["fortran"]))
    unpack(path, plain)
    with zipfile.ZipFile(plain) as file:
        assert file.comment == "größe".encode()
        assert file.namelist() == ["folder/", "README", "größe.npy", "long.npy"]
        assert file.testzip() is None
        assert file.read("README") == b"no array" * 100
        assert file.read("größe.npy") == npy(arrays["x"])


def test_methods_that_are_not_built_in_are_named(scratch, arrays):
    path = scratch / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as file:
        file.writestr("x.npy", npy(arrays["x"]))
    for out, option in [("b.npz", ()), ("x.npy", ("--array", "x")), ("out", ())]:
        assert "compressed with LZMA, which is not built in" in refusal(path, scratch / out, *option)


def test_an_archive_to_a_folder_and_to_one_file(scratch, archive, arrays):
    unpack(archive, scratch / "out")
    check_arrays({path.stem: np.load(path) for path in (scratch / "out").iterdir()}, arrays)
    unpack(archive, scratch / "x.npy", "--array", "x", "--quiet")
    assert (scratch / "x.npy").read_bytes() == npy(arrays["x"])
    message = refusal(archive, scratch / "y.npy")
    assert "several arrays; choose one with --array" in message and "fortran" in message
    assert "holds no array y; `afbfs ls" in refusal(archive, scratch / "y.npy", "--array", "y")
    assert "must end in .npy" in refusal(archive, scratch / "y", "--array", "x")


def test_stored_members_and_objects_in_a_folder(scratch, arrays):
    path = scratch / "a.npz"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x.npy", npy(arrays["x"]))
        file.writestr("group/x.npy", npy(arrays["fortran"]), zipfile.ZIP_DEFLATED)
        file.writestr("object.npy", npy(np.array([None])), zipfile.ZIP_DEFLATED)
    answer = afbfs("unpack", path, scratch / "out")
    assert answer.returncode == 1
    assert b"object: it holds Python objects" in answer.stderr
    assert b"1 of 3 arrays could not be unpacked" in answer.stderr
    found = {str(path.relative_to(scratch / "out")): np.load(path) for path in (scratch / "out").rglob("*.npy")}
    check_arrays(found, {"x.npy": arrays["x"], "group/x.npy": arrays["fortran"]})


def test_other_formats_are_copied(scratch, arrays):
    np.save(scratch / "a.npy", arrays["fortran"])
    unpack(scratch / "a.npy", scratch / "b.npy")
    found = np.load(scratch / "b.npy")
    assert found.flags.c_contiguous and np.array_equal(found, arrays["fortran"])
    np.save(scratch / "c.npy", np.ascontiguousarray(arrays["x"]))
    unpack(scratch / "c.npy", scratch / "d.npy")
    # Byte for byte what NumPy writes.
    assert (scratch / "d.npy").read_bytes() == (scratch / "c.npy").read_bytes()
    assert "must end in .npy" in refusal(scratch / "a.npy", scratch / "out")


def test_a_folder_has_what_could_be_had(scratch, archive, arrays):
    content = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as file:
        start = file.getinfo("x.npy").header_offset
    # The header of the array cannot be read any more.
    content[start + 60 : start + 160] = bytes(100)
    archive.write_bytes(content)
    answer = afbfs("unpack", archive, scratch / "out")
    assert answer.returncode == 1 and b"a.npz: x: " in answer.stderr
    del arrays["x"]
    check_arrays({path.stem: np.load(path) for path in (scratch / "out").iterdir()}, arrays)


def test_damaged_archives(scratch, archive):
    whole = archive.read_bytes()
    with zipfile.ZipFile(archive) as file:
        info = file.getinfo("x.npy")
    at = info.header_offset + 30 + len("x.npy") + info.compress_size // 2
    for damaged in (whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :], whole[: len(whole) // 2], b"PK\3\4"):
        archive.write_bytes(damaged)
        for out in (scratch / "b.npz", scratch / "out"):
            assert "afbfs: " in refusal(archive, out)
    # A member that is longer, or shorter, than its directory says.
    for size in (-1, 1):
        directory = whole.index(b"PK\1\2")
        header = info.header_offset
        changed = bytearray(whole)
        for field in (directory + 24, header + 22):
            stored = int.from_bytes(changed[field : field + 4], "little")
            if stored != 0xFFFFFFFF:
                changed[field : field + 4] = (stored + size).to_bytes(4, "little")
        local = bytes(changed[header + 30 + 5 : header + 60])
        long = int(info.file_size).to_bytes(8, "little")
        if long in local:
            place = header + 35 + local.index(long)
            changed[place : place + 8] = (info.file_size + size).to_bytes(8, "little")
        archive.write_bytes(changed)
        assert "bytes that its directory claims" in refusal(archive, scratch / "b.npz")


@pytest.mark.parametrize(
    ("extension", "compress"),
    [
        ("gz", gzip.compress),
        ("bz2", bz2.compress),
        ("xz", lzma.compress),
        ("zst", lambda data: bytes(numcodecs.Zstd(3, checksum=True).encode(data))),
    ],
)
def test_files_compressed_as_a_whole(scratch, rng, extension, compress):
    content = npy(rng.integers(0, 9, 400_000, "u1"))
    packed, plain = scratch / f"a.npy.{extension}", scratch / "a.npy"
    packed.write_bytes(compress(content))
    unpack(packed, plain)
    assert plain.read_bytes() == content
    if extension != "xz":
        packed.write_bytes(compress(content[:1000]) + compress(content[1000:]))
        unpack(packed, plain, "--force")
        assert plain.read_bytes() == content
    whole = compress(content)
    for cut in (20, len(whole) // 2, len(whole) - 2):
        packed.write_bytes(whole[:cut])
        assert "damaged, or end too early" in refusal(packed, scratch / "b.npy")
    packed.write_bytes(whole[: len(whole) // 2] + bytes(9) + whole[len(whole) // 2 + 9 :])
    assert "damaged" in refusal(packed, scratch / "b.npy")
    packed.write_bytes(compress(b"SIMPLE  = T"))
    assert "holds a file that is no .npy" in refusal(packed, scratch / "b.npy")
    unpack(packed, scratch / "a.fits")
    assert (scratch / "a.fits").read_bytes() == b"SIMPLE  = T"
    assert "leave --array out" in refusal(packed, scratch / "b.fits", "--array", "a")


def test_a_volume_of_nibabel(source, rng):
    values = rng.integers(0, 1000, (5, 6, 7)).astype("<i2")
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), source / "scan.nii.gz")
    with mounted(source) as mnt:
        errors = [path.read_text() for path in (mnt / "scan/error", mnt / "scan.nii.gz/error") if path.exists()]
        assert errors and all("afbfs unpack" in error for error in errors)
    unpack(source / "scan.nii.gz", source / "plain.nii")
    with mounted(source) as mnt:
        assert mnt.read("plain/data") == values.tobytes()


@pytest.mark.parametrize("encoding", ["gzip", "bzip2"])
@pytest.mark.parametrize("is_detached", [False, True])
def test_nrrd(scratch, rng, encoding, is_detached):
    header = scratch / ("a.nhdr" if is_detached else "a.nrrd")
    for values in (rng.integers(0, 9, (5, 6, 7)).astype("<i2"), rng.random((3, 4)).astype(">f8"), rng.random(9)):
        nrrd.write(str(header), values, {"encoding": encoding})
        assert "afbfs unpack" in afbfs("ls", header).stdout.decode()
        unpack(header, scratch / "a.npy", "--force")
        found = np.load(scratch / "a.npy")
        assert found.dtype.newbyteorder("=") == values.dtype.newbyteorder("=")
        assert np.array_equal(found, nrrd.read(str(header))[0])
    data = next(path for path in sorted(scratch.iterdir()) if path.name in ("a.raw.gz", "a.raw.bz2", "a.nrrd"))
    whole, text = data.read_bytes(), header.read_bytes()
    data.write_bytes(whole[:-9])
    assert "damaged, or end too early" in refusal(header, scratch / "b.npy")
    data.write_bytes(whole)
    for size, why in [(b"8", "more than the 64 bytes"), (b"10", "72 of the 80 bytes")]:
        header.write_bytes(text.replace(b"sizes: 9", b"sizes: " + size))
        assert why in refusal(header, scratch / "b.npy")


def test_nothing_is_replaced_unasked(scratch, archive, arrays):
    kept = scratch / "x.npy"
    kept.write_text("mine")
    assert "is there already" in refusal(archive, kept, "--array", "x")
    assert kept.read_text() == "mine"
    unpack(archive, kept, "--array", "x", "--force")
    assert np.array_equal(np.load(kept), arrays["x"])

    folder = scratch / "out"
    (folder / "group").mkdir(parents=True)
    assert "is there already" in refusal(archive, folder)
    (folder / "group/old.npy").write_text("old")
    (folder / "notes.txt").write_text("mine")
    assert "holds more than .npy files" in refusal(archive, folder, "--force")
    assert (folder / "notes.txt").read_text() == "mine"
    (folder / "notes.txt").unlink()
    unpack(archive, folder, "--force")
    assert sorted(path.stem for path in folder.iterdir()) == sorted(arrays)

    (scratch / "folder.npy").mkdir()
    assert "is a folder, and a file" in refusal(archive, scratch / "folder.npy", "--array", "x", "--force")
    # In place: the old archive is read until the new one has its name.
    unpack(archive, archive, "--force")
    with zipfile.ZipFile(archive) as file:
        assert {info.compress_type for info in file.infolist()} == {zipfile.ZIP_STORED}


def test_names_of_out(scratch, archive):
    np.savez_compressed(scratch / "empty.npz")
    assert "name it without .h5" in refusal(archive, scratch / "out.h5")
    assert "No such file" in refusal(scratch / "missing.npz", scratch / "b.npz")
    answer = afbfs("unpack", archive, scratch / "missing/b.npz")
    assert answer.returncode == 1 and b"missing/b.npz: No such file" in answer.stderr
    (scratch / "text.txt").write_text("no array")
    assert "no array file that afbfs knows" in refusal(scratch / "text.txt", scratch / "b.npy")
    assert afbfs("unpack", archive).returncode == 2
    assert b"afbfs unpack a.npz plain.npz" in afbfs("unpack", "--help").stdout


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing(scratch, how):
    # Zeros pack well: the signal comes long before the last of 6.5 GiB.
    source = scratch / "source"
    source.mkdir()
    with open(source / "a.npy.gz", "wb") as file:
        file.write(gzip.compress(npy(np.zeros(1 << 20))) + gzip.compress(bytes(1 << 24)) * 400)
    out = scratch / "out"
    out.mkdir()
    process = subprocess.Popen([binary(), "unpack", source / "a.npy.gz", out / "a.npy"], stderr=subprocess.PIPE)
    with contextlib.closing(process.stderr):
        end = time.monotonic() + 30
        while not any(path.stat().st_size for path in out.iterdir()):
            assert time.monotonic() < end and process.poll() is None
        process.send_signal(how)
        message = process.stderr.read()
        assert process.wait(30) == 1
    assert b"interrupted; nothing was written" in message
    assert os.listdir(out) == []


def test_a_full_disk_leaves_nothing(scratch, rng):
    path = scratch / "a.npz"
    np.savez_compressed(path, x=rng.random(100_000))
    # Files may have 100 KiB.
    for out in ("b.npz", "out", "x.npy"):
        command = f"trap '' XFSZ; ulimit -f 100; exec {binary()} unpack {path} {scratch / out}"
        command += " --array x" if out == "x.npy" else ""
        answer = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60, check=False)
        assert answer.returncode == 1
        assert b"File too large" in answer.stderr
    assert os.listdir(scratch) == ["a.npz"]
