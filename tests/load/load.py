"""Runs the load test: see scripts/load."""

import argparse
import ctypes
import os
import secrets
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parent.parent / "mount"))

import contents  # noqa: E402
import harness  # noqa: E402
from latencies import KINDS, Board, percentile  # noqa: E402
from program import Program  # noqa: E402

# An operation that takes longer is stuck.
STUCK_SECONDS = 60
WINDOWS = 24
LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1


class Window:
    """What was done within a part of the time, and what the daemon took for it."""

    def __init__(self, seconds, operations, cpu, memory):
        self.operations, self.memory = operations, memory
        self.speed, self.per_cpu = operations / seconds, operations / cpu if cpu else 0.0


class Load:
    """Processes at work on a mount."""

    def __init__(self, mnt, folder, processes, arrays, seed):
        self.mnt, self.processes, self.seed = mnt, processes, seed
        self.arrays, self.owned = contents.make(folder, processes, arrays)
        self.board = Board(processes)
        self.pids = {}
        self.windows = []
        self.slowest = 0.0

    def run(self, seconds, say=print):
        """Until the time is over, or something is wrong. Leaves no process behind."""
        complaints, tell = os.pipe()
        ready, go = os.pipe()
        try:
            for number in range(self.processes):
                pid = os.fork()
                if pid == 0:
                    os.close(go)
                    os.close(complaints)
                    self.work(number, ready, tell)
                self.pids[pid] = number
            self.board.end[0] = time.monotonic() + seconds
            os.close(tell)
            os.close(go)
            go = tell = None
            self.watch(seconds, complaints, say)
        finally:
            for pid in self.pids:
                os.kill(pid, signal.SIGKILL)
            for pid in self.pids:
                os.waitpid(pid, 0)
            for fd in (complaints, tell, ready, go):
                if fd is not None:
                    os.close(fd)

    def work(self, number, ready, tell):
        """One of the processes; it never returns."""
        status = 1
        try:
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            owned, slot = self.owned[number], self.board.slot(number)
            program = Program(self.mnt, self.arrays, owned, slot, self.seed * 1_000_003 + number)
            # All begin at once, when the last has been started.
            os.read(ready, 1)
            program.run(self.board.end[0])
            status = 0
        except BaseException as error:
            os.write(tell, f"process {number}: {type(error).__name__}: {error}\n".encode()[:4000])
        finally:
            os._exit(status)

    def watch(self, seconds, complaints, say):
        """Takes a window's figures at its end, and looks after the processes meanwhile."""
        start = mark = time.monotonic()
        width = seconds / WINDOWS
        done, cpu = 0, cpu_seconds(self.mnt.pid)
        while self.pids:
            time.sleep(min(0.5, width / 4))
            self.reap(complaints)
            age, number, what = self.board.longest()
            self.slowest = max(self.slowest, age)
            if age > STUCK_SECONDS:
                raise AssertionError(f"stuck: process {number} has waited for {age:.0f} s: {what}")
            now = time.monotonic()
            if now >= start + width * (len(self.windows) + 1) and len(self.windows) < WINDOWS:
                total, used = int(self.board.counts().sum()), cpu_seconds(self.mnt.pid)
                self.windows.append(Window(now - mark, total - done, used - cpu, self.mnt.status("RssAnon") / 1024))
                window = self.windows[-1]
                say(
                    f"{now - start:6.0f} s  {window.speed:8.0f} operations a second, {window.per_cpu:8.0f} for each second of "
                    f"the daemon's CPU, RssAnon {window.memory:6.1f} MiB"
                )
                mark, done, cpu = now, total, used

    def reap(self, complaints):
        while self.pids:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            number = self.pids.pop(pid, None)
            if number is not None and status != 0:
                os.set_blocking(complaints, False)
                raise AssertionError(os.read(complaints, 1 << 16).decode() or f"process {number}: status {status}")

    def thirds(self, figure):
        """The mean of a figure of the first third of the windows, and of the last."""
        figures = [getattr(window, figure) for window in self.windows]
        third = len(figures) // 3
        return np.mean(figures[:third]), np.mean(figures[-third:])

    def counts(self):
        """Operations of each kind, by how long they took."""
        return dict(zip(KINDS, self.board.counts(), strict=True))

    def differences(self):
        """What is in the array files that should not be."""
        return [text for text in (array.differs() for array in self.arrays) if text]


def cpu_seconds(pid):
    """What a process has used, all threads together."""
    words = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def summary(load):
    yield f"{'':12}{'operations':>12}{'p50 ms':>10}{'p99 ms':>10}{'p99.9 ms':>10}{'longest ms':>12}"
    counts = load.counts()
    for kind, row in [*counts.items(), ("all", sum(counts.values()))]:
        times = [percentile(row, share) for share in (0.5, 0.99, 0.999, 1)]
        shown = "".join(f"{time / 1000:>{width}.1f}" for time, width in zip(times, (10, 10, 10, 12), strict=True) if time is not None)
        yield f"{kind:12}{int(row.sum()):>12}{shown}"
    for what, figure, unit in [
        ("throughput", "speed", "operations a second"),
        ("", "per_cpu", "operations for each second of the daemon's CPU"),
        ("memory", "memory", "MiB, RssAnon"),
    ]:
        first, last = load.thirds(figure)
        yield f"{what:12}first third {first:.1f}, last third {last:.1f} {unit}: {last / first:.2f}"


def main():
    parser = argparse.ArgumentParser()
    for name in ("seconds", "processes", "arrays"):
        parser.add_argument(name, type=int)
    parser.add_argument("--cache", default="none")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    seed = int(os.environ.get("AFBFS_SEED") or secrets.randbelow(2**31))
    print(f"seed {seed}: {asked.processes} processes on {asked.arrays} arrays for {asked.seconds} s, --cache {asked.cache}", flush=True)
    with tempfile.TemporaryDirectory(prefix="afbfs-load-") as name:
        folder = Path(name) / "source"
        folder.mkdir()
        with harness.mounted(folder, "--cache", asked.cache) as mnt:
            mnt.spare()
            load = Load(mnt, folder, asked.processes, asked.arrays, seed)
            load.run(asked.seconds, lambda text: print(text, flush=True))
            stats, alive = mnt.stats(), mnt.is_alive()
        differences = load.differences()
    print("\n".join(summary(load)))
    print(f"longest wait seen while waiting: {load.slowest:.1f} s; {stats['inodes']} inodes, {stats['faults']} faults")
    if differences or not alive or stats["faults"]:
        sys.exit("\n".join(["load: not as it should be", *differences]))
    print(f"0 errors, 0 stuck operations, all {asked.arrays} array files are what NumPy says")


if __name__ == "__main__":
    main()
