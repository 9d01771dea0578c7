"""Fixtures of the tests on real mounts, and the seed of the random ones."""

import os
import secrets
import shutil
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest

import harness

# Of this run alone: another may be under way.
PREFIX = f"afbfs-mount-{os.getpid()}-"
SEED = int(os.environ.get("AFBFS_SEED") or secrets.randbelow(2**32))


def pytest_report_header():
    return f"AFBFS_SEED={SEED}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    if report.failed:
        again = f"AFBFS_SEED={SEED} scripts/test mount -- -k '{item.name}'"
        report.sections.append(("to repeat it", again))
    return report


def pytest_terminal_summary(terminalreporter):
    reason = harness.why_nothing_can_be_mounted()
    if reason:
        terminalreporter.write_line(f"NOTHING WAS MOUNTED: {reason}", red=True, bold=True)


def pytest_sessionfinish(session):
    scratch = os.fsencode(f"{tempfile.gettempdir()}/{PREFIX}")
    left = [point for point in harness.mountinfo() if point.startswith(scratch)]
    if left:
        print(f"\nleft mounted: {left}")
        session.exitstatus = 1


def make_rng(name):
    """Random numbers of this run's seed, of its own for each name."""
    return np.random.default_rng([SEED, zlib.crc32(name.encode())])


@pytest.fixture
def rng(request):
    return make_rng(f"{request.module.__name__}::{request.node.name}")


def _scratch_folder():
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    folder.chmod(0o755)
    yield folder
    below = os.fsencode(folder) + b"/"
    left = [point for point in harness.mountinfo() if point.startswith(below)]
    assert not left, f"left mounted: {left}"
    shutil.rmtree(folder)


@pytest.fixture
def scratch():
    """A folder of the test's own that every user may enter."""
    yield from _scratch_folder()


@pytest.fixture(scope="module")
def module_scratch():
    """The same, for all tests of a module."""
    yield from _scratch_folder()


@pytest.fixture
def source(scratch):
    """An empty folder for array files."""
    folder = scratch / "source"
    folder.mkdir()
    return folder
