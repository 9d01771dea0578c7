"""What all containers have in common, and what formats know beyond the layout."""

import json
import os
import subprocess

import h5py
import numpy as np
import pytest
from scipy.io import netcdf_file

from harness import afbfs, eventually, mounted, refused


@pytest.fixture
def climate(source):
    with netcdf_file(source / "climate.nc", "w") as file:
        file.title = "a test"
        for name, length in [("time", None), ("lat", 3), ("lon", 4)]:
            file.createDimension(name, length)
        warm = file.createVariable("t2m", "f4", ("time", "lat", "lon"))
        warm.units, warm.scale_factor = "K", 0.5
        warm[:] = np.arange(24).reshape(2, 3, 4)
    return np.arange(24, dtype=">f4").reshape(2, 3, 4)


def test_axes_have_names(source, climate):
    with mounted(source) as mnt:
        assert os.listdir(mnt / "climate") == ["t2m"]
        assert set(os.listdir(mnt / "climate/t2m/axis")) == {"0", "1", "2", "time", "lat", "lon"}
        assert mnt.read("climate/t2m/axis/lat/1") == climate[:, 1].tobytes()
        assert mnt.read("climate/t2m/axis/lon/-1") == climate[..., -1].tobytes()
        assert mnt.read("climate/t2m/axis/time/:1") == climate[:1].tobytes()
        assert mnt.read("climate/t2m/T/axis/lon/0") == climate.T[0].tobytes()
        assert sorted(os.listdir(mnt / "climate/t2m/axis/lat"), key=int) == ["0", "1", "2"]
        # A folder has one number for each path, a file one for each view.
        named, numbered = (mnt / "climate/t2m/axis" / axis for axis in ("lat", "1"))
        assert named.stat().st_ino != numbered.stat().st_ino
        assert (named / "2").stat().st_ino == (numbered / "2").stat().st_ino
        with refused("ENOENT"):
            mnt.read("climate/t2m/axis/height/0")


def test_what_the_format_knows_is_told(source, climate):
    with mounted(source) as mnt:
        folder = mnt / "climate/t2m"
        info = json.loads((folder / "info.json").read_text())
        assert info["dims"] == ["time", "lat", "lon"]
        assert info["attributes"]["units"] == "K"
        assert info["attributes"]["scale_factor"] == 0.5
        assert info["container"] == {"title": "a test"}
        assert json.loads(os.getxattr(folder, "user.afbfs.attributes")) == info["attributes"]
        assert json.loads(os.getxattr(folder / "data", "user.afbfs.dims")) == info["dims"]
        assert "user.afbfs.attributes" in os.listxattr(folder)
        assert "user.afbfs.dims" not in os.listxattr(folder / "row/0")
        assert info in mnt.arrays()


def test_an_array_that_cannot_be_served_stands_beside_others_that_can(source, rng):
    values = rng.random((20, 30))
    with h5py.File(source / "run.h5", "w") as file:
        file["group/plain"] = values
        file.create_dataset("group/packed", data=values, chunks=(10, 10), compression="gzip")
    with mounted(source) as mnt:
        assert mnt.read("run/group/plain/col/3") == values[:, 3].tobytes()
        assert os.listdir(mnt / "run/group/packed") == ["error"]
        text = (mnt / "run/group/packed/error").read_text()
        assert text.startswith("run.h5: group/packed: ") and "gzip" in text and "afbfs unpack" in text
        (entry,) = [entry for entry in mnt.arrays() if "error" in entry]
        assert entry["path"] == "run/group/packed" and entry["file"] == "run.h5" and entry["format"] == "hdf5"
    lines = afbfs("ls", source).stdout.decode().splitlines()
    assert any(line.startswith("run/group/packed") and "gzip" in line for line in lines)
    assert any(line.split()[:4] == ["run/group/plain", "<f8", "20x30", "C"] for line in lines)


def test_containers_have_stems_and_full_names(source, rng):
    values = rng.random(5)
    np.savez(source / "a.npz", x=values)
    np.save(source / "a.npy", values[::-1].copy())
    np.savez(source / "b.npz", x=values)
    np.savez(source / "c", x=values)
    os.rename(source / "c.npz", source / "nameless")
    with mounted(source) as mnt:
        assert set(os.listdir(mnt)) - {".afbfs"} == {"a", "a.npz", "b"}
        assert mnt.read("a/data") == values[::-1].tobytes()
        for name in ["a.npz", "b", "b.npz", "nameless"]:
            assert mnt.read(f"{name}/x/data") == values.tobytes()
        with refused("ENOENT"):
            mnt.read("nameless/y/data")


def test_a_container_that_is_replaced_or_goes(source, rng):
    values = rng.random(5)
    np.savez(source / "a.npz", x=values, y=values)
    with mounted(source) as mnt:
        with mnt.open("a/x/data") as fd:
            np.savez(source / "new.npz", x=values + 1)
            os.rename(source / "new.npz", source / "a.npz")
            eventually(lambda: mnt.read("a/x/data") == (values + 1).tobytes(), "the new array appears")
            assert os.pread(fd, 100, 0) == values.tobytes()
        eventually(lambda: os.listdir(mnt / "a") == ["x"], "the other is gone")
        (source / "a.npz").unlink()
        eventually(lambda: "a" not in os.listdir(mnt), "the container goes")


def test_walking_ends_and_reads_only_headers(source, rng):
    with h5py.File(source / "deep.h5", "w") as file:
        group = file
        for level in range(40):
            group = group.create_group("g")
            group["x"] = rng.random(3)
        group["loop"] = h5py.SoftLink("/g")
    np.savez(source / "many.npz", **{f"a{number}": np.arange(3) for number in range(200)})
    with mounted(source) as mnt:
        found = subprocess.run(["find", mnt.path, "-name", "data"], stdout=subprocess.PIPE, check=True).stdout
        assert found.count(b"/x/data") >= 40
        assert found.count(b"/many/a") >= 200


def test_one_container_or_one_array_in_many_files_is_a_source(source, rng):
    values = rng.random((4, 6))
    np.savez(source / "a.npz", x=values)
    np.save(source / "other.npy", values)
    with mounted(source / "a.npz") as mnt:
        assert set(os.listdir(mnt)) - {".afbfs"} == {"a"}
        assert mnt.read("a/x/row/1") == values[1].tobytes()
    zarr = pytest.importorskip("zarr")
    array = zarr.create_array(str(source / "z.zarr"), shape=(4, 6), chunks=(2, 2), dtype="f8", compressors=None)
    array[:] = values
    with mounted(source / "z.zarr") as mnt:
        assert set(os.listdir(mnt)) - {".afbfs"} == {"z.zarr"}
        assert mnt.read("z.zarr/col/4") == values[:, 4].tobytes()
    assert afbfs("cat", source / "z.zarr", "row/2").stdout == values[2].tobytes()
    assert afbfs("cat", source / "a.npz", "x/row/2").stdout == values[2].tobytes()
