"""What an array of a container must show: compared with what the format's own library reads."""

import json
import shutil

import numpy as np
import pytest

from harness import run
from oracle import as_stored, file_name, json_dtype


def folder(mnt, container, name):
    """Where the mount shows the array of this name."""
    return mnt / container / file_name(name)


def info(mnt, container, name):
    return json.loads((folder(mnt, container, name) / "info.json").read_text())


def as_in(mnt, container, name, wanted):
    """What the library read, in the type and byte order of the file; no element changes its value."""
    stored = wanted.astype(json_dtype(info(mnt, container, name)["dtype"]))
    assert np.array_equal(stored, wanted, equal_nan=wanted.dtype.kind in "fc")
    return stored


def check_member(mnt, container, name, wanted, *, dims=()):
    """All views of an array of a container: `wanted` has the bytes and the type of the file."""
    path = folder(mnt, container, name)
    facts = info(mnt, container, name)
    assert json_dtype(facts["dtype"]) == wanted.dtype, name
    assert tuple(facts["shape"]) == wanted.shape, name
    assert (path / "shape").read_text().split() == [str(length) for length in wanted.shape]
    assert (path / "data").read_bytes() == as_stored(wanted), name
    assert (path / "T/data").read_bytes() == as_stored(wanted.T), name
    assert (path / "range/1:-1:2").read_bytes() == as_stored(wanted.ravel()[1:-1:2]), name
    for axis, length in enumerate(wanted.shape):
        for index in {0, length // 2, length - 1} if length else ():
            part = as_stored(wanted[(slice(None),) * axis + (index, ...)])
            assert (path / f"axis/{axis}/{index}").read_bytes() == part, (name, axis, index)
            if dims and dims.count(dims[axis]) == 1:
                assert (path / f"axis/{dims[axis]}/{index - length}").read_bytes() == part, (name, axis, index)
    if wanted.ndim >= 1 and wanted.shape[0]:
        assert (path / "row/-1").read_bytes() == as_stored(wanted[-1, ...]), name
        assert (path / "slice/::-2,...").read_bytes() == as_stored(wanted[::-2]), name
    if wanted.ndim >= 2 and wanted.shape[1] > 1:
        assert (path / "col/1").read_bytes() == as_stored(wanted[:, 1]), name


def error_of(mnt, path):
    """What the file `error` says in the place of an array, or of a whole file."""
    return (mnt / path / "error").read_text()


def at(path):
    """The container, with the groups in it, and the name of an array:  check_member(mnt, *at("a/group/x"), wanted)"""
    return path.rpartition("/")[::2]


def octave(script):
    """Runs a script of Octave, which is too large to be asked for: where it is missing the test is skipped."""
    command = shutil.which("octave-cli") or pytest.skip("octave-cli is missing: nothing is compared with what Octave reads")
    answer = run(command, "--norc", "--eval", script)
    assert answer.returncode == 0, answer.stderr.decode()
