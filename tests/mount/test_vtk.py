"""Legacy VTK files of VTK itself, by pyvista, in the versions that it writes."""

import os

import numpy as np
import pytest
import pyvista
import vtk

from harness import mounted
from members import at, check_member, error_of, info

TYPES = "i1 u1 i2 u2 i4 u4 i8 u8 f4 f8".split()
each_version = pytest.mark.parametrize("version", [42, 51])


def numbers(rng, dtype, *shape):
    if dtype.startswith("f"):
        return rng.normal(size=shape).astype(dtype)
    return np.frombuffer(rng.bytes(int(np.prod(shape)) * np.dtype(dtype).itemsize), dtype).reshape(shape)


def grids(rng):
    """One of each kind."""
    image = pyvista.ImageData(dimensions=(4, 3, 2), spacing=(1, 2, 3), origin=(0, -1, 0.5))
    flat = pyvista.ImageData(dimensions=(5, 4, 1))
    axes = [np.cumsum(rng.random(length)) for length in (4, 2, 3)]
    rectilinear = pyvista.RectilinearGrid(*axes)
    structured = rectilinear.cast_to_structured_grid()
    mesh = pyvista.Sphere(theta_resolution=6, phi_resolution=5)
    mesh.clear_data()
    cube = pyvista.ImageData(dimensions=(3, 3, 3)).cast_to_unstructured_grid()
    return {"image": image, "flat": flat, "rectilinear": rectilinear, "structured": structured, "mesh": mesh, "cube": cube}


def fill(grid, rng):
    """Values of every type at points and cells."""
    for data, count in ((grid.point_data, grid.n_points), (grid.cell_data, grid.n_cells)):
        for dtype in TYPES:
            data[f"one {dtype}"] = numbers(rng, dtype, count)
        for dtype in ("u1", "i4", "f8"):
            data[f"three_{dtype}"] = numbers(rng, dtype, count, 3)
    grid.field_data["time"] = numbers(rng, "f8", 5)


def save(path, grid, version=51):
    writer = vtk.vtkDataSetWriter()
    writer.SetFileName(os.fspath(path))
    writer.SetFileTypeToBinary()
    writer.SetFileVersion(version)
    writer.SetInputData(grid)
    assert writer.Write() == 1


def big(array):
    """As the file has it; VTK's truth values and ids are bytes and int."""
    array = np.ascontiguousarray(array)
    return array.astype(array.dtype.newbyteorder(">"))


def on_grid(array, grid, is_point):
    """In the shape in which afbfs shows values of a structured grid."""
    if not hasattr(grid, "dimensions") or isinstance(grid, (pyvista.PolyData, pyvista.UnstructuredGrid)):
        return array
    lengths = grid.dimensions if is_point else [max(length - 1, 1) for length in grid.dimensions]
    return array.reshape(*lengths[::-1], *array.shape[1:])


@each_version
@pytest.mark.parametrize("name", ["image", "flat", "rectilinear", "structured", "mesh", "cube"])
def test_values_are_those_that_vtk_reads(source, rng, version, name):
    grid = grids(rng)[name]
    fill(grid, rng)
    save(source / "a.vtk", grid, version)
    read = pyvista.read(source / "a.vtk")
    with mounted(source) as mnt:
        for group, data in (("point_data", read.point_data), ("cell_data", read.cell_data)):
            assert len(os.listdir(mnt / "a" / group)) == len(TYPES) + 3 == len(data.keys())
            for key in data:
                array = on_grid(np.asarray(data[key]), grid, group == "point_data")
                check_member(mnt, f"a/{group}", key, big(array))
        check_member(mnt, "a/field_data", "time", big(read.field_data["time"]))
        if name == "structured":
            check_member(mnt, "a", "points", big(on_grid(read.points, grid, True)))
        elif name in ("mesh", "cube"):
            check_member(mnt, "a", "points", big(read.points))
        elif name == "rectilinear":
            for axis in "xyz":
                check_member(mnt, "a", f"{axis}_coordinates", big(getattr(read, axis)))
        else:
            found = info(mnt, "a/field_data", "time")["container"]
            assert found["spacing"] == list(read.spacing) and found["origin"] == list(read.origin)


@each_version
def test_cells_are_those_that_vtk_reads(source, rng, version):
    found = grids(rng)
    for name in ("mesh", "cube"):
        save(source / f"{name}.vtk", found[name], version)
    mesh, cube = (pyvista.read(source / f"{name}.vtk") for name in ("mesh", "cube"))
    with mounted(source) as mnt:
        check_member(mnt, "cube", "cell_types", big(cube.celltypes.astype("i4")))
        if version == 42:
            check_member(mnt, "mesh", "polygons", big(mesh.faces.astype("i4")))
            check_member(mnt, "cube", "cells", big(cube.cells.astype("i4")))
        else:
            for path, array in (("mesh/polygons", mesh.GetPolys()), ("cube/cells", cube.GetCells())):
                offsets = pyvista.convert_array(array.GetOffsetsArray()).astype("i8")
                points = pyvista.convert_array(array.GetConnectivityArray()).astype("i8")
                check_member(mnt, path, "offsets", big(offsets))
                check_member(mnt, path, "connectivity", big(points))


def test_attributes_of_every_kind(source, rng):
    grid = vtk.vtkImageData()
    grid.SetDimensions(4, 3, 2)
    data = grid.GetPointData()
    kinds = {"TCoords": ("f4", 2), "Normals": ("f4", 3), "Vectors": ("f8", 3), "Tensors": ("f8", 9), "Scalars": ("u1", 4)}
    wanted = {}
    for kind, (dtype, parts) in kinds.items():
        wanted[kind] = numbers(rng, dtype, 24, parts)
        array = pyvista.convert_array(wanted[kind].copy(), name=kind, deep=True)
        if kind == "Scalars":
            table = vtk.vtkLookupTable()
            table.SetNumberOfTableValues(7)
            table.Build()
            array.SetLookupTable(table)
            colours = np.array([[table.GetTableValue(index)[part] for part in range(4)] for index in range(7)])
        getattr(data, f"Set{kind}")(array)
    for kind in ("GlobalIds", "PedigreeIds"):
        wanted[kind] = rng.permutation(24).astype("i4")
        array = vtk.vtkIdTypeArray()
        array.SetName(kind)
        for index, number in enumerate(wanted[kind]):
            array.InsertValue(index, int(number))
        getattr(data, f"Set{kind}")(array)
    wanted["Tensors"] = wanted["Tensors"].reshape(24, 3, 3)
    save(source / "a.vtk", grid)
    with mounted(source) as mnt:
        for kind, array in wanted.items():
            check_member(mnt, "a/point_data", kind, big(array.reshape(2, 3, 4, *array.shape[1:])))
        facts = info(mnt, "a/point_data", "Scalars")["attributes"]
        assert facts == {"kind": "color_scalars"}
        (name,) = os.listdir(mnt / "a/lookup_table")
        found = np.frombuffer(mnt.read(f"a/lookup_table/{name}/data"), "u1").reshape(7, 4)
    assert np.abs(found / 255 - colours).max() < 0.01


def test_what_is_written_is_read_back_by_vtk(source, rng):
    grid = grids(rng)["image"]
    fill(grid, rng)
    save(source / "a.vtk", grid)
    values, points = np.array(grid.point_data["one f4"]), np.array(grid.cell_data["three_i4"])
    with mounted(source) as mnt:
        mnt.write("a/point_data/one f4/slice/1,2,3", np.array([2.5], ">f4").tobytes())
        mnt.write("a/cell_data/three_i4/col/0", np.arange(9, dtype=">i4").tobytes())
    values[23], points[:3] = 2.5, np.arange(9).reshape(3, 3)
    read = pyvista.read(source / "a.vtk")
    assert np.array_equal(read.point_data["one f4"], values)
    assert np.array_equal(read.cell_data["three_i4"], points)


def test_files_that_cannot_be_served_are_errors_that_say_so(source, rng):
    grid = grids(rng)["image"]
    grid.save(source / "empty.vtk")
    grid.point_data["a"] = np.arange(24.0)
    grid.save(source / "text.vtk", binary=False)
    grid.save(source / "cut.vtk")
    os.truncate(source / "cut.vtk", os.path.getsize(source / "cut.vtk") - 9)
    grid.field_data["names"] = ["one", "another " * 20]
    bits = vtk.vtkBitArray()
    bits.SetName("bits")
    bits.SetNumberOfTuples(24)
    grid.GetPointData().AddArray(bits)
    save(source / "odd.vtk", grid)
    (source / "solid.vtk").write_bytes(b"solid cube\n")
    words = {"empty": "no array", "text": "binary=True", "cut/point_data/a": "truncated", "odd/field_data/names": "strings",
             "odd/point_data/bits": "bits", "solid": "another kind"}
    with mounted(source) as mnt:
        for name, word in words.items():
            assert word in error_of(mnt, name)
        check_member(mnt, *at("odd/point_data/a"), np.arange(24, dtype=">f8").reshape(2, 3, 4))
