"""Files that mean harm: mutilated headers of every format, made of the inputs in tests/fuzz/corpus.

python tests/mount/hostile.py FOLDER [COUNT [SEED]]
"""

import random
import re
import sys
from pathlib import Path

CORPUS = Path(__file__).parents[1] / "fuzz/corpus"
SEPARATOR = b"\n=====\n"
# The inputs of fuzz targets that are no formats are no files.
OTHERS = {"convert", "dtype", "heads", "name", "runs", "text"}

# How the files of a format are called, where that is not its name.
SUFFIXES = {
    "aiff": [".aif", ".aifc"],
    "edf": [".edf", ".bdf"],
    "ehdr": [".hdr"],
    "envi": [".hdr"],
    "fits": [".fits", ".fit"],
    "fortran": [".unf"],
    "hdf5": [".h5", ".nc4"],
    "mat4": [".mat"],
    "mat5": [".mat"],
    "mrc": [".mrc", ".map"],
    "netcdf3": [".nc"],
    "nifti": [".nii", ".hdr"],
    "nrrd": [".nrrd", ".nhdr"],
    "parrec": [".par"],
    "pnm": [".pgm", ".ppm", ".pam", ".pfm"],
    "raw": [".raw", ".bin"],
    "segy": [".sgy"],
    "tiff": [".tif"],
    "torch": [".pt"],
}
BESIDE = {
    "ehdr": [".bil", ".flt"],
    "envi": [".img", ""],
    "nifti": [".img"],
    "nrrd": [".raw"],
    "parrec": [".rec"],
    "raw": [".toml"],
}
NUMBERS = [0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**62, 2**63 - 1, 2**63, 2**64 - 1]
WORDS = [b"-1", b"0", b"18446744073709551615", b"9" * 40, b"1e999", b"nan", b"../../etc/passwd", b"\0", b"\xff\xfe", b"[[[[["]


def mutilated(data, rng):
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 4, 16])):
        # Mostly the header, where there is one.
        at = rng.randrange(min(len(data), rng.choice([64, 512, 1 << 20])) + 1)
        match rng.randrange(8):
            case 0:
                data[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                size = rng.choice([1, 2, 4, 8])
                number = rng.choice(NUMBERS) & (256**size - 1)
                data[at : at + size] = number.to_bytes(size, rng.choice(["little", "big"]))
            case 2:
                del data[at:]
            case 3:
                del data[at : at + rng.choice([1, 4, 100])]
            case 4:
                data[at:at] = rng.choice([bytes(rng.choice([1, 8, 1000])), rng.randbytes(8), bytes(data[:at])])
            case 5:
                data[at:at] = rng.choice(WORDS)
            case _:
                digits = list(re.finditer(rb"[0-9]+", bytes(data[: 1 << 12])))
                if digits:
                    start, end = rng.choice(digits).span()
                    data[start:end] = rng.choice([*WORDS, b"%d" % rng.choice(NUMBERS)])
    return bytes(data)


def make(folder, count, seed):
    """Fills a folder with so many files, of every format alike. The same seed makes the same ones."""
    rng = random.Random(seed)
    folder.mkdir(exist_ok=True)
    inputs = {}
    for path in sorted(CORPUS.glob("*/*")):
        if path.parent.name not in OTHERS:
            inputs.setdefault(path.parent.name, []).append(path.read_bytes())
    formats = sorted(inputs)
    for number in range(count):
        name = formats[number % len(formats)]
        data, *rest = rng.choice(inputs[name]).split(SEPARATOR)
        stem = f"{number:06}-{name}"
        if name == "zarr":
            place = folder / f"{stem}.zarr"
            place.mkdir(exist_ok=True)
            data = mutilated(data, rng)
            for description in ["zarr.json"] if b"zarr_format\":3" in data.replace(b" ", b"") else [".zarray"]:
                (place / description).write_bytes(data)
            continue
        main = folder / (stem + rng.choice(SUFFIXES.get(name, [f".{name}"])))
        main.write_bytes(mutilated(data, rng))
        for suffix in BESIDE.get(name, []):
            beside = rest[0] if rest and rest[0] else rng.randbytes(256)
            full = main.name if name == "raw" else stem
            (folder / (full + suffix)).write_bytes(mutilated(beside, rng))


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if not 1 <= len(arguments) <= 3:
        sys.exit(__doc__.strip())
    make(Path(arguments[0]), int(arguments[1]) if len(arguments) > 1 else 100_000, int(arguments[2]) if len(arguments) > 2 else 0)
