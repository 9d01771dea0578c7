"""MRC and CCP4 files of mrcfile: images, volumes and stacks of every mode, in either byte order."""

import mrcfile
import numpy as np
import pytest

from harness import mounted
from members import check_member, error_of, info

TYPES = ["i1", "i2", "f4", "c8", "u2", "f2"]


def random_values(rng, dtype, shape):
    dtype = np.dtype(dtype)
    if dtype.kind == "c":
        return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    return np.frombuffer(rng.bytes(int(np.prod(shape)) * dtype.itemsize), dtype).reshape(shape)


def check_one(mnt, name, path):
    with mrcfile.open(path) as file:
        check_member(mnt, "", name, np.array(file.data))
    assert info(mnt, "", name)["format"] == "mrc"


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("dtype", TYPES)
def test_every_mode_and_shape(source, rng, dtype, order):
    shapes = {"image": (4, 5), "volume": (3, 4, 5), "stack": (3, 4, 5), "volumes": (2, 3, 4, 5)}
    for name, shape in shapes.items():
        with mrcfile.new(source / f"{name}.mrc") as file:
            file.set_data(random_values(rng, np.dtype(dtype).newbyteorder(order), shape))
            if name == "stack":
                file.set_image_stack()
    with mounted(source) as mnt:
        for name, shape in shapes.items():
            check_one(mnt, name, source / f"{name}.mrc")
            dims = ["volume", "z", "y", "x"][-len(shape) :]
            assert info(mnt, "", name)["dims"] == dims


def test_the_header_is_in_the_attributes(source, rng):
    with mrcfile.new(source / "a.map") as file:
        file.set_data(random_values(rng, "f4", (3, 4, 5)))
        file.set_extended_header(np.frombuffer(rng.bytes(160), "V80"))
        file.header.exttyp = b"CCP4"
        file.voxel_size = (1.5, 2.5, 3.5)
        file.header.origin = (1, 2, 3)
        file.header.mapc, file.header.mapr, file.header.maps = 3, 1, 2
        file.add_label("a label")
    with mounted(source) as mnt:
        check_one(mnt, "a", source / "a.map")
        facts = info(mnt, "", "a")
        attributes = facts["attributes"]
        assert facts["offset"] == 1024 + 160 and attributes["exttyp"] == "CCP4"
        assert attributes["voxel_size"] == [1.5, 2.5, 3.5] and attributes["origin"] == [1, 2, 3]
        assert facts["dims"] == ["y", "x", "z"]
        assert any(label.startswith("a label") for label in attributes["labels"])


def test_complex_integers_are_records(source, rng):
    with mrcfile.new(source / "a.mrc") as file:
        file.set_data(random_values(rng, "f4", (3, 4, 5)))
    content = bytearray((source / "a.mrc").read_bytes())
    content[12] = 3
    (source / "a.mrc").write_bytes(content)
    wanted = np.frombuffer(content, [("real", "<i2"), ("imag", "<i2")], offset=1024).reshape(3, 4, 5)
    with mounted(source) as mnt:
        check_member(mnt, "", "a", wanted)
        assert mnt.read("a/field/imag/data") == wanted["imag"].tobytes()


def test_what_is_written_is_read_back(source, rng):
    path = source / "a.mrc"
    with mrcfile.new(path) as file:
        file.set_data(random_values(rng, "f4", (3, 4, 5)))
        wanted = file.data.copy()
    wanted[:, :, 2] = random_values(rng, "f4", (3, 4))
    with mounted(source) as mnt:
        mnt.write("a/axis/x/2", np.ascontiguousarray(wanted[:, :, 2]).tobytes())
    with mrcfile.open(path) as file:
        assert np.array_equal(file.data, wanted)


def test_what_cannot_be_served_says_so(source, rng):
    with mrcfile.new(source / "a.mrc") as file:
        file.set_data(random_values(rng, "f4", (3, 4, 5)))
    content = (source / "a.mrc").read_bytes()

    def with_mode(mode):
        return content[:12] + bytes([mode]) + content[13:]

    files = {
        "cut": (content[:-1], "truncated"),
        "short": (content[:1000], "ends within"),
        "packed": (with_mode(101), "4 bits"),
        "unknown": (with_mode(9), "mode 9"),
        "other": (bytes(2000), "no machine stamp"),
    }
    for name, (bytes_, _) in files.items():
        (source / f"{name}.mrc").write_bytes(bytes_)
    with mounted(source) as mnt:
        for name, (_, word) in files.items():
            assert word in error_of(mnt, name), name


def test_a_file_is_known_by_its_extension_or_its_content(source, rng):
    for name in ["a.mrcs", "b.st", "c.rec", "d", "old.MRC"]:
        with mrcfile.new(source / "x.mrc", overwrite=True) as file:
            file.set_data(random_values(rng, "i2", (3, 4, 5)))
        (source / "x.mrc").rename(source / name)
    content = (source / "old.MRC").read_bytes()
    (source / "old.MRC").write_bytes(content[:208] + bytes(8) + content[216:])
    with mounted(source) as mnt:
        for name in ["a.mrcs", "b.st", "c.rec", "d"]:
            check_one(mnt, name.split(".")[0], source / name)
        check_member(mnt, "", "old", np.frombuffer(content, "<i2", offset=1024).reshape(3, 4, 5))
