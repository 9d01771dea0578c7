"""ZIP archives of .npy files: what numpy.savez writes, and what anybody else may make of it."""

import io
import json
import os
import shutil
import threading
import warnings
import zipfile
import zlib

import numpy as np
import pytest

from harness import afbfs, eventually, mounted, refused
from oracle import as_stored, file_name, json_dtype


class Stream:
    """A file that cannot seek: zipfile then writes sizes and checksums behind the bodies."""

    def __init__(self, path):
        self.file = open(path, "wb")

    def write(self, data):
        return self.file.write(data)

    def read(self, *_):
        raise OSError

    def flush(self):
        self.file.flush()


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.fixture
def arrays(rng):
    point = np.dtype([("x", "<i4"), ("y", "<f8", (2,))])
    return {
        "plain": rng.random((5, 7)),
        "fortran": np.asfortranarray(rng.random((4, 3, 2)).astype(">f4")),
        "scalar": np.array(3.5, "f4"),
        "text": np.array(["a", "bcd"]),
        "empty": np.zeros((0, 3), "i2"),
        "record": np.frombuffer(rng.bytes(3 * point.itemsize), point),
        "complex": rng.random(6).astype("c8").reshape(2, 3),
        "group/inner": np.arange(5, dtype="i2"),
        "group/deeper/inner": np.arange(6, dtype="u1").reshape(2, 3),
        "größe": np.arange(3, dtype="u8"),
    }


def write(target, arrays, comment=b"", extra=b"", force_zip64=False):
    """An archive of these arrays, among other things."""
    with zipfile.ZipFile(target, "w") as archive:
        archive.comment = comment
        archive.writestr("README", "no array")
        for name, array in arrays.items():
            info = zipfile.ZipInfo(f"{name}.npy")
            info.extra = extra
            with archive.open(info, "w", force_zip64=force_zip64) as member:
                member.write(npy(array))


def path_of(name):
    return "/".join(file_name(part) for part in name.split("/"))


def check_array(mnt, path, wanted):
    """All of an array, and some views of it."""
    assert mnt.read(f"{path}/data") == as_stored(wanted)
    assert mnt.read(f"{path}/T/data") == as_stored(wanted.T)
    assert mnt.read(f"{path}/slice/...") == as_stored(wanted)
    assert (mnt / path / "shape").read_text().split() == [str(length) for length in wanted.shape]
    assert (mnt / path / "format").read_text() == "npz\n"
    if wanted.ndim and wanted.shape[0]:
        assert mnt.read(f"{path}/row/-1") == as_stored(wanted[-1:])
    if wanted.ndim > 1 and wanted.shape[1]:
        assert mnt.read(f"{path}/col/1") == as_stored(wanted[:, 1:2])
        assert mnt.read(f"{path}/slice/::-1,1:") == as_stored(wanted[::-1, 1:])


def check_archive(mnt, name, path):
    """Every array of an archive against what zipfile and NumPy read, and arrays.json."""
    entries = {entry["path"]: entry for entry in mnt.arrays() if entry["file"] == os.path.basename(path)}
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.namelist() if member.endswith(".npy")]
        wanted = {member.removesuffix(".npy"): np.load(io.BytesIO(archive.read(member))) for member in members}
    assert set(entries) == {f"{name}/{path_of(member)}" for member in wanted}
    for member, array in wanted.items():
        shown = f"{name}/{path_of(member)}"
        check_array(mnt, shown, array)
        entry = entries[shown]
        assert (entry["format"], entry["writable"]) == ("npz", False)
        assert json_dtype(entry["dtype"]) == array.dtype
        assert tuple(entry["shape"]) == array.shape


def test_what_savez_writes(source, arrays):
    np.savez(source / "a.npz", **arrays)
    np.savez(Stream(source / "streamed.npz"), **arrays)
    np.savez(source / "positional.npz", *list(arrays.values())[:3])
    with mounted(source) as mnt:
        assert set(os.listdir(mnt)) == {"a", "streamed", "positional", ".afbfs"}
        assert set(os.listdir(mnt / "positional")) == {"arr_0", "arr_1", "arr_2"}
        for name in ["a", "streamed", "positional"]:
            check_archive(mnt, name, source / f"{name}.npz")
        assert mnt.read("a.npz/plain/data") == arrays["plain"].tobytes()


def test_groups_are_folders(source, arrays):
    np.savez(source / "a.npz", **arrays)
    with mounted(source) as mnt:
        assert set(os.listdir(mnt / "a")) == {*(name for name in arrays if "/" not in name), "group"}
        assert set(os.listdir(mnt / "a/group")) == {"inner", "deeper"}
        assert mnt.read("a/group/deeper/inner/row/1") == arrays["group/deeper/inner"][1].tobytes()


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("force_zip64", [False, True])
def test_every_kind_of_record(source, arrays, streamed, force_zip64):
    path = source / "a.npz"
    target = Stream(path) if streamed else path
    extra = b"UT\x05\x00\x03abcd" + b"FB\x03\x00ZZZ"
    write(target, arrays, comment=b"measured twice", extra=extra, force_zip64=force_zip64)
    if streamed:
        target.file.close()
    with mounted(source) as mnt:
        check_archive(mnt, "a", path)


def test_an_archive_behind_something_else(source, scratch, arrays):
    write(scratch / "a.npz", arrays)
    (source / "moved.npz").write_bytes(b"#!/bin/sh\nexit 1\n" + (scratch / "a.npz").read_bytes())
    (source / "appended.npz").write_bytes(b"#!/bin/sh\nexit 1\n")
    with zipfile.ZipFile(source / "appended.npz", "a") as archive:
        for name, array in arrays.items():
            archive.writestr(f"{name}.npy", npy(array))
    with mounted(source) as mnt:
        for name in ["moved", "appended"]:
            check_archive(mnt, name, source / f"{name}.npz")


def test_more_members_than_16_bits_count(source):
    with zipfile.ZipFile(source / "a.npz", "w") as archive:
        for number in range(66_000):
            archive.writestr(f"{number % 100}/a{number}.npy", npy(np.full(2, number)))
    with mounted(source) as mnt:
        assert len(os.listdir(mnt / "a/0")) == 660
        for number in [0, 12_345, 65_535, 65_536, 65_999]:
            assert mnt.read(f"a/{number % 100}/a{number}/data") == np.full(2, number).tobytes()


def test_other_archives_are_known_by_their_content(source, arrays):
    np.savez(source / "a.npz", **arrays)
    shutil.copy(source / "a.npz", source / "a.zip")
    with zipfile.ZipFile(source / "text.zip", "w") as archive:
        archive.writestr("a.txt", "hello")
    with mounted(source) as mnt:
        check_array(mnt, "a.zip/plain", arrays["plain"])
        assert not (mnt / "text.zip").exists()


def test_one_archive_is_mounted(source, arrays):
    np.savez(source / "a.npz", **arrays)
    with mounted(source / "a.npz") as mnt:
        check_array(mnt, "a/plain", arrays["plain"])


def test_what_cannot_be_served_says_why(source, arrays):
    plain, values = npy(arrays["plain"]), {}
    with warnings.catch_warnings(), zipfile.ZipFile(source / "a.npz", "w") as archive:
        warnings.simplefilter("ignore", UserWarning)
        archive.writestr("good.npy", plain)
        archive.writestr("deflated.npy", plain, zipfile.ZIP_DEFLATED)
        archive.writestr("bzip2.npy", plain, zipfile.ZIP_BZIP2)
        archive.writestr("lzma.npy", plain, zipfile.ZIP_LZMA)
        archive.writestr("objects.npy", npy(np.array([{}, None])))
        archive.writestr("cut.npy", plain[:-1])
        archive.writestr("text.npy", b"hello")
        archive.writestr("twice.npy", plain)
        archive.writestr("twice.npy", plain)
        values = {"deflated": "afbfs unpack", "bzip2": "bzip2", "lzma": "LZMA", "objects": "Python objects"}
        values |= {"cut": "holds only", "text": "magic", "twice": "several"}
    with mounted(source) as mnt:
        assert set(os.listdir(mnt / "a")) == {"good", *values}
        check_array(mnt, "a/good", arrays["plain"])
        for name, word in values.items():
            assert os.listdir(mnt / "a" / name) == ["error"]
            message = (mnt / "a" / name / "error").read_text()
            assert word in message and "a.npz" in message, message
        failed = [entry for entry in mnt.arrays() if "error" in entry]
        assert len(failed) == len(values)


def test_an_archive_that_is_damaged_says_why(source, arrays):
    np.savez(source / "a.npz", **arrays)
    whole = (source / "a.npz").read_bytes()
    (source / "cut.npz").write_bytes(whole[:-10])
    with zipfile.ZipFile(source / "text.npz", "w") as archive:
        archive.writestr("a.txt", "hello")
    (source / "empty.npz").write_bytes(b"")
    with mounted(source) as mnt:
        for name, word in [("cut", "truncated"), ("text", "without any .npy"), ("empty", "does not end as a ZIP")]:
            assert os.listdir(mnt / name) == ["error"]
            assert word in (mnt / name / "error").read_text()


def test_nothing_is_written(source, arrays):
    np.savez(source / "a.npz", **arrays)
    before = (source / "a.npz").read_bytes()
    with mounted(source) as mnt:
        with refused("EROFS", "EACCES"):
            mnt.write("a/plain/data", bytes(8))
        assert os.stat(mnt / "a/plain/data").st_mode & 0o222 == 0
    assert (source / "a.npz").read_bytes() == before


def test_a_new_archive_in_the_same_place(source, arrays):
    np.savez(source / "a.npz", **arrays)
    with mounted(source) as mnt:
        assert mnt.read("a/plain/data") == arrays["plain"].tobytes()
        other = {"other": np.arange(4.0), "plain": np.arange(3)}
        np.savez(source / "b", **other)
        os.rename(source / "b.npz", source / "a.npz")
        eventually(lambda: set(os.listdir(mnt / "a")) == {"other", "plain"}, "the new arrays appear")
        eventually(lambda: mnt.read("a/plain/data") == other["plain"].tobytes(), "the new values appear")


def test_the_command_shows_them_too(source, arrays):
    np.savez(source / "a.npz", **arrays)
    assert afbfs("cat", source, "a/plain/row/2").stdout == arrays["plain"][2].tobytes()
    listed = json.loads(afbfs("ls", "--json", source).stdout)
    assert {entry["path"] for entry in listed} >= {"a/plain", "a/group/inner"}


def test_what_a_view_shows_is_what_the_checksum_covers(source, arrays):
    np.savez(source / "a.npz", **arrays)
    with zipfile.ZipFile(source / "a.npz") as archive, mounted(source) as mnt:
        body = archive.read("plain.npy")
        shown = mnt.read("a/plain/data")
        assert zlib.crc32(body[: -len(shown)] + shown) == archive.getinfo("plain.npy").CRC


def test_a_checksum_is_brought_up_to_date_on_demand(source, rng):
    arrays = {"a": rng.random((50, 40)), "b": np.asfortranarray(rng.integers(0, 9, (7, 9)).astype("i2"))}
    np.savez(source / "z.npz", **arrays)
    write(Stream(source / "s.npz"), arrays)
    with mounted(source, "--update-checksums") as mnt:
        for name in ("z", "s"):
            for view, index in [("row/3", np.s_[3]), ("col/5", np.s_[:, 5]), ("slice/::-7,3:20:4", np.s_[::-7, 3:20:4])]:
                part = rng.random(arrays["a"][index].shape)
                arrays["a"][index] = part
                mnt.write(f"{name}/a/{view}", part.tobytes())
            with mnt.open(f"{name}/a/data", os.O_RDWR) as fd:
                assert os.pwrite(fd, b"abc", 8 * 40 * 50 - 3) == 3
                os.fsync(fd)
            arrays["a"][-1, -1] = np.frombuffer(arrays["a"][-1, -1].tobytes()[:5] + b"abc", "f8")[0]
            mnt.write(f"{name}/b/T/row/0", arrays["b"][:, 0].tobytes()[::-1])
            assert json.loads((mnt / f"{name}/a/info.json").read_text())["writable"]
            # The archive is sound at once, not only after unmounting.
            with zipfile.ZipFile(source / f"{name}.npz") as archive:
                assert archive.testzip() is None
            with np.load(source / f"{name}.npz") as loaded:
                assert loaded["a"].tobytes() == np.asarray(arrays["a"]).tobytes()
                assert loaded["b"][:, 0].tobytes() == arrays["b"][:, 0].tobytes()[::-1]
    # Programs that write at once leave a sound archive, too.
    with mounted(source, "-o", "update_checksums") as mnt:
        def fill(column):
            for turn in range(20):
                mnt.write(f"z/a/col/{column}", np.full(50, turn + column, "f8").tobytes())

        threads = [threading.Thread(target=fill, args=(column,)) for column in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with zipfile.ZipFile(source / "z.npz") as archive:
        assert archive.testzip() is None
    with np.load(source / "z.npz") as loaded:
        assert (loaded["a"][:, :4] == np.arange(4) + 19).all()
