"""Octave over forms of slices: text, .mat, raw elements, sound and pictures, and what it writes."""

import numpy as np
import pytest

from harness import mounted
from tools import FLOATS, INTEGERS, any_values, close, name_of, native, needs, save, sh, small, wide

SHAPE = (9, 4)


def octave(script, scratch, *, cwd):
    """Runs Octave; `give(x)` writes numbers, the last axis fastest: they are what this gives."""
    needs("octave-cli")
    out = scratch / "out"
    out.unlink(missing_ok=True)
    (scratch / "job.m").write_text(
        f'1;\nfunction give(x) f = fopen("{out}", "a"); fwrite(f, permute(double(x), ndims(x):-1:1), "double"); fclose(f); end\n{script}\n'
    )
    sh("octave-cli --norc --no-history $1", scratch / "job.m", cwd=cwd)
    return np.fromfile(out) if out.exists() else None


def in_each(arrays, mnt, lines):
    """The lines, run in the folder of each array."""
    return "\n".join(f'cd("{mnt / name}");\n{lines}' for name, _ in arrays)


def test_octave_reads_text(source, scratch, rng):
    arrays = wide(source, rng, [*INTEGERS, *FLOATS], SHAPE)
    script = 'give(load("-ascii", "data.txt")); give(load("T/data.txt")\'); give(dlmread("data.txt")); give(csvread("data.csv"));'
    script += 'f = fopen("data.csv"); give([textscan(f, "%f%f%f%f", "Delimiter", ","){:}]); fclose(f); give(jsondecode(fileread("data.json")));'
    with mounted(source) as mnt:
        found = octave(in_each(arrays, mnt, script), scratch, cwd=scratch).reshape(len(arrays), 6, *SHAPE)
        for (name, array), all_ways in zip(arrays, found, strict=True):
            for number, way in enumerate(all_ways):
                assert close(way, native(array)), (name, number)


def test_octave_reads_what_is_no_number(source, scratch):
    array = save(source, np.array([[1.5, np.nan], [np.inf, -np.inf], [-0.0, 1e-300]]), "a")[1]
    script = 'give(load("-ascii", "data.txt")); give(dlmread("data.txt")); give(csvread("data.csv"));'
    with mounted(source) as mnt:
        for found in octave(script, scratch, cwd=mnt / "a").reshape(3, 3, 2):
            assert np.array_equal(found, array, equal_nan=True)


def test_octave_writes_text(source, scratch, rng):
    arrays = [(name, array) for name, array in small(source, rng, [*INTEGERS, *FLOATS], SHAPE)]
    script = """x = load("-ascii", "data.txt"); y = flipud(x); save("-ascii", "data.txt", "y");
        dlmwrite("slice/:2,:2.csv", x(2:-1:1, 1:2)); csvwrite("row/3.csv", x(1, :)); dlmwrite("col/3.txt", x(:, 1), " ");
        f = fopen("slice/4,:3.txt", "w"); fprintf(f, "%g\\n", 7:9); fclose(f);"""
    with mounted(source) as mnt:
        octave(in_each(arrays, mnt, script), scratch, cwd=scratch)
        for name, array in arrays:
            wanted = array[::-1].copy()
            wanted[:2, :2], wanted[3], wanted[:, 3], wanted[4, :3] = array[1::-1, :2], array[0], array[:, 0], (7, 8, 9)
            assert close(np.load(source / f"{name}.npy"), wanted, 1e-5), name


def test_octave_loads_and_saves_mat(source, scratch, rng):
    arrays = wide(source, rng, ["u1", "<u2", ">u2", "<i2", ">i2", "<i4", ">i4", *FLOATS], SHAPE)
    script = 'x = load("data.mat"); give(x.data); x = load("row/3.mat"); give(x.data);'
    with mounted(source) as mnt:
        found = octave(in_each(arrays, mnt, script), scratch, cwd=scratch).reshape(len(arrays), 40)
        for (name, array), one in zip(arrays, found, strict=True):
            assert np.array_equal(one, [*array.ravel(), *array[3]]), name
        # Version 4 is what the form is.
        doubles = [pair for pair in arrays if pair[1].dtype == np.dtype("<f8")]
        octave(in_each(doubles, mnt, 'load("data.mat"); data = flipud(data); save("-v4", "data.mat", "data");'), scratch, cwd=scratch)
        for name, array in doubles:
            assert np.array_equal(np.load(source / f"{name}.npy"), array[::-1]), name


def test_octave_reads_and_writes_raw_elements(source, scratch, rng):
    arrays = wide(source, rng, [*INTEGERS, *FLOATS], SHAPE)
    kinds = {"u": "uint", "i": "int", "f": "float"}
    lines = []
    with mounted(source) as mnt:
        for name, array in arrays:
            kind = f'"{kinds[array.dtype.kind]}{8 * array.dtype.itemsize}"'
            end = "ieee-be" if array.dtype.byteorder == ">" else "ieee-le"
            lines.append(f"""cd("{mnt / name}"); f = fopen("T/data", "r", "{end}"); x = fread(f, [9, 4], {kind}); fclose(f); give(x);
                f = fopen("col/1.raw", "r+", "{end}"); fwrite(f, flipud(x(:, 2)), {kind}); fclose(f);
                f = fopen("row/0", "w", "{end}"); fwrite(f, x(2, :), {kind}); fclose(f);""")
        found = octave("\n".join(lines), scratch, cwd=scratch).reshape(len(arrays), *SHAPE)
        for (name, array), one in zip(arrays, found, strict=True):
            assert np.array_equal(one, array), name
            wanted = array.copy()
            wanted[:, 1] = array[::-1, 1]
            wanted[0] = array[1]
            assert np.array_equal(np.load(source / f"{name}.npy"), wanted), name


@pytest.mark.parametrize("shape", [(50,), (50, 2), (50, 4)])
def test_octave_hears_and_writes_sound(source, scratch, rng, shape):
    arrays = [save(source, any_values(rng, dtype, shape), name_of(dtype, "C")) for dtype in ["u1", "<i2", ">i2", "<i4"]]
    arrays += [save(source, (rng.random(shape) - 0.5).astype(dtype), name_of(dtype, "C")) for dtype in FLOATS]
    script = '[x, rate] = audioread("data.wav"); give(x); assert(rate, 48000);'
    with mounted(source) as mnt:
        found = octave(in_each(arrays, mnt, script), scratch, cwd=scratch).reshape(len(arrays), *shape)
        for (name, array), one in zip(arrays, found, strict=True):
            scale = {"u1": 2.0**7, "i2": 2.0**15, "i4": 2.0**31}.get(array.dtype.str[1:], 1)
            assert close(one, (array.astype("f8") - 128 * (name == "u1C")) / scale), name
        sixteen = [pair for pair in arrays if pair[1].dtype.str[1:] == "i2" and len(shape) == 1 or shape[1:] == (2,) and pair[1].dtype.str[1:] == "i2"]
        octave(in_each(sixteen, mnt, 'x = audioread("data.wav", "native"); audiowrite("data.wav", flipud(x), 8000, "BitsPerSample", 16);'), scratch, cwd=scratch)
        for name, array in sixteen:
            assert np.array_equal(np.load(source / f"{name}.npy"), array[::-1]), name


def test_octave_sees_and_writes_pictures(source, scratch, rng):
    arrays = [save(source, np.array(any_values(rng, dtype, (6, 5, *colours)), order=order), f"{name_of(dtype, order)}{len(colours)}")
              for dtype in ["u1", "<u2", ">u2"] for colours in [(), (3,)] for order in "CF"]
    lines = []
    with mounted(source) as mnt:
        for name, array in arrays:
            forms = [".pgm" if array.ndim == 2 else ".ppm", ".tif"] + [".bmp"] * (array.dtype.itemsize == 1)
            lines += [f'x = imread("{mnt / name}/data{form}"); assert(class(x), "uint{8 * array.dtype.itemsize}"); give(x);' for form in forms]
        found = octave("\n".join(lines), scratch, cwd=scratch)
        at = 0
        for name, array in arrays:
            for _ in range(2 + (array.dtype.itemsize == 1)):
                assert np.array_equal(found[at : at + array.size].reshape(array.shape), array), name
                at += array.size
        assert at == len(found)
        for name, array in arrays:
            form = "pgm" if array.ndim == 2 else "ppm"
            octave(f'x = imread("data.{form}"); imwrite(flipdim(x, 1), "data.{form}");', scratch, cwd=mnt / name)
            assert np.array_equal(np.load(source / f"{name}.npy"), array[::-1]), name
