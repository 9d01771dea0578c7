"""afbfs create: new arrays, which NumPy and zarr-python read as numpy.full would be."""

import contextlib
import itertools
import os
import pty
import signal
import subprocess
import time

import numpy as np
import pytest
import zarr

from harness import afbfs, binary, eventually, mounted, needs_root, run

# Types that version 3 of Zarr has not standardised yet.
pytestmark = pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning")

RECORD = np.dtype([("x", "<i4"), ("y", "<f8"), ("z", "S3")])
NESTED = np.dtype([("ab", ">u2", (2,)), ("n", [("c", "<c8"), ("t", "<M8[s]")])])

# Types, what is given as --fill, and the element.
FILLS = [
    *[("f4", "0.1", 0.1), (">f8", "-1e300", -1e300), ("f2", "nan", np.nan), ("f8", "-inf", -np.inf), ("f8", "-0.0", -0.0)],
    *[("i1", "-128", -128), (">i2", "258", 258), ("u8", str(2**64 - 1), 2**64 - 1), ("?", "1", True), ("i4", "0", 0)],
    *[("c8", "1.5-2j", 1.5 - 2j), ("S5", "a b", b"a b"), (">U3", "añ", "añ"), ("U4", "", "")],
    *[("M8[D]", "2001-02-03", np.datetime64("2001-02-03")), ("m8[ns]", "-5", np.timedelta64(-5, "ns"))],
    (RECORD.descr, "7 2.5 ab", (7, 2.5, b"ab")),
]


def done(answer):
    assert (answer.returncode, answer.stderr.decode(), answer.stdout) == (0, "", b"")


def refused(answer, *words, status=1):
    message = answer.stderr.decode()
    assert (answer.returncode, answer.stdout) == (status, b""), message
    for word in words:
        assert str(word) in message, message


def same(found, expected):
    """Type, shape and every byte."""
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert found.tobytes() == expected.tobytes()


def full(shape, fill, dtype, order="C"):
    array = np.zeros(shape, dtype, order)
    array[...] = np.array(fill, dtype)
    return array


@pytest.mark.parametrize(("dtype", "text", "fill"), FILLS, ids=lambda value: str(value)[:20])
def test_a_filled_npy_is_what_numpy_fills(scratch, dtype, text, fill):
    for order, shape in itertools.product("CF", [(3, 4), (5,), (), (2, 0, 3)]):
        lengths = "x".join(map(str, shape)) or "()"
        done(afbfs("create", scratch / "a.npy", "--force", "--dtype", str(dtype), "--shape", lengths, f"--fill={text}", "--order", order))
        found = np.load(scratch / "a.npy")
        same(found, full(shape, fill, dtype, order))
        assert found.flags[f"{order}_CONTIGUOUS"]
    assert os.listdir(scratch) == ["a.npy"]


def test_the_header_is_that_of_numpy(scratch):
    for dtype, shape, order in [("<f8", (1000, 2000), "C"), (">i2", (3, 4, 5), "F"), (RECORD, (7,), "C"), (NESTED, (), "C")]:
        lengths = "x".join(map(str, shape)) or "()"
        text = str(dtype) if isinstance(dtype, str) else str(dtype.descr)
        done(afbfs("create", scratch / "a.npy", "--force", "--dtype", text, "--shape", lengths, "--order", order))
        np.save(scratch / "b.npy", np.zeros(shape, dtype, order))
        assert (scratch / "a.npy").read_bytes() == (scratch / "b.npy").read_bytes()


def test_what_is_not_filled_takes_no_space(scratch):
    for name, fill in [("a.npy", []), ("b.npy", ["--fill", "0"]), ("c.raw", []), ("d.npy", ["--fill=0 0"])]:
        dtype = "[('x', 'f4'), ('y', 'i4')]" if name == "d.npy" else "f8"
        done(afbfs("create", scratch / name, "--dtype", dtype, "--shape", "100000x1000000", *fill))
        found = (scratch / name).stat()
        assert found.st_size >= 8 * 10**11 and found.st_blocks <= 16
    assert not np.load(scratch / "a.npy", mmap_mode="r")[99_999, 999_000:].any()


def test_space_on_demand(scratch):
    done(afbfs("create", scratch / "a.npy", "--dtype", "f8", "--shape", "1000x1000", "--allocate"))
    assert (scratch / "a.npy").stat().st_blocks * 512 >= 8_000_000
    same(np.load(scratch / "a.npy"), np.zeros((1000, 1000)))
    answer = afbfs("create", scratch / "b.npy", "--dtype", "f8", "--shape", "1000x1000000000", "--allocate")
    refused(answer, "b.npy", "needs 8000000000128 bytes", "left")
    refused(afbfs("create", scratch / "b.npy", "--dtype", "f8", "--shape", "1000x1000000000", "--fill", "1"), "sparse")
    assert os.listdir(scratch) == ["a.npy"]


@pytest.mark.parametrize("extension", ["raw", "bin", "dat", "img", "data", "vol"])
def test_a_raw_file_has_a_sidecar(source, extension):
    done(afbfs("create", source / f"a.{extension}", "--dtype", ">i2", "--shape", "3x4", "--fill", "-5", "--order", "F"))
    done(afbfs("create", source / f"r.{extension}", "--dtype", str([("it's", "<f4"), ('q"', "u1", (2,))]), "--shape", "()"))
    assert (source / f"a.{extension}").read_bytes() == full((3, 4), -5, ">i2").tobytes()
    with mounted(source) as mnt:
        assert mnt.read("a/shape") == b"3 4\n" and mnt.read("a/order") == b"F\n"
        same(np.load(mnt / "a/data.npy"), full((3, 4), -5, ">i2"))
        same(np.load(mnt / "r/data.npy"), np.zeros((), [("it's", "<f4"), ('q"', "u1", (2,))]))
    assert sorted(os.listdir(source)) == [f"{name}.{extension}{end}" for name in "ar" for end in ["", ".toml"]]


def test_a_raw_file_that_is_as_long_as_it_is(source):
    done(afbfs("create", source / "a.bin", "--dtype", "f4", "--shape", "?x5"))
    assert (source / "a.bin").stat().st_size == 0
    (source / "a.bin").write_bytes(np.arange(10, dtype="f4").tobytes())
    assert afbfs("cat", source / "a.bin/shape").stdout == b"2 5\n"
    refused(afbfs("create", source / "a.npy", "--dtype", "f4", "--shape", "?x5"), "raw", status=2)
    refused(afbfs("create", source / "b.bin", "--dtype", "f4", "--shape", "5x?"), "first", status=2)


@pytest.mark.parametrize("version", ["2", "3"])
@pytest.mark.parametrize(("dtype", "text", "fill"), FILLS, ids=lambda value: str(value)[:20])
def test_a_zarr_is_what_numpy_fills(source, dtype, text, fill, version):
    how = ["--dtype", str(dtype), f"--fill={text}", "--zarr-format", version, "--shape", "5x6", "--chunks", "2x4"]
    expected = full((5, 6), fill, dtype)
    for order in "CF":
        made = source / f"{order}.zarr"
        done(afbfs("create", made, *how, "--order", order))
        assert os.listdir(made) == ["zarr.json" if version == "3" else ".zarray"]
        found = zarr.open_array(str(made), mode="r+")
        assert found.chunks == (2, 4)
        same(np.asarray(found[...]), expected.astype(found.dtype))
        assert afbfs("cat", made / "data").stdout == expected.tobytes()
        if order == "F" and expected.dtype.names is None:
            found[1:3, 3:6] = found[0, 0]
            found[4] = np.zeros((), found.dtype)
            expected[4] = np.zeros((), expected.dtype)
            assert afbfs("cat", made / "data").stdout == expected.tobytes()


def test_chunks_of_a_zarr(source):
    done(afbfs("create", source / "a.zarr", "--dtype", "f8", "--shape", "100000x100000", "--fill", "nan"))
    found = zarr.open_array(str(source / "a.zarr"))
    assert 4 << 20 < 8 * np.prod(found.chunks) <= 16 << 20 and np.isnan(found[99_999, 99_999])
    for wrong in ["2", "2x0", "2x?", "2x2x2"]:
        refused(afbfs("create", source / "b.zarr", "--dtype", "f8", "--shape", "4x4", "--chunks", wrong), "--chunks", status=2)
    refused(afbfs("create", source / "b.npy", "--dtype", "f8", "--shape", "4x4", "--chunks", "2x2"), "--chunks", status=2)
    refused(afbfs("create", source / "b.zarr", "--dtype", "f16", "--shape", "4"), "b.zarr", "no type", "<f16")
    refused(afbfs("create", source / "b.zarr", "--dtype", str(NESTED.descr), "--shape", "4"), "--zarr-format 2")
    refused(afbfs("create", source / "b.zarr", "--dtype", "[('a', '<i2'), ('b', '>i2')]", "--shape", "4"), "byte order")
    assert os.listdir(source) == ["a.zarr"]


def test_like_another_array(source, rng):
    a = np.asfortranarray(rng.random((3, 4)).astype(">f4"))
    np.save(source / "a.npy", a)
    np.savez(source / "c.npz", x=np.zeros(3, RECORD))
    for arguments, expected in [
        (["--like", source / "a.npy"], np.zeros((3, 4), ">f4", "F")),
        (["--like", source / "a", "--dtype", "i2", "--fill", "3"], np.full((3, 4), 3, "i2", "F")),
        (["--like", source / "a.npy", "--shape", "2x3", "--order", "C"], np.zeros((2, 3), ">f4")),
        (["--like", source / "c.npz/x"], np.zeros(3, RECORD)),
        (["--like", source / "a/T"], np.zeros((4, 3), ">f4")),
    ]:
        done(afbfs("create", source / "new.npy", "--force", *arguments))
        found = np.load(source / "new.npy")
        same(found, expected)
        assert found.flags.f_contiguous == expected.flags.f_contiguous
    refused(afbfs("create", source / "x.npy", "--like", source / "missing"), "missing")
    refused(afbfs("create", source / "x.npy", "--like", source), source)


def test_what_is_there_is_replaced_on_demand_alone(scratch):
    for name in ["a.npy", "b.bin", "c.zarr"]:
        how = ["create", scratch / name, "--dtype", "u1", "--shape", "3"]
        done(afbfs(*how, "--fill", "1"))
        refused(afbfs(*how), name, "is there already", "--force")
        assert afbfs("cat", scratch / name / "data").stdout == b"\1\1\1"
        done(afbfs(*how, "--fill", "2", "--force"))
        assert afbfs("cat", scratch / name / "data").stdout == b"\2\2\2"
    (scratch / "d.zarr").mkdir()
    (scratch / "d.zarr/letter").write_text("keep me")
    refused(afbfs("create", scratch / "d.zarr", "--dtype", "u1", "--shape", "3", "--force"), "no Zarr array", "not replaced")
    # A sidecar that is somebody else's.
    (scratch / "e.bin.toml").write_text("# mine")
    refused(afbfs("create", scratch / "e.bin", "--dtype", "u1", "--shape", "3"), "e.bin.toml", "is there already")
    assert (scratch / "e.bin.toml").read_text() == "# mine" and not (scratch / "e.bin").exists()


def test_what_cannot_be(scratch):
    for arguments, words, status in [
        (["a.npy", "--dtype", "f8", "--shape", "10000000000x10000000000"], ["a.npy", "2^63"], 1),
        (["a.npy", "--dtype", "f8", "--shape", "1000000000x1000000000"], ["a.npy", "File too large", "ulimit"], 1),
        (["a.npy", "--dtype", "u1", "--shape", "3", "--fill", "256"], ["--fill 256", "|u1"], 1),
        (["a.npy", "--dtype", "i4", "--shape", "3", "--fill", "1 2"], ["--fill 1 2"], 1),
        (["no/a.npy", "--dtype", "i4", "--shape", "3"], ["no/a.npy", "No such file"], 1),
        (["a.npy", "--shape", "3"], ["--dtype"], 2),
        (["a.npy", "--dtype", "f8"], ["--shape"], 2),
        (["a.npy", "--dtype", "f7", "--shape", "3"], ["f7"], 2),
        (["a.npy", "--dtype", "f8", "--shape", "3x-2"], ["3x-2"], 2),
        (["a.npy", "--dtype", "O", "--shape", "3"], ["objects"], 2),
        (["a.npy", "--dtype", "f8", "--shape", "3", "--order", "K"], ["order"], 2),
        (["a.h5", "--dtype", "f8", "--shape", "3"], ["a.h5", ".npy", ".zarr", ".raw"], 2),
        (["a", "--dtype", "f8", "--shape", "3"], [".npy"], 2),
        (["a.npy", "--dtype", "f8", "--shape", "3", "--zarr-format", "2"], ["--zarr-format", ".zarr"], 2),
        (["a.npy", "--dtype", "f8", "--shape", "3", "--chunks", "2"], ["--chunks", ".zarr"], 2),
    ]:
        refused(afbfs("create", *arguments, cwd=scratch), *words, status=status)
    assert os.listdir(scratch) == []


def test_a_limit_of_the_process_and_a_full_disk(scratch):
    # Without a handler, the signal of the limit would end the process.
    command = f"trap - XFSZ; ulimit -f 100; exec {binary()} create {scratch}/a.npy --dtype f8 --shape 1000000"
    limited = run("env", "--default-signal=XFSZ", "bash", "-c", command)
    refused(limited, "a.npy", "File too large", "ulimit -f")
    needs_root()
    small = scratch / "small"
    small.mkdir()
    assert run("mount", "-t", "tmpfs", "-o", "size=1m", "afbfs-test", small).returncode == 0
    try:
        refused(afbfs("create", small / "a.npy", "--dtype", "f8", "--shape", "1000000", "--fill", "1"), "needs 8000128", "left")
        done(afbfs("create", small / "a.npy", "--dtype", "f8", "--shape", "1000000"))
        assert os.listdir(small) == ["a.npy"]
    finally:
        assert run("umount", small).returncode == 0
    small.rmdir()
    assert os.listdir(scratch) == []


@contextlib.contextmanager
def filling(folder, stderr=subprocess.PIPE, size=1 << 28):
    """A process that is filling a file, of which a part is written."""
    command = [binary(), "create", folder / "a.npy", "--dtype", "u1", "--shape", str(size), "--fill", "7"]
    process = subprocess.Popen(command, stderr=stderr)
    try:
        eventually(lambda: process.poll() is None and any(path.stat().st_blocks for path in folder.iterdir()), "it writes", 60)
        os.kill(process.pid, signal.SIGSTOP)
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stderr:
            process.stderr.close()


def test_a_kill_leaves_no_half_file(scratch):
    with filling(scratch) as process:
        assert not (scratch / "a.npy").exists()
        process.kill()
        process.wait()
    left = os.listdir(scratch)
    assert len(left) == 1 and left[0].startswith(".a.npy.afbfs-")
    assert afbfs("ls", scratch).stdout == b""
    done(afbfs("create", scratch / "a.npy", "--dtype", "u1", "--shape", "3", "--fill", "7"))
    same(np.load(scratch / "a.npy"), np.full(3, 7, "u1"))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing(scratch, how):
    with filling(scratch) as process:
        process.send_signal(how)
        process.send_signal(signal.SIGCONT)
        message = process.stderr.read()
        assert process.wait(60) == 1
    assert b"interrupted; nothing was made" in message and os.listdir(scratch) == []


def test_progress_is_shown_on_a_terminal_after_a_second(scratch):
    terminal, end = pty.openpty()
    try:
        with filling(scratch, stderr=end) as process:
            # It began before it was stopped, and is patient for a second.
            end_of_patience = time.monotonic() + 1
            eventually(lambda: time.monotonic() > end_of_patience, "a second passes")
            process.send_signal(signal.SIGCONT)
            assert process.wait(120) == 0
        os.close(end)
        shown = os.read(terminal, 4096)
    finally:
        os.close(terminal)
    assert b"a.npy: " in shown and b"% of 256 MiB" in shown and shown.endswith(b"\r\x1b[K")
