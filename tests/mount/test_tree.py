"""What the mount shows: the folder of an array, its facts, its listings, what has no file, and inodes."""

import json
import os
import re

import numpy as np
import pytest

from harness import mounted, refused, run, shell
from oracle import json_dtype, parse_dtype, save, save_random

FACTS = {"dtype", "shape", "strides", "offset", "order", "format", "itemsize", "ndim", "size"}
PLAIN = {"data", "range", "slice", "T", "info.json"} | FACTS
RECORD = np.dtype([("x", "<f8"), ("pair", ">i2", (2,)), ("inner", [("u", "u1"), ("v", "<c8")])])


@pytest.fixture
def grid(source):
    return save_random(source / "a.npy", np.random.default_rng(1), "<f8", (8, 5))


def listed(*path):
    return set(os.listdir(os.path.join(*path)))


def numbers(count):
    return {str(i) for i in range(count)}


@pytest.mark.parametrize(
    "dtype, shape, more",
    [
        ("<f8", (), {"as", "value"}),
        ("<f8", (4,), {"row", "axis", "as", "value"}),
        ("<f8", (4, 3), {"row", "axis", "col", "as", "value"}),
        ("<f8", (4, 3, 2), {"row", "axis", "col", "as", "value"}),
        ("<f8", (0, 3), {"row", "axis", "col", "as", "value"}),
        ("<c8", (4,), {"row", "axis", "field", "as", "value"}),
        ("S4", (4,), {"row", "axis"}),
        (RECORD, (4, 3), {"row", "axis", "col", "field"}),
        (RECORD, (), {"field"}),
    ],
)
def test_an_array_shows_what_its_rank_and_type_allow(source, rng, dtype, shape, more):
    save_random(source / "a.npy", rng, dtype, shape)
    with mounted(source) as mnt:
        assert listed(mnt, "a") == PLAIN | more
        for absent in {"row", "col", "axis", "field", "as", "value"} - more:
            assert not (mnt / "a" / absent).exists(), absent


def test_indices_are_listed_and_ranges_and_expressions_are_not(source, rng):
    save_random(source / "a.npy", rng, "<i4", (11, 3, 2))
    with mounted(source) as mnt:
        assert listed(mnt, "a/row") == numbers(11)
        assert listed(mnt, "a/col") == numbers(3)
        assert listed(mnt, "a/axis") == numbers(3)
        assert [listed(mnt, f"a/axis/{k}") for k in range(3)] == [numbers(11), numbers(3), numbers(2)]
        assert listed(mnt, "a/axis/-1") == numbers(2)
        assert listed(mnt, "a/slice") == listed(mnt, "a/range") == set()


def test_below_a_transpose_or_a_field_only_data_and_facts_are_listed(source, rng):
    save_random(source / "a.npy", rng, RECORD, (4, 3))
    with mounted(source) as mnt:
        assert listed(mnt, "a/field") == {"x", "pair", "inner"}
        assert listed(mnt, "a/field/inner/field") == {"u", "v"}
        assert listed(mnt, "a/field/inner/field/v/field") == {"real", "imag"}
        for folder in ["a/T", "a/field/x", "a/field/inner", "a/T/field/x", "a/field/x/T"]:
            assert listed(mnt, folder) - {"info.json"} == {"data"} | FACTS, folder
        # What is not listed is there all the same.
        assert len(mnt.read("a/T/row/2")) == 4 * RECORD.itemsize
        assert len(mnt.read("a/field/pair/slice/...,1")) == 4 * 3 * 2


def test_long_axes_are_listed_whole_or_not_at_all(source, rng):
    save_random(source / "a.npy", rng, "u1", (11, 10))
    with mounted(source, "--list-max", "10") as mnt:
        assert listed(mnt, "a/row") == listed(mnt, "a/axis/0") == set()
        assert listed(mnt, "a/col") == listed(mnt, "a/axis/1") == numbers(10)
        assert listed(mnt, "a/T/row") <= numbers(10)
        assert len(mnt.read("a/row/10")) == 10


def test_by_default_a_hundred_thousand_indices_are_listed(source):
    save(source / "most.npy", np.zeros(100_000, "u1"))
    save(source / "more.npy", np.zeros(100_001, "u1"))
    with mounted(source) as mnt:
        assert listed(mnt, "most/row") == numbers(100_000)
        assert listed(mnt, "more/row") == set()


def fact_texts(view, order):
    def spaced(values):
        return " ".join(str(value) for value in values) + "\n"

    return {
        "shape": spaced(view.shape),
        "strides": spaced(view.numpy.strides),
        "itemsize": f"{view.itemsize}\n",
        "ndim": f"{view.ndim}\n",
        "size": f"{view.numpy.size}\n",
        "order": f"{order}\n",
        "format": "npy\n",
        "offset": f"{view.address.flat[0]}\n",
    }


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    "dtype, shape", [("<f8", (3, 4)), (">i2", (7,)), (RECORD, (2, 3, 2)), ("<U3", ()), ("b1", (2, 2))]
)
def test_facts_are_small_files_and_attributes(source, rng, dtype, shape, order):
    array = save_random(source / "a.npy", rng, dtype, shape, order)
    with mounted(source) as mnt:
        facts = {name: (mnt / "a" / name).read_text() for name in FACTS}
        assert parse_dtype(facts["dtype"]) == array.dtype
        assert facts["dtype"].count("\n") == 1 and facts["dtype"].endswith("\n")
        wanted = fact_texts(array.view(), array.order)
        assert {name: facts[name] for name in wanted} == wanted
        for name in FACTS:
            assert (mnt / "a" / name).stat().st_size == len(facts[name]), name
            assert os.getxattr(mnt / "a", f"user.afbfs.{name}").decode().strip() == facts[name].strip(), name
        assert {f"user.afbfs.{name}" for name in FACTS} <= set(os.listxattr(mnt / "a"))


def test_a_scalar_type_is_one_word_and_a_structured_one_python(source, rng):
    save_random(source / "plain.npy", rng, ">f4", (2,))
    save_random(source / "record.npy", rng, RECORD, (2,))
    with mounted(source) as mnt:
        assert mnt.read("plain/dtype") == b">f4\n"
        assert mnt.read("record/dtype").decode() == f"{RECORD.descr!r}\n"


def test_facts_of_a_transpose_and_of_a_field(source, rng):
    array = save_random(source / "a.npy", rng, RECORD, (4, 3))
    with mounted(source) as mnt:
        for view in [array.view().transposed(), array.view().field("pair"), array.view().field("x").transposed()]:
            wanted = fact_texts(view, None)
            wanted.pop("order")
            assert {name: (mnt / view.path / name).read_text() for name in wanted} == wanted, view.path
            assert parse_dtype((mnt / view.path / "dtype").read_text()) == view.numpy.dtype, view.path
        assert mnt.read("a/T/order") == b"F\n"


def test_slice_files_carry_the_facts_of_the_slice(source, rng):
    save_random(source / "a.npy", rng, "<f8", (8, 5))
    shapes = {
        "a/data": "8 5",
        "a/row/3": "5",
        "a/row/1:7:2": "3 5",
        "a/col/-1": "8",
        "a/slice/3,4": "",
        "a/range/2:": "38",
    }
    with mounted(source) as mnt:
        for view, shape in shapes.items():
            assert os.getxattr(mnt / view, "user.afbfs.shape").decode().strip() == shape, view
            assert os.getxattr(mnt / view, "user.afbfs.dtype").decode().strip() == "<f8", view
        with refused("ENODATA"):
            os.getxattr(mnt / "a/data", "user.afbfs.nonsense")


def test_info_is_the_entry_in_the_list_of_all_arrays(source, rng):
    (source / "sub").mkdir()
    for name, dtype in [("a", "<f8"), ("b", RECORD), ("sub/c", [(("t", "n"), "<M8[s]")])]:
        save_random(source / f"{name}.npy", rng, dtype, (4, 3), "F")
    (source / "sick.npy").write_bytes(b"\x93NUMPY\x09\x00 no such version")
    with mounted(source) as mnt:
        entries = {entry["file"]: entry for entry in mnt.arrays()}
        assert set(entries) == {"a.npy", "b.npy", "sub/c.npy", "sick.npy"}
        for name in ["a", "b", "sub/c"]:
            info, entry = json.loads(mnt.read(f"{name}/info.json")), entries[f"{name}.npy"]
            assert info == entry
            assert set(entry) >= {
                "path",
                "dtype",
                "shape",
                "strides",
                "offset",
                "order",
                "writable",
                "forms",
                "attributes",
            }
            assert entry["path"] == name
            assert (entry["format"], entry["order"], entry["writable"]) == ("npy", "F", True)
        assert json_dtype(entries["b.npy"]["dtype"]) == RECORD
        assert set(entries["sick.npy"]) >= {"file", "format", "error"}


def test_the_files_of_the_mount_itself(grid):
    with mounted(grid.path.parent) as mnt:
        assert listed(mnt, ".afbfs") == {"arrays.json", "metrics", "stats.json", "usage.json", "version"}
        for name in listed(mnt, ".afbfs"):
            assert (mnt / ".afbfs" / name).stat().st_size == 0, name
            assert mnt.read(f".afbfs/{name}"), name
        assert re.fullmatch(r"(afbfs )?\d+\.\d+\.\d+\S*\n", mnt.read(".afbfs/version").decode())
        assert isinstance(mnt.stats(), dict)


NO_FILE = """
    row/8 row/-9 row/99999999999999999999999 row/+1 row/1_0 row/0x1 row/1e0 row/1.0 row/1. row/- row/--1 row/x
    row/1,2 row/... row/0:1:2:3 row/0:5:0 row/::0 row/:- row/+1:2 row/1:x row/:::: row/0.foo row/0. row/.raw
    row/0,0 col/5 col/-6 col/0:x axis/2 axis/-3 axis/+0 axis/x axis/2/0 axis/0/8 axis/1/5 axis/1/-6
    range/40 range/-41 range/1,2 range/... range/::0 range/x slice/8 slice/0,5 slice/0,0,0 slice/...,... slice/0,...,...
    slice/0:5:0 slice/1.5 slice/a slice/[1] slice/None slice/True slice/(0,1) slice/,1 slice/1,,1 slice/, slice/:,:,:
    field field/x data.foo rows datas T/row/5 T/col/8 T/slice/5,0
""".split()


def test_what_numpy_refuses_has_no_file(grid):
    with mounted(grid.path.parent) as mnt:
        for name in [*NO_FILE, "row/ 1", "row/1 ", "row/1\n", "row/\u0663", "slice/0, 1", "row/" + "9" * 255]:
            with refused("ENOENT"):
                os.stat(mnt / "a" / name)
            assert not os.path.lexists(mnt / "a" / name), name
        for name in ["b/data", "a.xyz/data", "a.npy.npy/data", ".npy/data", "a.raw/data", "A/data"]:
            with refused("ENOENT"):
                os.stat(mnt / name)
        for name in ["a/data/x", "a/row/0/x", "a/dtype/x"]:
            with refused("ENOTDIR"):
                os.stat(mnt / name)


def test_a_transpose_of_a_transpose_is_a_loop(grid):
    with mounted(grid.path.parent) as mnt:
        with refused("ELOOP"):
            os.stat(mnt / "a/T/T")
        with refused("ELOOP"):
            os.stat(mnt / "a/T/T/data")


def test_what_numpy_clips_is_an_empty_file(grid):
    empty = [
        "row/8:",
        "row/5:5",
        "row/5:2",
        "col/5:9",
        "range/40:",
        "slice/0:0",
        "slice/3,9:.raw",
        "row/9..",
        "row/-9..-8",
    ]
    with mounted(grid.path.parent) as mnt:
        for name in empty:
            assert (mnt / "a" / name).stat().st_size == 0, name
            assert mnt.read(f"a/{name}") == b"", name


def inode(mnt, name):
    return os.stat(mnt / name).st_ino


@pytest.mark.parametrize(
    "names",
    [
        ["a/row/-1", "a/row/7", "a/row/007", "a/axis/0/7", "a/axis/-2/-1", "a/slice/7", "a/slice/7,:", "a.npy/row/7"],
        ["a/range/0:5", "a/range/..5", "a/range/:5", "a/range/:5:1", "a/range/-99:5"],
        ["a/T/row/3", "a/col/3", "a/T/axis/0/3", "a/slice/:,3", "a/slice/...,-2", "a/T/slice/3"],
        ["a/T/col/2", "a/row/2", "a/T/slice/...,2"],
        ["a/row/1:7:2", "a/row/1:6:2", "a/row/1..6..2", "a/slice/1:7:2", "a/slice/1:7:2,..."],
    ],
)
def test_spellings_of_one_view_are_one_file(grid, names):
    with mounted(grid.path.parent) as mnt:
        assert {inode(mnt, name) for name in names} == {inode(mnt, names[0])}


def test_different_views_are_different_files_and_folders_have_one_inode_per_path(grid):
    with mounted(grid.path.parent) as mnt:
        files = ["a/data", "a/T/data", "a/range/5", "a/slice/1:3,2", *(f"a/row/{i}" for i in range(8))]
        files += [f"a/col/{i}" for i in range(5)] + [f"a/{fact}" for fact in FACTS]
        assert len({inode(mnt, name) for name in files}) == len(files)
        folders = [
            "",
            "a",
            "a.npy",
            "a/row",
            "a.npy/row",
            "a/col",
            "a/T",
            "a.npy/T",
            "a/axis",
            "a/axis/0",
            "a/axis/1",
            ".afbfs",
        ]
        assert len({inode(mnt, name) for name in folders}) == len(folders)
        listing = {entry.name: entry.inode() for entry in os.scandir(mnt / "a/row")}
        assert listing["3"] in (inode(mnt, "a/row/3"), 0xFFFFFFFF)


def test_programs_that_walk_the_tree_come_to_an_end(source, rng):
    save_random(source / "a.npy", rng, RECORD, (4, 3))
    (source / "sub/deep").mkdir(parents=True)
    save_random(source / "sub/deep/b.npy", rng, "<c8", (2, 3, 4), "F")
    save(source / "sub/found.npy", np.full(3, 0x656C6465656E, "<i8"))
    with mounted(source) as mnt:
        found = run("find", mnt, "-type", "f", "-not", "-path", "*/.afbfs/*")
        assert (found.returncode, found.stderr) == (0, b"")
        files = set(found.stdout.decode().split())
        assert files >= {str(mnt / f"a/row/{i}") for i in range(4)} | {str(mnt / "sub/deep/b/axis/2/3")}
        assert {
            str(mnt / "a/field/inner/data"),
            str(mnt / "a/T/data"),
            str(mnt / "sub/deep/b/field/imag/data"),
        } <= files
        assert not [file for file in files if re.search("/(T|field/[^/]+)/(T|field|row)/", file)]
        # 9 facts, info.json and data, also below T and value; the indices in row and axis/0.
        assert len([file for file in files if file.startswith(f"{mnt.path}/sub/found/")]) == 11 * 3 + 3 + 3
        assert not [file for file in files if re.search("/(as|value)/.*/(T|as|value|field|row)/", file)]
        usage = run("du", "-a", mnt)
        assert (usage.returncode, usage.stderr) == (0, b"")
        matches = run("grep", "-r", "-l", "needle", mnt)
        assert (matches.returncode, matches.stderr) == (0, b"")
        assert str(mnt / "sub/found/row/1") in matches.stdout.decode().split()
        assert shell('ls -lR "$1" >/dev/null', mnt).stderr == b""
