"""sox over forms of slices."""

import numpy as np
import pytest

from harness import mounted
from tools import any_values, attempt, needs, save, sh

INTEGERS = ["u1", "<i2", ">i2", "<i4", ">i4"]
FLOATS = ["<f4", ">f4", "<f8", ">f8"]


def sounds(source, rng, dtypes, channels, frames=500, order="C"):
    """Arrays of samples:  [(name, array)]"""
    found = []
    for dtype in dtypes:
        shape = (frames, channels) if channels > 1 else (frames,)
        # sox keeps 32 bits of a sample.
        array = any_values(rng, dtype, shape) if np.dtype(dtype).kind != "f" else (rng.integers(-(2**22), 2**22, shape) / 2**23).astype(dtype)
        name = np.dtype(dtype).str.replace("<", "l").replace(">", "b").replace("|", "")
        found.append(save(source, np.array(array, order=order), name))
    return found


def samples(path, scratch):
    """Integers of 32 bits that sox reads, by channel."""
    sh("sox $1 -t raw -e signed -b 32 -L $2/out", path, scratch)
    return np.fromfile(scratch / "out", "<i4")


def as_integers(array):
    """The samples of an array, as sox has them."""
    if array.dtype.kind == "f":
        return (array.astype("f8") * 2**31).astype("i4").ravel()
    wide = array.astype("i8") - (128 if array.dtype.kind == "u" else 0)
    return (wide << (32 - 8 * array.dtype.itemsize)).astype("i4").ravel()


@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("order", ["C", "F"])
def test_sox_reads_wav_and_au(source, scratch, rng, channels, order):
    needs("sox", "soxi")
    arrays = sounds(source, rng, ["i1", *INTEGERS, *FLOATS], channels, order=order)
    kinds = {"u": "Unsigned Integer PCM", "i": "Signed Integer PCM", "f": "Floating Point PCM"}
    with mounted(source) as mnt:
        for name, array in arrays:
            for form in ["wav", "au"]:
                found = samples(mnt / name / f"data.{form}", scratch)
                assert np.array_equal(found, as_integers(array)), (name, form)
            facts = sh("for what in -c -s -r -b -e; do soxi $what data.wav; done", cwd=mnt / name).splitlines()
            kind = kinds["u" if array.dtype.itemsize == 1 else array.dtype.kind]
            assert facts == [str(channels), "500", "48000", str(8 * array.dtype.itemsize), kind], name
            half = samples(mnt / name / "slice/:250.wav", scratch)
            assert np.array_equal(half, as_integers(array[:250])), name


@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("order", ["C", "F"])
def test_sox_writes_wav(source, scratch, rng, channels, order):
    needs("sox")
    arrays = sounds(source, rng, [*INTEGERS, *FLOATS], channels, order=order)
    with mounted(source) as mnt:
        for name, array in arrays:
            sh("sox -D data.wav $1/x.wav reverse; sox -D $1/x.wav data.wav", scratch, cwd=mnt / name)
            array = array[::-1].copy()
            assert np.array_equal(np.load(source / f"{name}.npy"), array), name
            # Samples without a header, in the other byte order.
            kind = f"{array.dtype.kind}{array.dtype.itemsize}be"
            sh("sox -D data.wav -t raw -B $1/x reverse; cp $1/x as/$2/data", scratch, kind, cwd=mnt / name)
            assert np.array_equal(np.load(source / f"{name}.npy"), array[::-1]), name


@pytest.mark.parametrize("order", ["C", "F"])
def test_sox_writes_the_transpose(source, scratch, rng, order):
    needs("sox")
    save(source, np.zeros((2, 500), "<i2", order=order), "a")
    with mounted(source) as mnt:
        (scratch / "a").symlink_to(mnt / "a")
        sh("sox -r 44100 -n -b 16 -c 2 in.wav synth 500s sine 440 sine 660", cwd=scratch)
        sh("sox in.wav a/T/data.wav", cwd=scratch)
        found = np.load(source / "a.npy")
        assert found.any() and np.array_equal(found.T.ravel(), (samples(scratch / "in.wav", scratch) >> 16).astype("i2"))
        # One channel, and a number of frames that does not fit.
        sh("sox a/row/0.wav out.wav; sox out.wav a/row/1.wav", cwd=scratch)
        wanted = np.stack([found[0], found[0]])
        assert np.array_equal(np.load(source / "a.npy"), wanted)
        sh("sox -r 44100 -n -b 16 -c 1 other.wav synth 9000s sine 440", cwd=scratch)
        attempt("sox other.wav a/row/1.wav", cwd=scratch)
        assert np.array_equal(np.load(source / "a.npy"), wanted)


@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("suffix", ["wav", "aiff"])
def test_sox_and_24_bits(source, scratch, channels, suffix):
    needs("sox")
    sh(f"sox -r 8000 -n -b 24 -c {channels} $1/a.{suffix} synth 300s noise", source)
    before = samples(source / f"a.{suffix}", scratch)
    with mounted(source) as mnt:
        [entry] = mnt.arrays()
        assert entry["element"] in ("i3", "i3be")
        assert sh("soxi -b data.wav; soxi -r data.wav", cwd=mnt / "a").split() == ["24", "8000"]
        assert np.array_equal(samples(mnt / "a/data.wav", scratch), before)
        sh("sox data.wav $1/x.wav reverse; sox $1/x.wav data.wav", scratch, cwd=mnt / "a")
    assert np.array_equal(samples(source / f"a.{suffix}", scratch), before.reshape(-1, channels)[::-1].ravel())


def test_sox_changes_a_part(source, scratch, rng):
    needs("sox")
    [(name, array)] = sounds(source, rng, ["<i2"], 2)
    with mounted(source) as mnt:
        sh("sox -D slice/100:200.wav $1/x.wav vol 0.5; sox -D $1/x.wav slice/100:200.wav", scratch, cwd=mnt / name)
        found = np.load(source / f"{name}.npy")
        assert np.array_equal(found[:100], array[:100]) and np.array_equal(found[200:], array[200:])
        assert np.abs(found[100:200].astype("i4") - array[100:200] / 2).max() <= 1


def test_sox_has_another_au_header(source, scratch, rng):
    """Its header is longer, for a comment: it is refused, and nothing is stored."""
    needs("sox")
    [(name, array)] = sounds(source, rng, ["<i2"], 1, frames=20000)
    with mounted(source) as mnt:
        sh("sox data.wav $1/x.wav reverse", scratch, cwd=mnt / name)
        # It says so, and exits with 0 all the same.
        assert b"Invalid argument" in attempt("sox $1/x.wav data.au", scratch, cwd=mnt / name).stderr
        attempt("cp $1/x.wav data.au", scratch, cwd=mnt / name)
        assert np.array_equal(np.load(source / f"{name}.npy"), array)
