"""sqlite, jq, gnuplot and pandas over forms of slices, and strings in .csv."""

import csv
import io
import json

import numpy as np
import pandas
import pytest

from harness import mounted
from tools import FLOATS, INTEGERS, close, native, needs, numbers, save, sh, small, wide

SHAPE = (9, 4)


def sqlite(*lines):
    needs("sqlite3")
    return sh('printf "%s\\n" "$@" | sqlite3 -bail :memory:', ".mode csv", *lines)


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS])
def test_sqlite(source, scratch, rng, dtype):
    arrays = small(source, rng, [dtype], SHAPE)
    with mounted(source) as mnt:
        for name, array in arrays:
            kind = "real" if array.dtype.kind == "f" else "integer"
            table = [f"create table t(a {kind}, b {kind}, c {kind}, d {kind});", f".import {mnt / name}/data.csv t"]
            # The blanks before a number are no part of it: the cells are numbers, not text.
            text = sqlite(*table, "select distinct typeof(a), typeof(d) from t;")
            assert text == f"{kind},{kind}\n", name
            assert np.array_equal(numbers(sqlite(*table, "select * from t;")), array), name
            assert np.array_equal(numbers(sqlite(*table, "select sum(b), max(c) from t;"))[0], [array[:, 1].astype("f8").sum(), array[:, 2].max()])
            text = sqlite(*table, f".once {scratch}/x", "select d, c, b, a from t order by rowid desc;", f".shell cp {scratch}/x {mnt / name}/data.csv")
            assert np.array_equal(np.load(source / f"{name}.npy"), array[::-1, ::-1]), (name, text)


def test_sqlite_of_records(source):
    record = np.array([(1, 2.5, b"ab"), (-3, 7.25, b"cd"), (5, -0.5, b"e")], [("n", "<i4"), ("x", ">f8"), ("s", "S4")])
    np.save(source / "r.npy", record)
    with mounted(source) as mnt:
        lines = ["create table r(n integer, x real, s text);", f".import --skip 1 {mnt.path}/r/data.csv r"]
        assert sqlite(*lines, "select n, x, trim(s) from r where n > 0 order by x;") == "5,-0.5,e\n1,2.5,ab\n"
        # Without a table of types every cell is text, which is compared as text unless it is cast.
        select = "select cast(n as int), x * 2 from r where cast(x as real) > 2;"
        assert sqlite(f".import {mnt.path}/r/data.csv r", select) == "1,5.0\n-3,14.5\n"
        # It quotes them, blanks and all, when it writes them back.
        sqlite(f".import {mnt.path}/r/data.csv r", f".once {mnt.path}/r/data.csv", "select n + 1, x, ltrim(s) from r order by rowid desc;")
    assert np.load(source / "r.npy").tolist() == [(6, -0.5, b"e"), (-2, 7.25, b"cd"), (2, 2.5, b"ab")]


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS])
def test_jq(source, scratch, rng, dtype):
    needs("jq")
    arrays = small(source, rng, [dtype], SHAPE)
    with mounted(source) as mnt:
        for name, array in arrays:
            assert np.array_equal(json.loads(sh("jq -c . data.json", cwd=mnt / name)), array), name
            assert np.array_equal(json.loads(sh("jq -c 'map(add)' data.json", cwd=mnt / name)), array.astype("f8").sum(axis=1)), name
            assert float(sh("jq '.[2]' col/1.json", cwd=mnt / name)) == array[2, 1], name
            sh("jq 'map(reverse)' data.json > $1/x; cp $1/x data.json", scratch, cwd=mnt / name)
            assert np.array_equal(np.load(source / f"{name}.npy"), array[:, ::-1]), name
            sh("jq -r '.[] | @csv' data.json > $1/x; tac $1/x > $1/y; cp $1/y data.csv", scratch, cwd=mnt / name)
            assert np.array_equal(np.load(source / f"{name}.npy"), array[::-1, ::-1]), name
            sh("jq -c 'map(1)' row/0.json > $1/x; cp $1/x row/0.json", scratch, cwd=mnt / name)
            assert np.load(source / f"{name}.npy")[0].tolist() == [1] * 4, name
        info = json.loads(sh("jq -c '[.shape, .dtype]' info.json", cwd=mnt / arrays[0][0]))
        assert info == [list(SHAPE), arrays[0][1].dtype.str]


def test_jq_of_what_is_no_number(source):
    save(source, np.array([[np.nan, 1.5], [np.inf, -np.inf]]), "a")
    with mounted(source) as mnt:
        # JSON has no infinity: jq takes a number that is too large as the largest one.
        most = np.finfo("f8").max
        assert json.loads(sh("jq -c . a/data.json", cwd=mnt.path)) == [[None, 1.5], [most, -most]]


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS])
def test_gnuplot(source, scratch, rng, dtype):
    needs("gnuplot")
    arrays = small(source, rng, [dtype], SHAPE)

    def plotted(folder, plot):
        """What gnuplot would draw: its points, as it writes them into a table."""
        text = sh('gnuplot -e "set table \\"$1/t\\"; $2; unset table"; grep -v "^#" $1/t', scratch, plot, cwd=folder)
        return numbers("\n".join(line.rsplit(None, 1)[0] for line in text.splitlines() if line.strip()))

    with mounted(source) as mnt:
        for name, array in arrays:
            table, folder = array.astype("f8"), mnt / name
            line = plotted(folder, "plot 'data.txt' using 1:2")
            assert np.allclose(line, table[:, :2], rtol=1e-5), name
            assert np.allclose(plotted(folder, "plot 'col/3.txt' with lines"), np.c_[range(9), table[:, 3]], rtol=1e-5), name
            comma = "set datafile separator ','; "
            assert np.allclose(plotted(folder, comma + "plot 'data.csv' using 2:4"), table[:, [1, 3]], rtol=1e-5), name
            i, j = np.indices(SHAPE)
            image = np.c_[j.ravel(), i.ravel(), table.ravel()]
            assert np.allclose(plotted(folder, "plot 'data.txt' matrix with image"), image, rtol=1e-5), name
            assert np.allclose(plotted(folder, comma + "plot 'data.csv' matrix with image"), image, rtol=1e-5), name
            found = sh("""gnuplot -e "stats 'data.txt' using 3 nooutput; print sprintf('%.17g %.17g', STATS_sum, STATS_max)" 2>&1""", cwd=folder)
            assert np.array_equal(numbers(found)[0], [table[:, 2].sum(), table[:, 2].max()]), name
            size = 8 * array.dtype.itemsize
            binary = f"format='%{dict(u='uint', i='int', f='float')[array.dtype.kind]}{size}' endian={'big' if array.dtype.byteorder == '>' else 'little'}"
            assert np.allclose(plotted(folder, f"plot 'row/2' binary {binary} using 0:1"), np.c_[range(4), table[2]], rtol=1e-5), name
            found = plotted(folder, f"plot 'data' binary array=(4,9) {binary} with image")
            assert np.allclose(found, image, rtol=1e-5), name
            drawn = sh("""gnuplot -e "set terminal svg; plot 'data.txt' using 1:2 with lines" """, cwd=folder)
            assert "</svg>" in drawn and "polyline" in drawn or "path" in drawn, name


def test_gnuplot_leaves_gaps_for_nan(source, scratch):
    needs("gnuplot")
    save(source, np.array([1.5, np.nan, 4.25, np.inf, 8]), "a")
    with mounted(source) as mnt:
        text = sh("""gnuplot -e "set table '$1/t'; plot 'data.txt'"; grep -v '^#' $1/t | awk 'NF { print $1, $2, $3 }'""", scratch, cwd=mnt / "a")
        assert text.splitlines() == ["0 1.5 i", "1 NaN u", "2 4.25 i", "3 inf u", "4 8 i"]


def test_pandas(source, rng):
    arrays = wide(source, rng, [*INTEGERS, *FLOATS], SHAPE)
    unusual = save(source, np.array([[1.5, np.nan], [np.inf, -np.inf], [-2, 3]]), "unusual")[1]
    with mounted(source) as mnt:
        for name, array in arrays:
            frame = pandas.read_csv(mnt / name / "data.csv", header=None)
            assert close(frame, native(array)) and all(kind.kind in "iuf" for kind in frame.dtypes), name
            assert np.array_equal(frame.to_numpy(native(array).dtype), array), name
            frame = pandas.read_csv(mnt / name / "data.txt", header=None, sep=r"\s+")
            assert np.array_equal(frame.to_numpy(native(array).dtype), array), name
            frame[::-1].to_csv(mnt / name / "data.csv", header=False, index=False)
            assert np.array_equal(np.load(source / f"{name}.npy"), array[::-1]), name
            frame[::-1].to_csv(mnt / name / "data.txt", header=False, index=False, sep=" ")
            frame.to_csv(mnt / name / "data.txt", header=False, index=False, sep="\t")
            assert np.array_equal(np.load(source / f"{name}.npy"), array), name
        frame = pandas.read_csv(mnt / "unusual/data.csv", header=None)
        assert all(kind == "f8" for kind in frame.dtypes) and np.array_equal(frame.to_numpy(), unusual, equal_nan=True)
        frame = pandas.read_csv(mnt / "unusual/data.txt", header=None, sep=r"\s+")
        assert np.array_equal(frame.to_numpy(), unusual, equal_nan=True)


STRINGS = np.array([["plain", "two words"], ['"quoted"', "a,b"], ["", "#no"], [" lead", "trail "], ["ü", "NA"]], "U9")


def test_strings_in_csv(source, scratch):
    needs("Rscript")
    save(source, STRINGS, "s")
    record = np.zeros(len(STRINGS), [("a", "U9"), ("n", "<i4"), ("b", "U9")])
    record["a"], record["b"], record["n"] = STRINGS[:, 0], STRINGS[:, 1], range(len(STRINGS))
    save(source, record, "r")
    with mounted(source) as mnt:
        # Empty lines stand behind those that have no number.
        with open(mnt / "s/data.csv", newline="", encoding="utf-8") as file:
            assert [row for row in csv.reader(file) if row] == STRINGS.tolist()
        frame = pandas.read_csv(mnt / "s/data.csv", header=None, keep_default_na=False)
        assert frame.to_numpy().tolist() == STRINGS.tolist()
        script = 'x <- read.csv(commandArgs(TRUE), header = FALSE, na.strings = character(0)); cat(t(as.matrix(x)), sep = "|")'
        assert sh("Rscript --vanilla -e \"$1\" $2", script, mnt / "s/data.csv").split("|") == STRINGS.ravel().tolist()
        # With a number in each line there are none, and sqlite reads them, too.
        lines = ["create table s(a text, n integer, b text);", f".import --skip 1 {mnt.path}/r/data.csv s", ".mode csv", "select a, b from s;"]
        assert list(csv.reader(io.StringIO(sqlite(*lines), newline=""))) == STRINGS.tolist()
        # What each of them writes is taken.
        with open(mnt / "s/data.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file, quoting=csv.QUOTE_NONNUMERIC).writerows(STRINGS[::-1].tolist())
        assert np.array_equal(np.load(source / "s.npy"), STRINGS[::-1])
        # Without quotation marks blanks at the ends are no part of a string.
        pandas.DataFrame(STRINGS).to_csv(mnt / "s/data.csv", header=False, index=False)
        assert np.array_equal(np.load(source / "s.npy"), np.char.strip(STRINGS))
        script = 'write.table(matrix(c("x", "y z", "a,b", "q\\"q", "", "1", "2", "3", "4", "5"), 5), commandArgs(TRUE), sep = ",", '
        script += 'qmethod = "double", row.names = FALSE, col.names = FALSE)'
        sh("Rscript --vanilla -e \"$1\" $2", script, mnt / "s/data.csv")
        assert np.load(source / "s.npy").T.ravel().tolist() == ["x", "y z", "a,b", 'q"q', "", "1", "2", "3", "4", "5"]
        text = sqlite("create table s(a, b);", """insert into s values ('p q', 'r,"s"'), ('', 'u'), ('1', '2'), ('3', '4'), ('5', '6');""",
                      f".once {scratch}/x", "select * from s;", f".shell cp {scratch}/x {mnt.path}/s/data.csv")
        assert np.load(source / "s.npy").ravel().tolist() == ["p q", 'r,"s"', "", "u", "1", "2", "3", "4", "5", "6"], text
