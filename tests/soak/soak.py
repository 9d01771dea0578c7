"""Runs the soak test: see scripts/soak."""

import argparse
import secrets
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parent.parent / "mount"))

import disjoint  # noqa: E402
import harness  # noqa: E402
import single  # noqa: E402
from kills import Kills  # noqa: E402
from operations import Operations  # noqa: E402


def one_at_a_time(scratch, rng, cache, steps, until=None):
    """Gives the soak that has run."""
    folder = scratch / f"serial-{cache}"
    folder.mkdir()
    with harness.mounted(folder, "--cache", cache) as mnt:
        soak = Operations(mnt, folder, rng, cache)
        try:
            soak.run(steps, until)
        except BaseException:
            soak.stop(kill=True)
            raise
        soak.stop()
        assert mnt.is_alive()
    for array, _ in soak.arrays:
        assert array.path.read_bytes() == array.model, f"{array.path.name} after unmounting"
    return soak


def all_at_once(scratch, rng, cache, rounds):
    """Gives the number of operations."""
    folder = scratch / f"disjoint-{cache}"
    folder.mkdir()
    with harness.mounted(folder, "--cache", cache) as mnt:
        return disjoint.run(mnt, folder, rng, rounds)


def single_views(scratch, rng, cache, operations, views=None):
    """Gives the number of operations."""
    folder = scratch / f"single-{cache}"
    folder.mkdir()
    with harness.mounted(folder, "--cache", cache) as mnt:
        return single.run(mnt, folder, scratch, rng, cache, operations, views)


def ends(scratch, rng, cache, turns):
    """Gives the number of syncs that were confirmed, and of processes killed."""
    kills = Kills(scratch, rng, cache)
    for _ in range(turns):
        kills.kill_daemon()
        kills.terminate()
    kills.kill_clients(turns)
    return kills.confirmed, turns * (2 + len(kills.views))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("operations", type=int)
    parser.add_argument("seed", type=int)
    parser.add_argument("cache", choices=["none", "pages", "both"])
    parser.add_argument("--kills", type=int, default=100)
    asked = parser.parse_args()
    harness.WATCHDOG_SECONDS = 10**6
    seed = asked.seed or secrets.randbelow(2**31)
    print(f"seed {seed}", flush=True)
    totals = np.zeros(5, int)
    for cache in ["none", "pages"] if asked.cache == "both" else [asked.cache]:
        with tempfile.TemporaryDirectory(prefix="afbfs-soak-") as name:
            scratch, rng, start = Path(name), np.random.default_rng(seed), time.monotonic()
            soak = one_at_a_time(scratch, rng, cache, asked.operations)
            steps = sum(soak.counts.values()) - soak.counts["whole checks"]
            print(f"--cache {cache}: {steps} operations, one at a time, each checked:")
            print("  " + ", ".join(f"{name} {count}" for name, count in sorted(soak.counts.items())), flush=True)
            at_once = all_at_once(scratch, rng, cache, max(8, asked.operations // 400))
            print(f"--cache {cache}: {at_once} operations by 11 processes at once", flush=True)
            of_fsx = single_views(scratch, rng, cache, max(100, asked.operations // 100))
            print(f"--cache {cache}: {of_fsx} operations of fsx on single views", flush=True)
            confirmed, ended = ends(scratch, rng, cache, asked.kills)
            print(f"--cache {cache}: {ended} daemons and clients ended at work, {confirmed} syncs confirmed")
            print(f"--cache {cache}: {time.monotonic() - start:.0f} s", flush=True)
            totals += [steps, at_once, of_fsx, confirmed, ended]
    *operations, ended = totals
    print(f"{sum(operations)} operations, {ended} daemons and clients ended, 0 faults, 0 losses")


if __name__ == "__main__":
    main()
