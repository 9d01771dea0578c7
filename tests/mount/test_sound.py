"""WAV, AU and AIFF files of libsndfile, by the library soundfile, in all the ways that have samples."""

import os
import struct

import numpy as np
import pytest
import soundfile

from harness import mounted
from members import check_member, error_of, info

RATE = 44_100
# Format and encoding as soundfile names them, byte order, extension; dtype and element as afbfs shows them.
WAYS = [
    ("WAV", "PCM_U8", "FILE", "wav", "|u1", None),
    ("WAV", "PCM_16", "FILE", "wav", "<i2", None),
    ("WAV", "PCM_24", "FILE", "wav", "|V3", "i3"),
    ("WAV", "PCM_32", "FILE", "wav", "<i4", None),
    ("WAV", "FLOAT", "FILE", "wav", "<f4", None),
    ("WAV", "DOUBLE", "FILE", "wav", "<f8", None),
    ("WAV", "ALAW", "FILE", "wav", "|u1", "alaw"),
    ("WAV", "ULAW", "FILE", "wav", "|u1", "mulaw"),
    ("WAV", "PCM_16", "BIG", "wav", ">i2", None),
    ("WAV", "PCM_24", "BIG", "wav", "|V3", "i3be"),
    ("WAV", "FLOAT", "BIG", "wav", ">f4", None),
    ("WAVEX", "PCM_U8", "FILE", "wav", "|u1", None),
    ("WAVEX", "PCM_16", "FILE", "wav", "<i2", None),
    ("WAVEX", "PCM_24", "FILE", "wav", "|V3", "i3"),
    ("WAVEX", "DOUBLE", "FILE", "wav", "<f8", None),
    ("WAVEX", "ULAW", "FILE", "wav", "|u1", "mulaw"),
    ("RF64", "PCM_16", "FILE", "rf64", "<i2", None),
    ("RF64", "PCM_24", "FILE", "rf64", "|V3", "i3"),
    ("RF64", "FLOAT", "FILE", "rf64", "<f4", None),
    ("AU", "PCM_S8", "FILE", "au", "|i1", None),
    ("AU", "PCM_16", "FILE", "au", ">i2", None),
    ("AU", "PCM_24", "FILE", "au", "|V3", "i3be"),
    ("AU", "PCM_32", "FILE", "au", ">i4", None),
    ("AU", "FLOAT", "FILE", "au", ">f4", None),
    ("AU", "DOUBLE", "FILE", "au", ">f8", None),
    ("AU", "ALAW", "FILE", "au", "|u1", "alaw"),
    ("AU", "ULAW", "FILE", "snd", "|u1", "mulaw"),
    ("AU", "PCM_16", "LITTLE", "au", "<i2", None),
    ("AU", "PCM_24", "LITTLE", "snd", "|V3", "i3"),
    ("AU", "DOUBLE", "LITTLE", "au", "<f8", None),
    ("AIFF", "PCM_S8", "FILE", "aiff", "|i1", None),
    ("AIFF", "PCM_U8", "FILE", "aifc", "|u1", None),
    ("AIFF", "PCM_16", "FILE", "aif", ">i2", None),
    ("AIFF", "PCM_24", "FILE", "aif", "|V3", "i3be"),
    ("AIFF", "PCM_32", "FILE", "aif", ">i4", None),
    ("AIFF", "FLOAT", "FILE", "aifc", ">f4", None),
    ("AIFF", "DOUBLE", "FILE", "aifc", ">f8", None),
    ("AIFF", "ALAW", "FILE", "aifc", "|u1", "alaw"),
    ("AIFF", "ULAW", "FILE", "aifc", "|u1", "mulaw"),
    ("AIFF", "PCM_16", "LITTLE", "aifc", "<i2", None),
    ("AIFF", "PCM_24", "LITTLE", "aifc", "|V3", "i3"),
    ("AIFF", "PCM_32", "LITTLE", "aifc", "<i4", None),
]
each_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(map(str, way[:3])))


def law(element):
    """The values of all 256 bytes of G.711, in 16 bits."""
    codes = np.arange(256)
    if element == "alaw":
        bits = codes ^ 0x55
        exponent, mantissa = (bits >> 4) & 7, (bits & 15) << 4
        size = np.where(exponent == 0, mantissa + 8, (mantissa + 0x108) << np.maximum(exponent - 1, 0))
        return np.where(bits & 0x80, size, -size)
    bits = ~codes & 0xFF
    size = ((((bits & 15) << 3) + 0x84) << ((bits >> 4) & 7)) - 0x84
    return np.where(bits & 0x80, -size, size)


def decoded(stored, element):
    """What soundfile makes of stored samples: floats as they are, integers in the upper bits of 32."""
    if element in ("alaw", "mulaw"):
        return (law(element)[stored] << 16).astype("i4")
    if element in ("i3", "i3be"):
        parts = stored.view("u1").reshape(*stored.shape, 3)
        if element == "i3be":
            parts = parts[..., ::-1]
        return np.concatenate([np.zeros_like(parts[..., :1]), parts], axis=-1).copy().view("<i4")[..., 0]
    if stored.dtype.kind == "f":
        return stored
    if stored.dtype == "u1":
        return (stored.astype("i4") - 128) << 24
    return stored.astype("i4") << (32 - 8 * stored.itemsize)


def write(path, way, rng, frames, channels):
    kind, encoding, endian = way[:3]
    shape = (frames, channels) if channels > 1 else frames
    if encoding in ("FLOAT", "DOUBLE"):
        values = rng.uniform(-1, 1, shape)
    else:
        values = rng.integers(-(2**31), 2**31, shape).astype("i4")
    soundfile.write(path, values, RATE, encoding, endian, kind)


def read(path):
    dtype = "float64" if soundfile.info(path).subtype in ("FLOAT", "DOUBLE") else "int32"
    return soundfile.read(path, dtype=dtype, always_2d=False)[0]


def check_file(mnt, path, dtype, element):
    """Every sample, as soundfile reads it."""
    wanted = read(path)
    facts = info(mnt, "", path.stem)
    assert facts.get("element") == element and facts["dtype"] == dtype
    data = np.frombuffer((mnt / path.stem / "data").read_bytes(), dtype).reshape(wanted.shape)
    assert np.array_equal(decoded(data, element), wanted)
    check_member(mnt, "", path.stem, data, dims=("frame", "channel"))
    assert facts["attributes"]["rate"] == RATE


@each_way
def test_samples_are_those_that_soundfile_reads(source, rng, way):
    extension, dtype, element = way[3:]
    paths = {}
    for frames in [0, 1, 3, 1001]:
        for channels in [1, 2, 5]:
            paths[frames, channels] = source / f"f{frames}c{channels}.{extension}"
            write(paths[frames, channels], way, rng, frames, channels)
    with mounted(source) as mnt:
        for path in paths.values():
            check_file(mnt, path, dtype, element)


@each_way
def test_what_is_written_is_read_back_by_soundfile(source, rng, way):
    extension, dtype, element = way[3:]
    path, other = source / f"a.{extension}", source / f"b.{extension}"
    write(path, way, rng, 100, 2)
    write(other, way, rng, 100, 2)
    wanted = read(other)
    with mounted(source) as mnt:
        mnt.write("a/data", mnt.read("b/data"))
        mnt.write("a/axis/channel/0", mnt.read("b/col/1"))
    wanted[:, 0] = wanted[:, 1]
    assert np.array_equal(read(path), wanted)


def test_texts_and_rate_are_attributes(source):
    for extension in ["wav", "aiff"]:
        with soundfile.SoundFile(source / f"a.{extension}", "w", 8000, 1, "PCM_16") as file:
            file.title, file.copyright = "a title", "somebody"
            file.write(np.zeros(5, "i2"))
    with mounted(source) as mnt:
        wav, aiff = (info(mnt, "", f"a{extension}")["attributes"] for extension in [".wav", ""])
        assert wav["INAM"] == "a title" and wav["ICOP"] == "somebody" and wav["bits"] == 16
        assert aiff["name"] == "a title" and aiff["copyright"] == "somebody" and aiff["rate"] == 8000


def test_streams_of_unknown_length_reach_to_the_end(source, rng):
    values = rng.integers(-(2**15), 2**15, (100, 2)).astype("<i2")
    for length in [0, 0x7FFFF000, 0xFFFFFFFF]:
        head = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0" + struct.pack("<HHIIHH", 1, 2, RATE, 4 * RATE, 4, 16)
        (source / f"l{length}.wav").write_bytes(head + b"data" + struct.pack("<I", length) + values.tobytes())
    (source / "s.au").write_bytes(b".snd" + struct.pack(">5I", 24, 2**32 - 1, 3, RATE, 2) + values.byteswap().tobytes())
    with mounted(source) as mnt:
        for name in ["l0", "l2147479552", "l4294967295"]:
            check_member(mnt, "", name, values, dims=("frame", "channel"))
        # soundfile takes a length of 0 at its word.
        for name in ["l2147479552", "l4294967295"]:
            assert np.array_equal(soundfile.read(source / f"{name}.wav", dtype="int16")[0], values)
        check_member(mnt, "", "s", values.astype(">i2"), dims=("frame", "channel"))


def test_files_that_cannot_be_served_are_errors_that_say_so(source, rng):
    soundfile.write(source / "adpcm.wav", np.zeros(1000), RATE, "IMA_ADPCM")
    soundfile.write(source / "gsm.wav", np.zeros(1000), 8000, "GSM610")
    soundfile.write(source / "g721.au", np.zeros(1000), RATE, "G721_32")
    soundfile.write(source / "ima.aiff", np.zeros(1000), RATE, "IMA_ADPCM")
    for name in ["cut.wav", "cut2.au", "cut3.aiff"]:
        soundfile.write(source / name, np.zeros(1000), RATE, "PCM_16")
        os.truncate(source / name, 1000)
    (source / "avi.wav").write_bytes(b"RIFF\0\0\0\0AVI ")
    words = {"adpcm": "IMA ADPCM", "gsm": "GSM 6.10", "g721": "G.721", "ima": "ima4", "avi": "another kind"}
    with mounted(source) as mnt:
        for name, word in {**words, "cut": "truncated", "cut2": "truncated", "cut3": "truncated"}.items():
            assert word in error_of(mnt, name)


def test_a_file_is_known_by_its_content(source, rng):
    for kind, endian in [("WAV", "BIG"), ("RF64", "FILE"), ("AU", "LITTLE"), ("AIFF", "FILE")]:
        soundfile.write(source / f"{kind}.blob", rng.integers(-9, 9, 20).astype("i2"), RATE, "PCM_16", endian, kind)
    with mounted(source) as mnt:
        for kind in ["WAV", "RF64", "AU", "AIFF"]:
            stored = np.frombuffer(mnt.read(f"{kind}.blob/data"), info(mnt, "", f"{kind}.blob")["dtype"])
            assert np.array_equal(stored, soundfile.read(source / f"{kind}.blob", dtype="int16")[0])
