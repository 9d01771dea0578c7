"""afbfs cat: the files of the tree with no mount, by one path or two, as many as are wanted."""

import os
import pty
import subprocess

import numpy as np
import pytest
import zarr

from harness import afbfs, binary, mounted

FORMS = ["data", "row/1.npy", "data.txt", "data.csv", "col/0.json", "as/i2/data.wav", "as/u1/data.png", "T/data.fits", "as/f4/data.tif"]
FACTS = ["shape", "dtype", "info.json", "T/shape"]


@pytest.fixture
def arrays(source, rng):
    """a.npy, sub/b.npy, an archive and a Zarr array."""
    a = rng.integers(0, 100, (6, 5)).astype("<f8")
    (source / "sub").mkdir()
    np.save(source / "a.npy", a)
    np.save(source / "sub/b.npy", a[::-1].copy())
    np.savez(source / "c.npz", x=a + 1)
    made = zarr.create_array(str(source / "z.zarr"), dtype="f8", shape=a.shape, chunks=(4, 4), compressors=None)
    made[...] = a + 2
    return source


def check(answer, expected):
    assert (answer.returncode, answer.stderr.decode(), answer.stdout) == (0, "", expected)


def test_any_form_and_fact_is_what_the_mount_shows(arrays):
    with mounted(arrays) as mnt:
        for view in [f"a/{view}" for view in FORMS + FACTS] + ["sub/b/row/-1.txt", "c/x/data", "z.zarr/col/1"]:
            expected = mnt.read(view)
            check(afbfs("cat", arrays, view), expected)
            check(afbfs("cat", arrays / view), expected)
        check(afbfs("cat", arrays, ".afbfs/version"), mnt.read(".afbfs/version"))


@pytest.mark.parametrize(
    ("path", "view"),
    [
        ("a.npy/row/2", "a/row/2"),
        ("sub/b.npy/data.txt", "sub/b/data.txt"),
        ("c.npz/x/row/0", "c/x/row/0"),
        ("z.zarr/slice/:,1", "z.zarr/slice/:,1"),
        ("./sub/../a/data", "a/data"),
    ],
)
def test_a_path_may_lead_through_a_file(arrays, path, view):
    check(afbfs("cat", path, cwd=arrays), afbfs("cat", arrays, view).stdout)


def test_several_views_come_one_after_the_other(arrays):
    def row(number):
        return np.load(arrays / "a.npy")[number].tobytes()

    check(afbfs("cat", arrays, "a/row/3", "a/row/1", "a/row/3"), row(3) + row(1) + row(3))
    check(afbfs("cat", "a.npy", "row/1", "row/0", cwd=arrays), row(1) + row(0))
    check(afbfs("cat", "a/row/0", "sub/b/row/0", "./a/row/2", cwd=arrays), row(0) + row(5) + row(2))


def test_a_described_file(source):
    (source / "x.bin").write_bytes(bytes(range(12)))
    check(afbfs("cat", "--array", "dtype=u1,shape=3x4", source / "x.bin/row/1"), bytes(range(4, 8)))
    check(afbfs("cat", "--array", "name=y,file=x.bin,dtype=u1,shape=3x4", source / "y/col/0"), bytes([0, 4, 8]))


def test_what_there_is_not(arrays):
    (arrays / "sick.npy").write_bytes(b"no array")
    for arguments, words in [
        ([arrays / "a/row/6"], [arrays / "a/row/6", "out of range", "0 to 5"]),
        ([arrays / "a/row"], ["a/row", "is a folder"]),
        ([arrays / "missing/x/data"], [arrays / "missing/x/data", "holds no array `missing`"]),
        ([arrays / "sick.npy/data"], ["sick.npy", "magic"]),
        ([arrays, "sick/data"], ["sick.npy", "magic"]),
        ([arrays, "a/row/0", "a/row/9"], ["a/row/9"]),
    ]:
        answer = afbfs("cat", *arguments)
        assert answer.returncode == 1
        for word in words:
            assert str(word) in answer.stderr.decode()
    for arguments in [[arrays], ["a"], [arrays / "a.npy"]]:
        answer = afbfs("cat", *arguments)
        assert (answer.returncode, answer.stdout) == (2, b"") and b"view" in answer.stderr


def test_a_reader_that_goes_is_no_failure(arrays):
    np.save(arrays / "big.npy", np.zeros(1 << 20))
    command = [binary(), "cat", arrays, "big/data", "a/data"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as cat:
        cat.stdout.read(100)
        cat.stdout.close()
        assert (cat.stderr.read(), cat.wait(timeout=60)) == (b"", 0)


def test_a_text_of_a_hundred_gibibytes_takes_no_memory(source):
    shape = (1 << 17, 100_000)
    with open(source / "huge.npy", "wb") as file:
        np.lib.format.write_array_header_2_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        file.truncate(file.tell() + shape[0] * shape[1])
    size = int(os.stat(source / "huge.npy").st_size)
    assert size > 12 << 30
    with subprocess.Popen([binary(), "cat", source, "huge/as/f8/data.txt"], stdout=subprocess.PIPE) as cat:

        def anonymous():
            lines = open(f"/proc/{cat.pid}/status").read().splitlines()
            return int(next(line for line in lines if line.startswith("RssAnon")).split()[1])

        assert len(cat.stdout.read(3 << 20)) == 3 << 20
        before = anonymous()
        text = cat.stdout.read(12 << 20)
        assert set(text) == set(b" 0.\n") and anonymous() - before < 2048
        cat.stdout.close()
        assert cat.wait(timeout=60) == 0


def on_a_terminal(*arguments):
    """Status, standard error, and what the terminal shows."""
    terminal, end = pty.openpty()
    try:
        answer = subprocess.run([binary(), *arguments], stdout=end, stderr=subprocess.PIPE, timeout=60, check=False)
        os.close(end)
        shown = b""
        try:
            while piece := os.read(terminal, 4096):
                shown += piece
        except OSError:
            # The other end is closed.
            pass
        return answer.returncode, answer.stderr.decode(), shown
    finally:
        os.close(terminal)


def test_a_terminal_gets_text_alone(arrays):
    status, message, shown = on_a_terminal("cat", arrays, "a/row/0")
    assert (status, shown) == (1, b"") and "row/0.txt" in message and "--force" in message
    status, message, shown = on_a_terminal("cat", arrays, "a/row/0.txt")
    assert (status, message) == (0, "")
    assert shown.replace(b"\r\n", b"\n") == afbfs("cat", arrays, "a/row/0.txt").stdout
    np.save(arrays / "bytes.npy", np.frombuffer(b"\x1b[31mred", "u1"))
    assert on_a_terminal("cat", arrays, "bytes/data")[0] == 1
    assert on_a_terminal("cat", "--force", arrays, "bytes/data") == (0, "", b"\x1b[31mred")


def test_a_truncated_file_is_an_error(source):
    np.save(source / "a.npy", np.zeros(1 << 20, "u1"))
    with subprocess.Popen([binary(), "cat", source, "a/data"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as cat:
        assert len(cat.stdout.read(1000)) == 1000
        os.truncate(source / "a.npy", 4096)
        rest = cat.stdout.read()
        message = cat.stderr.read()
        status = cat.wait(timeout=60)
    assert status == 1 and b"a/data" in message and b"Input/output error" in message, (status, len(rest), message)


def test_a_mount_is_no_source(arrays):
    with mounted(arrays) as mnt:
        for words in [[mnt / "a/data"], [mnt, "a/data"], [mnt / "a", "row/0"], [mnt / "a/row/9"], [mnt / "nope"]]:
            answer = afbfs("cat", *words)
            assert answer.returncode == 2 and answer.stdout == b"", words
            assert f"lies in the mount {mnt.path}; use cat or cp on it" in answer.stderr.decode(), words
        # A form is an array file like any other.
        check(afbfs("cat", mnt / "a/data.npy", "row/1"), mnt.read("a/row/1"))
