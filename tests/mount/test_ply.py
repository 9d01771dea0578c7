"""PLY files of the library plyfile, and the lists that cannot be served."""

import os

import numpy as np
import pytest
from plyfile import PlyData, PlyElement

from harness import mounted
from members import check_member, error_of, info

TYPES = ["i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"]
each_order = pytest.mark.parametrize("order", "<>")


def table(rng, names, count):
    dtype = np.dtype(names)
    found = np.frombuffer(rng.bytes(count * dtype.itemsize), dtype).copy()
    for name in dtype.names:
        if found[name].dtype.kind == "f":
            found[name] = rng.normal(size=count)
    return found


def polygons(rng, counts, number="i4", more=("flags", "u1")):
    """Lists of these lengths, and a number behind each."""
    found = np.empty(len(counts), dtype=[("vertex_indices", "O"), more])
    for index, count in enumerate(counts):
        found["vertex_indices"][index] = rng.integers(0, 100, count).astype(number)
    found[more[0]] = rng.integers(0, 100, len(counts))
    return found


def write(path, order, *elements, **more):
    PlyData([PlyElement.describe(array, name, **how) for name, array, how in elements], byte_order=order, **more).write(path)


def in_order(array, order):
    return array.astype(array.dtype.newbyteorder(order))


def stored(array, order, count="u1", number="i4"):
    """The records of a file whose lists all have one length."""
    name, other = array.dtype.names
    lists = np.stack(list(array[name])).astype(number)
    dtype = [(f"{name}_count", count), (name, number, lists.shape[1:]), (other, array.dtype[other])]
    found = np.zeros(len(array), np.dtype(dtype).newbyteorder(order))
    found[f"{name}_count"], found[name], found[other] = lists.shape[1], lists, array[other]
    return found


@each_order
def test_numbers_are_those_that_plyfile_reads(source, rng, order):
    points = table(rng, [(f"p{number}", dtype) for number, dtype in enumerate(TYPES)], 100)
    camera = table(rng, [("view", "f8")], 1)
    write(source / "a.ply", order, ("vertex", points, {}), ("camera", camera, {}), comments=["by hand"], obj_info=["x 1"])
    read = PlyData.read(source / "a.ply")
    with mounted(source) as mnt:
        for name, array in {"vertex": points, "camera": camera}.items():
            assert np.array_equal(read[name].data, array)
            check_member(mnt, "a", name, in_order(array, order))
        assert info(mnt, "a", "vertex")["container"] == {"comment": ["by hand"], "obj_info": ["x 1"]}


@each_order
@pytest.mark.parametrize(("count", "number"), [("u1", "i4"), ("i4", "u2"), ("u2", "f8"), ("i1", "u1"), ("u4", "f4")])
def test_lists_of_one_count_are_those_that_plyfile_reads(source, rng, order, count, number):
    points = table(rng, [("x", "f4"), ("y", "f4")], 7)
    faces, last = polygons(rng, [3] * 1000, number), table(rng, [("a", "i2")], 3)
    how = {"len_types": {"vertex_indices": count}, "val_types": {"vertex_indices": number}}
    write(source / "a.ply", order, ("vertex", points, {}), ("face", faces, how), ("last", last, {}))
    read = PlyData.read(source / "a.ply")["face"].data
    wanted = stored(read, order, count, number)
    assert np.array_equal(wanted["vertex_indices"], np.stack(list(faces["vertex_indices"])))
    with mounted(source) as mnt:
        check_member(mnt, "a", "vertex", in_order(points, order))
        check_member(mnt, "a", "face", wanted)
        check_member(mnt, "a", "last", in_order(last, order))
        assert mnt.read("a/face/field/vertex_indices/data") == wanted["vertex_indices"].tobytes()


@each_order
def test_what_is_written_is_read_back_by_plyfile(source, rng, order):
    points, faces = table(rng, [("x", "f4"), ("y", "f4")], 7), polygons(rng, [4] * 20)
    write(source / "a.ply", order, ("vertex", points, {}), ("face", faces, {}))
    with mounted(source) as mnt:
        mnt.write("a/vertex/field/y/slice/3", np.array([2.5], order + "f4").tobytes())
        mnt.write("a/face/field/vertex_indices/slice/5,2", np.array([77], order + "i4").tobytes())
    points["y"][3], faces["vertex_indices"][5][2] = 2.5, 77
    read = PlyData.read(source / "a.ply")
    assert np.array_equal(read["vertex"].data, points)
    assert np.array_equal(np.stack(list(read["face"].data["vertex_indices"])), np.stack(list(faces["vertex_indices"])))


def test_files_that_cannot_be_served_are_errors_that_say_so(source, rng):
    points, last = table(rng, [("x", "f4")], 7), table(rng, [("a", "i2")], 3)
    mixed, hidden = polygons(rng, [3, 3, 4]), polygons(rng, [3] * 5000)
    # Between the records that are looked at, so that only the end of the file tells.
    hidden["vertex_indices"][7] = np.arange(4, dtype="i4")
    write(source / "mixed.ply", "<", ("vertex", points, {}), ("face", mixed, {}), ("last", last, {}))
    write(source / "hidden.ply", "<", ("vertex", points, {}), ("face", hidden, {}))
    write(source / "cut.ply", "<", ("vertex", points, {}))
    os.truncate(source / "cut.ply", os.path.getsize(source / "cut.ply") - 1)
    PlyData([PlyElement.describe(points, "vertex")], text=True).write(source / "text.ply")
    (source / "solid.ply").write_bytes(b"solid cube\n")
    with mounted(source) as mnt:
        check_member(mnt, "mixed", "vertex", points)
        check_member(mnt, "hidden", "vertex", points)
        words = {"mixed/face": "several counts", "mixed/last": "behind the element 'face'", "hidden/face": "count",
                 "cut/vertex": "truncated", "text": "p.text = False", "solid": "another kind"}
        for name, word in words.items():
            assert word in error_of(mnt, name)
