"""The soak test for a few seconds: see scripts/soak, which runs it for as long as you like."""

import sys
import time
from pathlib import Path

import pytest

from harness import unavailable

sys.path.append(str(Path(__file__).resolve().parent.parent / "soak"))

import single  # noqa: E402
import soak  # noqa: E402

MODES = pytest.mark.parametrize("cache", ["none", "pages"])


@MODES
def test_random_operations_of_several_processes_agree_with_numpy(scratch, rng, cache):
    end = time.monotonic() + 2
    done = soak.one_at_a_time(scratch, rng, cache, 3000, until=lambda: time.monotonic() > end)
    assert sum(done.counts.values()) > 100


@MODES
def test_processes_at_once_do_not_disturb_each_other(scratch, rng, cache):
    assert soak.all_at_once(scratch, rng, cache, 10) > 1000


@MODES
def test_a_program_that_tests_file_systems_finds_no_fault_in_views(scratch, rng, cache):
    if not single.program():
        unavailable("fsx is not installed (scripts/setup tests)")
    assert soak.single_views(scratch, rng, cache, 300, views=4) == 1200


@MODES
def test_what_was_confirmed_survives_sudden_ends(scratch, rng, cache):
    confirmed, _ = soak.ends(scratch, rng, cache, 3 if cache == "none" else 1)
    assert confirmed > 10
