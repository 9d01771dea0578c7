"""R over forms of slices: read.table, read.csv, scan, readBin, and what it writes."""

import numpy as np
import pytest

from harness import mounted
from tools import FLOATS, INTEGERS, close, native, needs, save, sh, wide

SHAPE = (9, 4)


def r(script, *arguments, cwd):
    """Runs R, in which `a` are the arguments, and `give` writes numbers where they are found as what this gives."""
    needs("Rscript")
    before = 'a <- commandArgs(TRUE); give <- function(x) writeBin(as.double(t(as.matrix(x))), a[1]); '
    out = arguments[0] / "out"
    out.unlink(missing_ok=True)
    sh('Rscript --vanilla -e "$1" "${@:2}"', before + script, out, *arguments[1:], cwd=cwd)
    return np.fromfile(out) if out.exists() else None


@pytest.mark.parametrize("order", ["C", "F"])
def test_r_reads_text(source, scratch, rng, order):
    arrays = [(name, array) for name, array in wide(source, rng, [*INTEGERS, *FLOATS], SHAPE) if name.endswith(order)]
    script = """for (name in a[-1]) {
        x <- read.table(file.path(name, "data.txt")); y <- read.csv(file.path(name, "data.csv"), header = FALSE)
        z <- matrix(scan(file.path(name, "T/data.txt"), quiet = TRUE), 9); w <- scan(file.path(name, "row/2.csv"), sep = ",", quiet = TRUE)
        stopifnot(sapply(x, is.numeric), sapply(y, is.numeric), identical(unname(x), unname(y)), w == x[3, ])
        all <- if (exists("all_")) rbind(all_, unname(as.matrix(x)), z) else rbind(unname(as.matrix(x)), z); all_ <- all
    }
    give(all)"""
    with mounted(source) as mnt:
        found = r(script, scratch, *[mnt / name for name, _ in arrays], cwd=scratch).reshape(-1, *SHAPE)
        for (name, array), x, z in zip(arrays, found[::2], found[1::2], strict=True):
            assert close(x, native(array)) and close(z, native(array)), name


def test_r_reads_what_is_no_number(source, scratch):
    array = save(source, np.array([[1.5, np.nan], [np.inf, -np.inf], [-0.0, 1e-300]]), "a")[1]
    with mounted(source) as mnt:
        for read in ['read.table("data.txt")', 'read.csv("data.csv", header = FALSE)', 'matrix(scan("data.txt", quiet = TRUE), 3, byrow = TRUE)']:
            assert np.array_equal(r(f"give({read})", scratch, cwd=mnt / "a").reshape(3, 2), array, equal_nan=True)


def test_r_writes_text(source, scratch, rng):
    arrays = [save(source, rng.integers(0, 100, SHAPE).astype(dtype), f"n{k}") for k, dtype in enumerate([*INTEGERS, *FLOATS])]
    script = """for (name in a[-1]) {
        x <- as.matrix(read.table(file.path(name, "data.txt")))
        write.table(x[nrow(x):1, ], file.path(name, "data.txt"), row.names = FALSE, col.names = FALSE)
        write.table(x[2:1, 1:2], file.path(name, "slice/:2,:2.csv"), sep = ",", row.names = FALSE, col.names = FALSE)
        write(x[1, ] + 1, file.path(name, "row/3.txt"))
        cat(7, 8, 9, file = file.path(name, "slice/4,:3.txt"))
    }"""
    with mounted(source) as mnt:
        r(script, scratch, *[mnt / name for name, _ in arrays], cwd=scratch)
        for name, array in arrays:
            wanted = array[::-1].copy()
            wanted[:2, :2], wanted[3], wanted[4, :3] = array[1::-1, :2], array[0] + 1, (7, 8, 9)
            assert np.array_equal(np.load(source / f"{name}.npy"), wanted), name


def test_r_writes_a_data_frame_over_records(source, scratch):
    record = np.array([(1, 2.5, b"ab"), (-3, np.nan, b"c d"), (5, -0.5, b"")], [("n", "<i4"), ("x", ">f8"), ("s", "S4")])
    np.save(source / "r.npy", record)
    script = """x <- read.csv("data.csv", strip.white = TRUE); stopifnot(is.integer(x$n), is.double(x$x), x$s == c("ab", "c d", ""))
        x$n <- x$n * 2L; x$x[1] <- NA; x$s[3] <- "u,v"; write.csv(x, "data.csv", row.names = FALSE)"""
    with mounted(source) as mnt:
        r(script, scratch, cwd=mnt / "r")
    record["n"] *= 2
    record["x"][0], record["s"][2] = np.nan, b"u,v"
    assert np.load(source / "r.npy").tobytes() == record.tobytes()


@pytest.mark.parametrize("dtype", ["u1", "<i2", ">i2", "<i4", ">i4", "<f4", ">f4", "<f8", ">f8"])
def test_r_reads_and_writes_raw_elements(source, scratch, rng, dtype):
    arrays = wide(source, rng, [dtype], SHAPE)
    kind, size = ("double" if np.dtype(dtype).kind == "f" else "integer"), np.dtype(dtype).itemsize
    how = f'size = {size}, endian = "{"big" if dtype[0] == ">" else "little"}"'
    sign = ", signed = FALSE" if dtype == "u1" else ""
    # R's matrices have the first index fastest, as the transpose has.
    script = f"""x <- matrix(readBin("T/data.raw", "{kind}", 36, {how}{sign}), 9); stopifnot(readBin("row/2", "{kind}", 4, {how}{sign}) == x[3, ])
        give(x); f <- file("col/1", "r+b"); writeBin(x[9:1, 2], f, {how}); close(f); writeBin(as.vector(x[2, ]), "row/0.raw", {how})"""
    with mounted(source) as mnt:
        for name, array in arrays:
            array[array == np.iinfo("i4").min if dtype[1:] == "i4" else array != array] = 0
            np.save(source / f"{name}.npy", array)
            assert np.array_equal(r(script, scratch, cwd=mnt / name).reshape(SHAPE), array), name
            wanted = array.copy()
            wanted[:, 1] = array[::-1, 1]
            wanted[0] = array[1]
            assert np.array_equal(np.load(source / f"{name}.npy"), wanted), name
