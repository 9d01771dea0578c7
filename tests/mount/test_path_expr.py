"""Paths of NumPy expressions and expressions of paths: they mean the same, and what cannot be is told with a remedy."""

import contextlib
import os
import re
import shlex

import numpy as np
import pytest

from harness import afbfs, mounted, shell
from oracle import as_stored, save, save_random

RECORD = [("x", "<f8"), ("it's", ">i2", (2, 3)), ("real", "<u4")]
DTYPES = ["<f8", ">i2", "<c16", RECORD]
SHAPES = [(), (7,), (4, 6), (3, 1, 5), (2, 3, 4, 2)]


def said(*arguments, **how):
    answer = afbfs(*arguments, **how)
    assert (answer.returncode, answer.stderr) == (0, b""), (arguments, answer.stderr.decode())
    return answer.stdout.decode()


def lines(*arguments, **how):
    return said(*arguments, **how).splitlines()


def refused(*arguments, **how):
    """The message, of a command that must fail and print nothing else."""
    answer = afbfs(*arguments, **how)
    assert (answer.returncode, answer.stdout) == (1, b""), answer
    message = answer.stderr.decode()
    assert re.fullmatch(r"afbfs: .{10,}\n", message), message
    return message


def bound(rng, length):
    return "" if rng.random() < 0.3 else str(rng.integers(-length - 2, length + 3))


def item(rng, length):
    if length and rng.random() < 0.5:
        return str(rng.integers(-length, length))
    step = "" if rng.random() < 0.5 else f":{rng.choice([1, 2, 3, -1, -2])}"
    return f"{bound(rng, length)}:{bound(rng, length)}{step}"


def subscript(rng, shape):
    count = int(rng.integers(0, len(shape) + 1))
    if rng.random() < 0.3:
        behind = int(rng.integers(0, count + 1))
        items = [item(rng, n) for n in shape[: count - behind]]
        items += ["...", *(item(rng, n) for n in shape[len(shape) - behind :])]
    else:
        items = [item(rng, n) for n in shape[:count]]
    return f"[{', '.join(items)}]" if items else ""


def expression(rng, array):
    """A random expression over `a`, and the type of what it gives."""
    text, steps = "a", []
    now = array
    while rng.random() < 0.5 and len(steps) < 3:
        names = now.dtype.names or ()
        parts = [f"[{name!r}]" for name in names] + [".real", ".imag"] * (now.dtype.kind == "c")
        step = str(rng.choice([*parts, ".T"]))
        if step == ".T" and steps[-1:] == [".T"]:
            continue
        steps.append(step)
        text += step
        now = eval(text, {"a": array})
    if now.dtype.names is None and rng.random() < 0.3:
        text += str(rng.choice([".astype('f4')", ".astype('>i8')", ".astype(np.complex64)"]))
        with np.errstate(all="ignore"):
            now = eval(text, {"a": array, "np": np})
    if rng.random() < 0.2:
        return f"{text}.ravel()" + ("" if now.size == 0 else f"[{item(rng, now.size)}]"), now.dtype
    text += subscript(rng, now.shape)
    return text + (".T" if rng.random() < 0.2 else ""), now.dtype


def small_numbers(rng, dtype, shape):
    """Numbers that every conversion keeps, and in every field others."""
    array = np.zeros(shape, dtype)
    names = array.dtype.names
    for part in [array[name] for name in names] if names else [array]:
        part[...] = rng.integers(0, 1000, part.shape)
        if part.dtype.kind == "c":
            part[...] += 1j * rng.integers(0, 1000, part.shape)
    return array


@pytest.fixture(scope="module")
def folder(module_scratch):
    folder = module_scratch / "source"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def arrays(folder):
    """name: array, of several types and numbers of axes."""
    rng = np.random.default_rng(7)
    made = {}
    for number, dtype in enumerate(DTYPES):
        for shape in SHAPES:
            name = f"a{number}_{len(shape)}"
            order = "F" if (number + len(shape)) % 2 else "C"
            made[name] = np.asarray(small_numbers(rng, dtype, shape), order=order)
            save(folder / f"{name}.npy", made[name])
    return made


@pytest.fixture(scope="module")
def mnt(folder, arrays):
    with mounted(folder) as mnt:
        yield mnt


@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
def test_expressions_and_paths_mean_the_same(folder, arrays, mnt, rng):
    names = sorted(arrays)
    for _ in range(60):
        name = names[rng.integers(len(names))]
        array = arrays[name]
        text, dtype = expression(rng, array)
        # Of single elements NumPy forgets the byte order.
        wanted = np.asarray(eval(text, {"a": array, "np": np}), dtype)
        typed = re.sub(r"^a", name, text)
        path = said("path", typed).strip()
        checked = said("path", "--source", folder, typed).strip()
        # The path has the bytes, and the canonical path is the same file; but a range of all elements is called data.
        assert mnt.read(path) == mnt.read(checked) == as_stored(wanted), (text, path, checked)
        if "/range/" not in path or not checked.endswith("/data"):
            assert os.stat(mnt / path).st_ino == os.stat(mnt / checked).st_ino, (text, path, checked)
        # And so do expressions of both.
        backs = lines("expr", "--source", folder, path, checked)
        # Without the array, a field of this name is taken for the part of a complex number.
        backs += lines("expr", path, checked) if "['real']" not in text else []
        for back in backs:
            again = np.asarray(eval(back.replace(name, "a", 1), {"a": array, "numpy": np}), dtype)
            assert as_stored(again) == as_stored(wanted), (text, path, back)
            # All elements in C order are `data`, which has the axes of the array.
            assert "ravel" in text or again.shape == wanted.shape, (text, path, back)


@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
def test_a_canonical_path_is_its_own(folder, arrays, rng):
    for _ in range(15):
        name = sorted(arrays)[rng.integers(len(arrays))]
        path = said("path", "-s", folder, re.sub(r"^a", name, expression(rng, arrays[name])[0])).strip()
        text = said("expr", path).strip()
        assert said("path", "-s", folder, text).strip() == path, text


def test_names_in_the_tree_are_known(folder, arrays, mnt):
    # All that is listed in an array's folder is understood, the folders of a slice with an index behind.
    for name in ["a0_2", "a2_2", "a3_1"]:
        for entry in sorted(os.listdir(mnt / name)):
            more = {
                "row": "/0", "col": "/0", "axis": "/0/0", "range": "/0", "slice": "/0", "T": "/data", "as": "/f4/data",
                "value": "/data", "field": "/x/data" if name == "a3_1" else "/real/data",
            }
            answer = afbfs("expr", "--source", folder, f"{name}/{entry}{more.get(entry, '')}")
            about_the_file = entry in {"info.json", "offset", "order", "format"}
            assert answer.returncode == about_the_file, (entry, answer.stderr)
            assert (b"NumPy knows nothing" in answer.stderr) == about_the_file


def test_facts_are_attributes(arrays, mnt):
    for name in ["a0_2", "a1_4"]:
        for fact in ["shape", "strides", "ndim", "size", "itemsize", "dtype"]:
            text = said("expr", f"{name}/{fact}").strip()
            value = eval(text.replace(name, "a", 1), {"a": arrays[name]})
            words = [str(word) for word in value] if isinstance(value, tuple) else [str(value)]
            assert mnt.read(f"{name}/{fact}").decode().split() == words, text


def test_a_form_is_a_comment(folder, arrays, mnt, scratch):
    assert said("expr", "a0_2/row/3.npy") == "a0_2[3]  # .npy: numpy.save of it\n"
    np.save(scratch / "row.npy", arrays["a0_2"][3])
    assert mnt.read("a0_2/row/3.npy") == (scratch / "row.npy").read_bytes()
    assert said("expr", "a0_2/row/3.raw") == "a0_2[3]\n"
    assert said("expr", "a0_2/data.png") == "a0_2  # .png\n"


def test_values_are_numpy_code(scratch):
    h5py = pytest.importorskip("h5py")
    folder = scratch / "cf"
    folder.mkdir()
    with h5py.File(folder / "t.h5", "w") as file:
        packed = file.create_dataset("packed", data=np.arange(-3, 21, dtype=">i2").reshape(4, 6))
        packed.attrs["scale_factor"], packed.attrs["add_offset"] = 0.01, 273.15
        packed.attrs["_FillValue"] = np.int16(7)
        plain = file.create_dataset("plain", data=np.arange(6, dtype="u1"))
        plain.attrs["scale_factor"] = 2.5
        signed = file.create_dataset("signed", data=np.arange(-3, 3, dtype="i1"))
        signed.attrs["_Unsigned"] = "true"
    with mounted(folder) as mnt, h5py.File(folder / "t.h5") as file:
        for path in ["packed/value/data", "packed/value/T/col/2", "packed/value/as/f4/row/-1", "plain/value/data", "signed/value/data"]:
            text = said("expr", "--source", folder, f"t/{path}").strip()
            name = path.split("/")[0]
            wanted = eval(text.replace(f"t/{name}", "a"), {"a": file[name][:], "numpy": np})
            assert mnt.read(f"t/{path}") == np.ascontiguousarray(wanted).tobytes(), text
        assert "name its folder with --source" in refused("expr", mnt / "t/packed/value/data")
    assert "name its folder with --source" in refused("expr", "t/packed/value/data")


def test_named_axes_are_those_of_the_array(scratch):
    xarray_like = pytest.importorskip("scipy.io")
    folder = scratch / "nc"
    folder.mkdir()
    with contextlib.closing(xarray_like.netcdf_file(folder / "t.nc", "w")) as file:
        for name, length in [("time", 4), ("lat", 3)]:
            file.createDimension(name, length)
        file.createVariable("u", "i2", ("time", "lat"))[:] = np.arange(12).reshape(4, 3)
    assert said("expr", "-s", folder, "t/u/axis/lat/2", "t/u/T/axis/lat/2") == "t/u[:, 2]\n" * 2
    assert "did you mean time?" in refused("expr", "-s", folder, "t/u/axis/tmie/0")
    assert "index 4 is out of range: axis 0 (time) has 4 indices" in refused("path", "-s", folder, "t/u[4]")
    assert "--source" in refused("expr", "t/u/axis/lat/2")


# --- mounts


def test_paths_into_a_mount_are_checked_there(arrays, mnt):
    wanted = arrays["a0_2"]
    for before, how in [(f"{mnt.path}/", {}), ("", {"cwd": mnt.path}), (f"{mnt.path.name}/", {"cwd": mnt.path.parent})]:
        assert said("path", f"{before}a0_2[-1, :]", **how) == f"{before}a0_2/row/3\n"
        assert said("expr", f"{before}a0_2.npy/T/row/-1", **how) == f"{before}a0_2[:, 5]\n"
        assert "index 4 is out of range" in refused("path", f"{before}a0_2[4]", **how)
        assert "holds no array" in refused("path", f"{before}nothing[4]", **how)
    done = shell('cat "$(afbfs path "$1")"', f"{mnt.path}/a0_2[1:3, ::2]", env={**os.environ, "PATH": path_with_afbfs(mnt)})
    assert done.stdout == wanted[1:3, ::2].tobytes()


def path_with_afbfs(mnt):
    folder = mnt.path.parent / "bin"
    folder.mkdir(exist_ok=True)
    with contextlib.suppress(FileExistsError):
        (folder / "afbfs").symlink_to(os.environ["AFBFS_BIN"])
    return f"{folder}:{os.environ['PATH']}"


def test_a_link_to_a_mount_is_a_way_into_it(mnt, scratch):
    (scratch / "link").symlink_to(mnt.path)
    assert said("expr", scratch / "link/a0_2/row/-1") == f"{scratch}/link/a0_2[3]\n"


# --- refusals


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("a0_2[4]", "index 4 is out of range: axis 0 has 4 indices, 0 to 3, or -4 to -1"),
        ("a0_2[0, -7]", "index -7 is out of range: axis 1 has 6 indices"),
        ("a0_2[..., 6]", "index 6 is out of range: axis 1"),
        ("a0_3[0, 1]", "index 1 is out of range: axis 1 has 1 index, 0"),
        ("a0_2.T[4:, 4]", "index 4 is out of range: axis 1 has 4 indices"),
        ("a0_2.ravel()[24]", "index 24 is out of range: the array in C order has 24 indices"),
        ("a0_1[1, 2]", "too many indices: it has 1 axis (7), and 2 would be indexed"),
        ("a0_2[0, :, :]", "too many indices: it has 2 axes (4x6), and 3 would be indexed"),
        ("a0_0[:]", "too many indices: it has no axes"),
        ("a0_2['x']", "the elements are <f8, which have no field `x`"),
        ("a0_2.real", "which have no field `real`"),
        ("a3_1['xx']", "did you mean x?"),
        ("a3_1['y']", "there are field/x, field/it's, field/real"),
        ("a3_1.astype('f4')", "no numbers that could be converted; there are field/x"),
        ("a0_2.astype('float33')", "did you mean as/float32?"),
        ("a0_3x[0]", "did you mean a0_3?"),
        ("unlike[0]", "holds no array `unlike`; afbfs ls"),
        ("a0_2/row[0]", "write only its name"),
    ],
)
def test_what_the_array_has_not_is_told(folder, arrays, typed, expected):
    assert expected in refused("path", "--source", folder, typed)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("a0_2/rwo/3", "no view is called `rwo`"),
        ("a0_2/rwo/3", "did you mean row?"),
        ("a0_2/t/data", "did you mean T?"),
        ("a0_2/row/4", "index 4 is out of range"),
        ("a0_2/row/x", "`x` means nothing in row/; there are indices"),
        ("a0_2/row", "is a folder; name a file in it, such as 0"),
        ("a0_2/row/3/4", "stands behind a file"),
        ("a0_1/col/0", "too many indices"),
        ("a0_2/axis/2/0", "too many indices"),
        ("a0_2/axis/time/0", "no axis is called `time`: the axes have numbers, 0 to 1"),
        ("a0_2/T/T/data", "T/T is the array itself"),
        ("a0_2/as/f4/as/i2/data", "take the last alone"),
        ("a0_2/as/flaot32/data", "did you mean as/float32?"),
        ("a0_2/data.npx", "did you mean npy?"),
        ("a0_2/row/3.npyy", "did you mean npy?"),
        ("a0_2/data.pgm", "the form .pgm is for u1 and u2 of two axes; this slice is <f8 of shape 4x6, which has .raw .npy"),
        ("a0_2/row/1.tif", "the form .tif is for integers"),
        ("a3_1/field/xs/data", "did you mean x?"),
        ("a0_2x/row/3", "did you mean a0_2?"),
    ],
)
def test_misspelt_paths_are_told_by_cat_and_expr(folder, arrays, typed, expected):
    assert expected in refused("expr", "--source", folder, typed)
    assert expected in refused("cat", folder, typed)


def test_misspelt_paths_that_no_array_is_asked_of():
    assert "no view is called `rwo`" in refused("expr", "a/rwo/3")
    assert "did you mean row?" in refused("expr", "a/rwo/3")
    assert "such as data or row/0" in refused("expr", "a")
    assert "full name" in refused("expr", "a.T/row/3")


def test_a_file_that_is_not_served_says_why(source):
    (source / "sick.npy").write_bytes(b"no array")
    for command in [["path", "-s", source, "sick[3]"], ["expr", "-s", source, "sick/row/3"]]:
        assert "sick.npy: " in refused(*command)


def test_of_one_file_the_name_may_be_left_out(source, rng):
    array = save_random(source / "b.npy", rng, "<f4", (3, 5))
    assert said("expr", "-s", array.path, "row/-1", "b/row/-1") == "b[2]\nb[2]\n"


@pytest.mark.parametrize("command", ["path", "expr"])
def test_the_examples_of_the_help_are_true(scratch, command):
    (scratch / "data").mkdir()
    i, j = np.ogrid[:4, :6]
    np.save(scratch / "data/a.npy", 10.0 * i + j)
    (scratch / "bin").mkdir()
    (scratch / "bin/afbfs").symlink_to(os.environ["AFBFS_BIN"])
    examples = re.findall(r"^  (afbfs .*?) +# prints (.*)$", said(command, "--help"), re.MULTILINE)
    assert len(examples) >= 4
    for line, printed in examples:
        done = shell(line, cwd=scratch, env=os.environ | {"PATH": f"{scratch}/bin:{os.environ['PATH']}"})
        assert (done.returncode, done.stdout.decode().strip()) == (0, printed), (line, done.stderr)
    assert all(shlex.split(line) for line, _ in examples)
