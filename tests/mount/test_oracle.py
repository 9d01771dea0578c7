"""Random arrays of every type and shape, random slices through every spelling: NumPy's bytes, in NumPy's order."""

import os

import numpy as np
import pytest

from conftest import make_rng
from harness import mounted
from oracle import check_view, file_name, json_dtype, parse_dtype, random_view, save_random

NUMBERS = ["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "f16", "c8", "c16", "c32"]
TIMES = ["M8[ns]", "M8[25s]", "M8", "m8[D]", "m8[as]"]
EITHER_ORDER = [order + name for name in [*NUMBERS, "U1", "U5", *TIMES] for order in "<>"]
STRUCTURES = [
    [("x", "<f8"), ("y", ">i2"), ("z", "?")],
    [("vector", "<f4", (3,)), ("matrix", ">c8", (2, 2)), ("name", "S3")],
    [("inner", [("a", "<i2"), ("deep", [("u", "u1"), ("v", "<f2", (2,))])]), ("b", "<U2")],
    [("many", [("p", "<u2"), ("q", "<c16")], (2, 3))],
    [(("a title", "titled"), "<f8"), ("plain", "<i4")],
    [("a/b", "<i4"), ("..", "<f8"), (".", "u1"), ("with space", "<i2"), ("größe", "<f4"), ("", "V3")],
    np.dtype([("tiny", "u1"), ("wide", "<f8"), ("short", "<i2")], align=True),
    np.dtype([("head", "u1"), ("body", np.dtype([("c", "u1"), ("d", "<f4")], align=True), (2,))], align=True),
    np.dtype({"names": ["p", "q"], "formats": ["<i4", "<f8"], "offsets": [4, 16], "itemsize": 32}),
]
DTYPES = [np.dtype(dtype) for dtype in [*EITHER_ORDER, "S1", "S7", "V1", "V16", "V0", *STRUCTURES]]
LONG_SHAPES = [(1,) * 32, (2, 1) * 8 + (1,) * 16, (1,) * 60 + (2, 1, 3, 1), (2,) * 9]


def random_shape(rng):
    ndim = rng.choice(8, p=[0.08, 0.2, 0.27, 0.25, 0.1, 0.05, 0.03, 0.02])
    longest = [1, 60, 14, 7, 5, 3, 3, 2][ndim]
    shape = rng.integers(1, longest + 1, ndim)
    shape[rng.random(ndim) < 0.03] = 0
    return tuple(shape.tolist())


def save_all_kinds(folder, rng, per_dtype):
    """Some arrays of each type, and the long shapes."""
    arrays = []
    plan = [(dtype, random_shape(rng)) for dtype in DTYPES for _ in range(per_dtype)]
    plan += [(str(rng.choice(EITHER_ORDER)), shape) for shape in LONG_SHAPES for _ in range(2)]
    plan += [("<f8", shape) for shape in [(), (0,), (0, 5), (5, 0), (3, 0, 2), (1, 1)]]
    for number, (dtype, shape) in enumerate(plan):
        order = str(rng.choice(["C", "F"]))
        arrays.append(save_random(folder / f"a{number}.npy", rng, dtype, shape, order))
    return arrays


@pytest.fixture(scope="module")
def arrays(module_scratch):
    folder = module_scratch / "source"
    folder.mkdir()
    return save_all_kinds(folder, make_rng("the arrays of test_oracle"), per_dtype=6)


@pytest.fixture(scope="module")
def root(arrays):
    with mounted(arrays[0].path.parent) as mnt:
        yield mnt


def describe(array):
    return f"{array.path.name}: {array.dtype!r} of {array.shape} in {array.order} order"


def test_every_type_and_shape_is_described_as_numpy_does(root, arrays):
    entries = {entry["file"]: entry for entry in root.arrays()}
    for array in arrays:
        entry, whole = entries[array.path.name], array.view()
        assert json_dtype(entry["dtype"]) == array.dtype, describe(array)
        assert entry["shape"] == list(array.shape), describe(array)
        assert entry["offset"] == array.offset, describe(array)
        if whole.size:
            assert entry["strides"] == list(whole.numpy.strides), describe(array)
        assert parse_dtype((root / whole.path / "dtype").read_text()) == array.dtype, describe(array)


def test_every_whole_array_its_transpose_and_its_fields(root, arrays):
    for array in arrays:
        whole = array.view()
        check_view(root, whole.at("data"))
        check_view(root, whole.transposed().at("data"))
        for name in whole.field_names():
            check_view(root, whole.field(name).at("data"))
            check_view(root, whole.transposed().field(name).at("data"))
            check_view(root, whole.field(name).transposed().at("data"))


def test_every_row_and_column(root, arrays):
    for array in arrays[::3]:
        whole = array.view()
        for i in range(whole.shape[0] if whole.ndim >= 1 else 0):
            check_view(root, whole.row(i))
        for i in range(whole.shape[1] if whole.ndim >= 2 else 0):
            check_view(root, whole.col(i))


@pytest.mark.parametrize("part", range(4))
def test_random_slices(root, arrays, rng, part):
    for array in arrays[part::4]:
        for _ in range(80):
            view = random_view(rng, array.view())
            try:
                check_view(root, view, rng, preads=3)
            except (AssertionError, OSError) as error:
                raise AssertionError(f"{describe(array)}: {view.path}") from error


def write_somewhere(root, rng, array, view):
    """One random write of a view: in pieces of any offset and length, or all of it with O_TRUNC."""
    if rng.random() < 0.2:
        data = rng.bytes(view.size)
        with open(root / view.path, "wb") as file:
            file.write(data)
        array.write(view, 0, data)
        return
    with root.open(view.path, os.O_RDWR) as fd:
        for _ in range(rng.integers(1, 4)):
            offset = int(rng.integers(view.size))
            data = rng.bytes(int(rng.integers(1, view.size - offset + 1)))
            assert os.pwrite(fd, data, offset) == len(data)
            array.write(view, offset, data)
            assert os.pread(fd, view.size, 0) == array.stored(view), view.path


@pytest.mark.parametrize("part", range(4))
def test_random_writes_reach_the_file_and_every_other_view(source, rng, part):
    chosen = save_all_kinds(source, rng, per_dtype=3)[part::4]
    with mounted(source) as mnt:
        for array in (array for array in chosen if array.view().size):
            for _ in range(8):
                view = random_view(rng, array.view())
                if not view.size:
                    continue
                try:
                    write_somewhere(mnt, rng, array, view)
                    assert not array.differs(), "the file is not what the model says"
                    check_view(mnt, array.view().at("data"))
                    check_view(mnt, random_view(rng, array.view()))
                except (AssertionError, OSError) as error:
                    raise AssertionError(f"{describe(array)}: {view.path}") from error


def test_slices_that_take_several_requests(source, rng):
    # 24 MB; requests are 1 MiB, and neither rows nor elements end where requests do.
    array = save_random(source / "big.npy", rng, [("x", "<f4"), ("y", "u1", (3,)), ("z", ">f8")], (1001, 1601))
    whole = array.view()
    views = [
        whole.at("data"),
        whole.transposed().at("data"),
        whole.field("z").at("data"),
        whole.field("y").transposed().at("data"),
        whole[::-1, ::-3].at("slice/::-1,::-3"),
        whole.raveled()[5::7].at("range/5::7"),
    ]
    with mounted(source) as mnt:
        for view in views:
            wanted = view.bytes()
            assert (mnt / view.path).stat().st_size == len(wanted)
            assert mnt.read(view.path) == wanted, view.path
        for view in views[1:]:
            offset = int(rng.integers(5000))
            data = rng.bytes(view.size - offset - int(rng.integers(5000)))
            with open(mnt / view.path, "r+b", buffering=0) as file:
                file.seek(offset)
                written = 0
                while written < len(data):
                    written += file.write(data[written:])
            array.write(view, offset, data)
            assert not array.differs(), view.path
            assert mnt.read(whole.path + "/data") == whole.bytes(), view.path


def test_headers_of_all_versions_are_read(source):
    # NumPy writes version 2 above 64 KiB and version 3 for names beyond Latin-1.
    wide = np.dtype([(f"a_rather_long_field_name_{i}", "<i2") for i in range(3000)])
    greek = np.dtype([("αβγ", "<i4"), ("δ", "<f8")])
    rng = np.random.default_rng(0)
    with pytest.warns(UserWarning):
        arrays = [save_random(source / f"{name}.npy", rng, dtype, (3, 2)) for name, dtype in [("wide", wide), ("greek", greek)]]
    assert [array.model[6] for array in arrays] == [2, 3]
    with mounted(source) as mnt:
        for array in arrays:
            whole = array.view()
            name = whole.field_names()[-1]
            check_view(mnt, whole.at("data"))
            check_view(mnt, whole.field(name).row(-1))
            assert sorted(os.listdir(mnt / whole.path / "field")) == sorted(map(file_name, whole.field_names()))


def test_the_oracle_itself_agrees_with_numpy_and_with_the_file(source, rng):
    """Needs no mount: both ways of a view, NumPy's and by address, must give the same bytes of the file."""
    for array in save_all_kinds(source, rng, per_dtype=1):
        for _ in range(20):
            view = random_view(rng, array.view())
            if view.itemsize:
                assert view.bytes() == array.stored(view), view.path
