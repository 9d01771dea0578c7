"""Real .npy files that nobody here wrote, compared slice by slice."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from harness import mounted, unavailable
from oracle import ArrayFile, check_view

FOLDER = Path(__file__).parents[2] / ".venv/real"
# An ordinary file, one in Fortran order, a structured one.
NAMES = ["lfw_subset", "stable-Z1-pdf-sample-data", "stable-loc-scale-sample-data"]


@pytest.fixture
def real(request, source):
    path = FOLDER / f"{request.param}.npy"
    if not path.exists():
        unavailable(f"{path} is missing: run scripts/setup tests")
    shutil.copy(path, source)
    return ArrayFile(source / path.name)


def test_the_files_are_what_they_are_here_for(source):
    if not FOLDER.exists():
        unavailable(f"{FOLDER} is missing: run scripts/setup tests")
    arrays = [np.load(FOLDER / f"{name}.npy", mmap_mode="r") for name in NAMES]
    assert any(array.flags.fnc for array in arrays), "none is in Fortran order"
    assert any(array.dtype.names for array in arrays), "none is structured"
    assert any(array.ndim == 3 for array in arrays)


def all_views(whole):
    """Every index of every axis, and some of everything else."""
    yield whole.at("data")
    yield whole.transposed().at("data")
    yield whole.raveled()[::-3].at("range/::-3")
    for axis in range(whole.ndim):
        for index in range(0, whole.shape[axis], 1 + whole.shape[axis] // 300):
            yield whole.axis(axis, index)
            yield whole.transposed().axis(-1 - axis, index)
    if whole.ndim >= 2:
        yield whole.col(-1)
        yield whole[1:-1, ::-2].at("slice/1:-1,::-2")
    for name in whole.field_names():
        yield from all_views(whole.field(name))


@pytest.mark.parametrize("real", NAMES, indirect=True)
def test_a_real_file_slice_by_slice(real, rng):
    with mounted(real.path.parent) as mnt:
        for view in all_views(real.view()):
            check_view(mnt, view, rng, preads=1)
        assert not real.differs()


@pytest.mark.parametrize("real", NAMES, indirect=True)
def test_numpy_reads_a_slice_as_it_reads_the_file(real):
    array = np.load(real.path)
    with mounted(real.path.parent) as mnt:
        row = np.fromfile(mnt / f"{real.path.stem}/row/-1", array.dtype)
        assert row.tobytes() == np.ascontiguousarray(array[-1]).tobytes()


@pytest.mark.parametrize("real", NAMES, indirect=True)
def test_rewriting_a_real_file_through_its_rows_changes_nothing(real):
    whole = real.view()
    with mounted(real.path.parent) as mnt:
        for i in range(0, whole.shape[0], 1 + whole.shape[0] // 100):
            row = whole.row(i)
            mnt.write(row.path, mnt.read(row.path))
            (mnt / row.path).write_bytes(row.bytes())
        assert not real.differs()
