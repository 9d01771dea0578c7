"""The load test for some seconds: see scripts/load, which runs it with a thousand processes for as long as you like."""

import sys
from pathlib import Path

import pytest
from conftest import SEED
from harness import mounted

sys.path.append(str(Path(__file__).resolve().parent.parent / "load"))

from latencies import bucket_of, highest_of  # noqa: E402
from load import WINDOWS, Load, summary  # noqa: E402

# What the daemon may take for itself in MiB, and how much more in the second half.
MEMORY, GROWTH = 16, 4


@pytest.mark.parametrize("cache, seconds", [("none", 8), ("pages", 4)])
def test_many_processes_on_many_arrays(source, cache, seconds):
    """No error, nothing stuck, all that is read is what NumPy says, and memory stays as it is."""
    with mounted(source, "--cache", cache) as mnt:
        load = Load(mnt, source, 120, 32, SEED)
        load.run(seconds)
        assert mnt.is_alive()
        assert mnt.stats()["faults"] == 0
    print("\n".join(summary(load)))
    assert load.differences() == []
    assert all(counts.sum() > 0 for counts in load.counts().values()), "some kind of operation was never done"
    memory = [window.memory for window in load.windows]
    assert len(memory) > WINDOWS // 2
    assert max(memory) < MEMORY
    assert max(memory) - max(memory[: len(memory) // 2]) < GROWTH, memory


def test_times_are_counted_to_three_percent():
    assert [bucket_of(time) for time in range(64)] == list(range(64))
    for time in [*range(2000), 10**5, 10**6 + 1, 59_999_999, 10**8]:
        bucket = bucket_of(time)
        assert time <= highest_of(bucket) <= time * 1.032, time
        assert bucket_of(highest_of(bucket)) == bucket and bucket_of(highest_of(bucket) + 1) == bucket + 1
