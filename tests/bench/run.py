"""Runs the benchmark, and prints its table; see scripts/bench."""

import argparse
import platform
import time
import traceback

import cold
import forms
import gather
import many
import peers
import scarce
import stream
from lab import CORES, Lab, Unavailable, say

PARTS = {part.__name__: part for part in (stream, gather, cold, scarce, many, forms, peers)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--scratch", required=True)
    parser.add_argument("--afbfs", required=True)
    parser.add_argument("--empty", required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("-v", "--verbose", action="store_true")
    parser.add_argument("parts", nargs="*")
    asked = parser.parse_args()
    lab = Lab(asked.scratch, asked.afbfs, asked.empty, asked.quick, asked.long)
    lab.make_arrays()
    lab.measure_round_trip()
    failed = False
    for name, part in PARTS.items():
        if asked.parts and name not in asked.parts:
            continue
        start = time.monotonic()
        try:
            part.measure(lab)
        except Unavailable as reason:
            lab.table.row(f"{name}: the rest", "", f"not available: {reason}")
        except Exception:  # The other parts still tell something.
            failed = True
            traceback.print_exc()
            lab.table.row(f"{name}: the rest", "", "failed")
        say(f"{name} took {time.monotonic() - start:.0f} s")
    print(f"\n{CORES} cores, Linux {platform.release()}, {platform.machine()}; {'quick, ' if asked.quick else ''}"
          f"{lab.side} x {lab.side} float64; a round trip is {lab.round_trip * 1e6:.1f} us\n")
    lab.table.print(asked.verbose)
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
