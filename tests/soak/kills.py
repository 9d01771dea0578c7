"""Daemons and clients that are ended in the middle of everything: what was confirmed is in the array file."""

import contextlib
import os
import select
import signal
import time

import harness
from oracle import save_random
from shown import Shown, converted
from worker import Gone, Worker



class Report:
    """What a writer told: the last count that has been confirmed."""

    def __init__(self):
        self.out, self.into = os.pipe()
        self.last = 0
        self._rest = b""

    def read(self):
        while select.select([self.out], [], [], 0)[0]:
            self._rest += os.read(self.out, 1 << 16)
            whole = len(self._rest) // 8 * 8
            if whole:
                self.last = int.from_bytes(self._rest[whole - 8 : whole], "little")
            self._rest = self._rest[whole:]
        return self.last

    def close(self):
        os.close(self.out)
        os.close(self.into)


def writers_of(array):
    """Views that share no byte, and how each is synced."""
    whole = array.view()
    shown = [Shown(array, whole.row(0)), Shown(array, whole.row(1)), Shown(array, whole.row(2))]
    shown.append(Shown(array, whole[3:, 5].at("slice/3:,5")))
    shown.append(Shown(array, whole[3:, 8:].at("slice/3:,8:")))
    shown.append(converted(array, whole[3:, 6].at("slice/3:,6"), "<i8", 2, "i8"))
    return list(zip(shown, ["fsync", "dsync", "msync", "fsync", "dsync", "fsync"], strict=True))


class Kills:
    def __init__(self, scratch, rng, cache):
        self.rng, self.cache = rng, cache
        self.source = scratch / f"kills-{cache}"
        self.source.mkdir()
        self.array = save_random(self.source / "k.npy", rng, "<u8", (10, 1100))
        self.views = writers_of(self.array)
        self.array.path.write_bytes(self.array.model[: self.array.offset] + bytes(self.array.view().size))
        # Counts go up over all turns, so that an old one is never taken for a new one.
        self.counts = [1] * len(self.views)
        self.confirmed = 0

    def check(self, lasts):
        """Every element holds the last count that was confirmed to its writer, or the one that was under way."""
        self.array.model[:] = self.array.path.read_bytes()
        for number, ((shown, _), last) in enumerate(zip(self.views, lasts, strict=True)):
            held = memoryview(shown.bytes()).cast("Q")
            low, high = min(held), max(held)
            assert low >= last, f"{shown.path}: confirmed {last}, but {low} is there"
            assert high <= self.counts[number] + 10**9, f"{shown.path}: {high} was never written"
            self.confirmed += max(0, last - self.counts[number] + 1)
            self.counts[number] = max(high, last) + 1

    def turn(self, end):
        """Writers write; `end` ends the daemon at some moment; then all that was confirmed is in the file."""
        reports = [Report() for _ in self.views]
        workers = [Worker() for _ in self.views]
        try:
            with harness.mountpoint_for(self.source) as folder:
                with self.mounted_at(folder) as mnt:
                    self.start(mnt, workers, reports)
                    time.sleep(float(self.rng.uniform(0.0, 0.1)))
                    end(mnt, workers)
                    for worker in workers:
                        with contextlib.suppress(Gone):
                            worker.finish()
                    lasts = [report.read() for report in reports]
                    harness.eventually(lambda: not harness.daemons(folder), "the daemon ends")
                    if harness.is_mounted(folder):
                        mnt.unmount()
                    self.check(lasts)
                with self.mounted_at(folder) as mnt:
                    for shown, _ in self.views:
                        assert mnt.read(shown.path) == shown.bytes(), f"{shown.path}, mounted anew"
                    mnt.unmount()
        finally:
            for worker in workers:
                worker.kill()
            for report in reports:
                report.close()

    @contextlib.contextmanager
    def mounted_at(self, folder):
        with harness.cleared(folder) as mnt:
            answer = harness.afbfs("mount", "--cache", self.cache, self.source, folder)
            assert answer.returncode == 0, answer.stderr.decode()
            mnt.watch()
            yield mnt

    def start(self, mnt, workers, reports):
        for number, ((shown, sync), worker, report) in enumerate(zip(self.views, workers, reports, strict=True)):
            path, first = mnt / shown.path, self.counts[number]
            worker.start("confirm_writes", path, 0, shown.size, first, report.into, sync)
        for report in reports:
            harness.eventually(report.read, "a writer has begun")

    def kill_daemon(self):
        def end(mnt, _workers):
            os.kill(mnt.pid, signal.SIGKILL)

        self.turn(end)

    def terminate(self):
        """SIGTERM under load: the mount goes at once, and the daemon with the last program that has files open."""

        def end(mnt, workers):
            os.kill(mnt.pid, signal.SIGTERM)
            harness.eventually(lambda: not harness.is_mounted(mnt), "the mount is gone")
            for worker in workers:
                worker.kill()

        self.turn(end)

    def kill_clients(self, turns):
        """Clients that die in the middle of requests: the daemon goes on, and what was confirmed is there."""
        with harness.mounted(self.source, "--cache", self.cache) as mnt:
            for _ in range(turns):
                reports = [Report() for _ in self.views]
                workers = [Worker() for _ in self.views]
                try:
                    self.start(mnt, workers, reports)
                    time.sleep(float(self.rng.uniform(0.0, 0.03)))
                    for worker in workers:
                        worker.kill()
                    lasts = [report.read() for report in reports]
                    # A request that was under way may end after its program.
                    mnt.read("k/data")
                    self.check(lasts)
                    assert mnt.is_alive(), "the daemon died with its clients"
                finally:
                    for worker in workers:
                        worker.kill()
                    for report in reports:
                        report.close()
