"""The fixtures of the tests on real mounts, for the tests of the programs that people use."""

import importlib.util
import sys
from pathlib import Path

import pytest

MOUNT = Path(__file__).resolve().parents[1] / "mount"
sys.path.insert(0, str(MOUNT))

_spec = importlib.util.spec_from_file_location("mount_conftest", MOUNT / "conftest.py")
_mount = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_mount)

pytest_report_header = _mount.pytest_report_header
pytest_sessionfinish = _mount.pytest_sessionfinish
rng, scratch, source = _mount.rng, _mount.scratch, _mount.source


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    if report.failed:
        again = f"AFBFS_SEED={_mount.SEED} scripts/test-tools -k '{item.name}'"
        report.sections.append(("to repeat it", again))
    return report


def pytest_terminal_summary(terminalreporter):
    _mount.pytest_terminal_summary(terminalreporter)
    import tools

    for name in sorted(tools.MISSING):
        terminalreporter.write_line(f"NOT TESTED: {name} is missing; scripts/test-tools installs it", red=True, bold=True)
