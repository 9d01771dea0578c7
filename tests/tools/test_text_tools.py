"""awk, sort, cut, paste, datamash, od, xxd, dd, perl and Python's csv, over forms of slices."""

import csv

import numpy as np
import pytest

from harness import mounted
from tools import FLOATS, INTEGERS, any_values, attempt, native, needs, numbers, save, sh, small, wide

SHAPE = (9, 4)


@pytest.mark.parametrize("awk", ["mawk", "gawk"])
def test_awk(source, scratch, rng, awk):
    needs(awk)
    arrays = small(source, rng, [*INTEGERS, *FLOATS], SHAPE)
    total = 'NF != 4 { exit 1 } { for (k = 1; k <= NF; k++) s[k] += $k } END { printf "%.17g %.17g %.17g %.17g", s[1], s[2], s[3], s[4] }'
    with mounted(source) as mnt:
        for name, array in arrays:
            sums = array.astype("f8").sum(axis=0)
            assert np.array_equal(numbers(sh(f"{awk} '{total}' data.txt", cwd=mnt / name))[0], sums), name
            assert np.array_equal(numbers(sh(f"{awk} -F, '{total}' data.csv", cwd=mnt / name))[0], sums), name
            some = numbers(sh(f"{awk} -F, '$2 > 3 {{ print $1, $2 }}' data.csv", cwd=mnt / name)).reshape(-1, 2)
            assert np.array_equal(some, array[array[:, 1] > 3][:, :2]), name
            # Back into the whole array, into a row, and into a slice.
            sh(f"{awk} '{{ print $4, $3, $2, $1 }}' $1/data.txt > $2/x; cp $2/x $1/data.txt", mnt / name, scratch)
            array = array[:, ::-1].copy()
            assert np.array_equal(np.load(source / f"{name}.npy"), array), name
            sh(f"{awk} 'BEGIN {{ OFS = \",\"; for (k = 0; k < 4; k++) print 2 * k }}' > row/5.csv", cwd=mnt / name)
            sh(f"{awk} '{{ print $1, 7 }}' col/0.txt | head -n 3 > slice/:3,:2.txt", cwd=mnt / name)
            array[5], array[:3, 1] = [0, 2, 4, 6], 7
            assert np.array_equal(np.load(source / f"{name}.npy"), array), name


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS])
@pytest.mark.parametrize("order", ["C", "F"])
def test_sort_a_column(source, scratch, rng, dtype, order):
    _, array = save(source, np.array(any_values(rng, dtype, SHAPE), order=order), "a")
    if np.dtype(dtype).kind == "f":
        # `sort -n` knows no exponents.
        array = save(source, np.array(rng.integers(-4000, 4000, SHAPE) / 4, dtype, order=order), "a")[1]
    with mounted(source) as mnt:
        (scratch / "col").symlink_to(mnt / "a/col")
        sh("sort -n col/3.txt > x; cp x col/3.txt", cwd=scratch)
        array[:, 3] = np.sort(array[:, 3])
        assert np.array_equal(np.load(source / "a.npy"), array)
        assert np.array_equal(numbers(sh("sort -s -k2,2n data.txt", cwd=mnt / "a")), native(array[np.argsort(array[:, 1], kind="stable")]))
        assert np.array_equal(numbers(sh("sort -s -t, -k2,2n data.csv", cwd=mnt / "a")), native(array[np.argsort(array[:, 1], kind="stable")]))


def test_programs_that_write_into_what_they_read(source, rng):
    needs("ed", "shuf")
    array = save(source, rng.integers(-9999, 9999, SHAPE), "a")[1]
    with mounted(source) as mnt:
        sh("shuf -o col/3.txt col/3.txt; sort -n -o col/3.txt col/3.txt", cwd=mnt / "a")
        array[:, 3] = np.sort(array[:, 3])
        assert np.array_equal(np.load(source / "a.npy"), array)
        sh("printf '%s\\n' '2s/.*/12345678/' w q | ed -s row/0.txt", cwd=mnt / "a")
        array[0, 1] = 12345678
        assert np.array_equal(np.load(source / "a.npy"), array)
        sh("seq 4 | tee row/1.txt row/2.csv; printf '%s\\n' 9 8 7 6 | dd of=row/3.txt status=none", cwd=mnt / "a")
        array[1:4] = [1, 2, 3, 4], [1, 2, 3, 4], [9, 8, 7, 6]
        assert np.array_equal(np.load(source / "a.npy"), array)
        # There is no room behind the last number.
        assert attempt("echo 5 >> row/0.txt", cwd=mnt / "a").returncode == 1
        assert np.array_equal(np.load(source / "a.npy"), array)


def test_sort_of_floats_of_every_size(source, rng):
    arrays = wide(source, rng, FLOATS, SHAPE)
    with mounted(source) as mnt:
        for name, array in arrays:
            assert np.array_equal(numbers(sh("sort -g col/1.txt", cwd=mnt / name), array.dtype.newbyteorder("="))[:, 0], np.sort(array[:, 1])), name


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS])
def test_echo_into_a_slice(source, scratch, rng, dtype):
    arrays = small(source, rng, [dtype], SHAPE)
    with mounted(source) as mnt:
        for name, array in arrays:
            (scratch / name).mkdir()
            (scratch / name / "slice").symlink_to(mnt / name / "slice")
            sh("echo 1 2 3 > slice/0,0:3.txt", cwd=scratch / name)
            array[0, :3] = 1, 2, 3
            assert np.array_equal(np.load(source / f"{name}.npy"), array), name
            found = sh('n=$(cat slice/1,1.txt); echo $((${n%.*} + 1)); read -r a < slice/2,0.txt; echo "$a"', cwd=scratch / name).split()
            assert float(found[0]) == np.trunc(array[1, 1]) + 1 and float(found[1]) == array[2, 0], name


def test_cut_and_paste(source, scratch, rng):
    arrays = small(source, rng, [*INTEGERS, *FLOATS], SHAPE)
    with mounted(source) as mnt:
        for name, array in arrays:
            assert np.array_equal(numbers(sh("cut -d, -f2,4 data.csv", cwd=mnt / name)), array[:, [1, 3]]), name
            # A blank is a separator of its own to cut: those before a number are squeezed first.
            cut = "sed 's/^ *//' data.txt | tr -s ' ' | cut -d ' ' -f 2-3"
            assert np.array_equal(numbers(sh(cut, cwd=mnt / name)), array[:, 1:3]), name
            assert np.array_equal(numbers(sh("paste col/3.txt col/0.txt", cwd=mnt / name)), array[:, [3, 0]]), name
            sh("paste -d, col/3.csv col/2.csv col/1.csv col/0.csv > $1/x; cat $1/x > data.csv", scratch, cwd=mnt / name)
            assert np.array_equal(np.load(source / f"{name}.npy"), array[:, ::-1]), name
            sh("tac data.txt > $1/x; cp $1/x data.txt; head -n 2 data.txt | tail -n 1 > row/0.txt", scratch, cwd=mnt / name)
            array = array[::-1, ::-1].copy()
            array[0] = array[1]
            assert np.array_equal(np.load(source / f"{name}.npy"), array), name


def test_datamash(source, scratch, rng):
    needs("datamash")
    arrays = small(source, rng, [*INTEGERS, *FLOATS], SHAPE)
    with mounted(source) as mnt:
        for name, array in arrays:
            wide_array = array.astype("f8")
            wanted = [wide_array[:, 0].sum(), wide_array[:, 1].mean(), np.median(wide_array[:, 3])]
            for command in ["datamash -W -R 6 sum 1 mean 2 median 4 < data.txt", "datamash -t, -R 6 sum 1 mean 2 median 4 < data.csv"]:
                assert np.allclose(numbers(sh(command, cwd=mnt / name))[0], wanted, rtol=0, atol=1e-6), (name, command)
            assert np.array_equal(numbers(sh("datamash -W transpose < data.txt", cwd=mnt / name)), array.T), name
            sh("datamash -W reverse < data.txt > $1/x; cp $1/x data.txt", scratch, cwd=mnt / name)
            assert np.array_equal(np.load(source / f"{name}.npy"), array[:, ::-1]), name


OD = {"u1": "u1", "i1": "d1", "u2": "u2", "i2": "d2", "u4": "u4", "i4": "d4", "f4": "f4", "f8": "f8"}


def test_od_xxd_and_dd(source, rng):
    needs("xxd")
    arrays = wide(source, rng, [*INTEGERS, *FLOATS], SHAPE)
    with mounted(source) as mnt:
        for name, array in arrays:
            kind, size = OD[array.dtype.str[1:]], array.dtype.itemsize
            end = "big" if array.dtype.byteorder == ">" else "little"
            text = sh(f"od -A n -v -t {kind} -w{4 * size} --endian={end} data.raw", cwd=mnt / name)
            assert np.array_equal(numbers(text, array.dtype.newbyteorder("=")), native(array)), name
            assert sh("xxd -p -c 9999 col/2", cwd=mnt / name).strip() == array[:, 2].tobytes().hex(), name
            sh("xxd -p row/1 | xxd -r -p > row/7", cwd=mnt / name)
            sh(f"dd if=row/0 of=col/2 bs={size} count=2 seek=3 conv=notrunc status=none", cwd=mnt / name)
            array[7] = array[1]
            array[3:5, 2] = array[0, :2]
            assert np.array_equal(np.load(source / f"{name}.npy"), array), name
            # A part of a form, at any offset.
            half = (mnt / name / "data.txt").read_bytes()[100:123]
            assert sh("dd if=data.txt bs=1 skip=100 count=23 status=none", cwd=mnt / name).encode() == half


def test_perl(source, scratch, rng):
    needs("perl")
    arrays = small(source, rng, [*INTEGERS, *FLOATS], SHAPE)
    with mounted(source) as mnt:
        for name, array in arrays:
            wanted = array[:, 1].astype("f8").sum()
            assert float(sh("""perl -lane '$s += $F[1]; END { print $s }' data.txt""", cwd=mnt / name)) == wanted, name
            assert float(sh("""perl -F, -lane '$s += $F[1]; END { print $s }' data.csv""", cwd=mnt / name)) == wanted, name
            sh("""perl -lane 'print join ",", reverse @F' data.txt > $1/x; cp $1/x data.csv""", scratch, cwd=mnt / name)
            assert np.array_equal(np.load(source / f"{name}.npy"), array[:, ::-1]), name
            sh("""perl -e 'print pack("d<4", 1, 2, 3, 4)' > as/f8le/row/2""", cwd=mnt / name)
            assert np.load(source / f"{name}.npy")[2].tolist() == [1, 2, 3, 4], name


def test_csv_of_python(source, rng):
    arrays = wide(source, rng, [*INTEGERS, *FLOATS], SHAPE)
    with mounted(source) as mnt:
        for name, array in arrays:
            with open(mnt / name / "data.csv", newline="") as file:
                rows = [[float(cell) for cell in row] for row in csv.reader(file)]
            assert np.array_equal(np.array(rows, array.dtype.newbyteorder("=")), native(array)), name
            with open(mnt / name / "data.csv", "w", newline="") as file:
                csv.writer(file).writerows(native(array)[::-1].tolist())
            assert np.array_equal(np.load(source / f"{name}.npy"), array[::-1]), name


def test_a_text_that_is_none_is_refused_by_cp(source, scratch, rng):
    [(name, array), _] = small(source, rng, ["<i4"], SHAPE)
    (scratch / "x").write_text("1 2 3 four\n")
    with mounted(source) as mnt:
        done = attempt("cp x $1/row/0.txt", mnt / name, cwd=scratch)
        assert done.returncode == 1 and b"Invalid argument" in done.stderr
        assert np.array_equal(np.load(source / f"{name}.npy"), array)
