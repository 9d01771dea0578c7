"""One volume of GlusterFS on three hosts, and a mount of afbfs on each."""

import contextlib
import errno
import fcntl
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parent.parent / "mount"))

from harness import mounted  # noqa: E402

import hosts  # noqa: E402

SHAPE = (32, 48)
FOLDERS = {"npy": "npy", "zarr": "zarr.zarr", "raw": "raw_48x32_float64"}
KINDS = pytest.mark.parametrize("kind", list(FOLDERS))


@pytest.fixture(scope="module")
def cluster():
    with hosts.cluster() as whole:
        yield whole


class Machines:
    """A folder on the volume, and its mounts, one on each host."""

    def __init__(self, cluster, name, mounts):
        self.cluster, self.name, self.mounts = cluster, name, mounts

    def view(self, host, kind, path):
        return self.mounts[host].path / FOLDERS[kind] / path

    def read(self, host, kind, path):
        return np.frombuffer(self.view(host, kind, path).read_bytes(), "<f8")

    def agree(self, kind, expected):
        """Every view on every host is NumPy's, and so are all copies of the array file."""
        views = {"data": expected, "T/data": expected.T, "slice/::3,::-2": expected[::3, ::-2]}
        views |= {f"row/{row}": expected[row] for row in range(SHAPE[0])}
        views |= {f"col/{column}": expected[:, column] for column in range(SHAPE[1])}
        for host, (path, wanted) in itertools.product(range(hosts.HOSTS), views.items()):
            assert (self.read(host, kind, path) == wanted.ravel()).all(), f"host {host + 1}: {path}"

    def copies_agree(self):
        """What the bricks hold: once healed, the same."""
        hosts.wait_for(self.cluster.healed, "the copies are healed", 120)
        for path in sorted((self.cluster.hosts[0].mount / self.name).rglob("*")):
            if path.is_file():
                one, *others = self.cluster.copies(path.relative_to(self.cluster.hosts[0].mount))
                assert all(other == one for other in others), path


@pytest.fixture
def machines(cluster, request):
    name = request.node.name.translate(str.maketrans("[/", "--", "]"))
    folder = cluster.hosts[0].mount / name
    folder.mkdir()
    whole = np.zeros(SHAPE)
    np.save(folder / "npy.npy", whole)
    whole.tofile(folder / "raw_48x32_float64.raw")
    (folder / "zarr.zarr").mkdir()
    described = {
        "zarr_format": 2, "shape": SHAPE, "chunks": [10, 24], "dtype": "<f8", "compressor": None, "fill_value": 0.0,
        "order": "C", "filters": None,
    }
    (folder / "zarr.zarr/.zarray").write_text(json.dumps(described))
    with contextlib.ExitStack() as stack:
        mounts = []
        for host in cluster.hosts:
            hosts.wait_for(lambda host=host: (host.mount / name / "zarr.zarr/.zarray").exists(), "the folder is there")
            # Nothing is asked for: that machines share this file system is seen by its type.
            mount = stack.enter_context(mounted(host.mount / name, "--log-file", host.state / f"{name}.log"))
            mount.spare()
            mounts.append(mount)
            assert "mounted as with --shared" in (host.state / f"{name}.log").read_text()
        yield Machines(cluster, name, mounts)


WRITER = """
import os, sys, numpy as np
folder, writer, writers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
views = [(f"row/{row}", row * 1000.0 + np.arange(48)) for row in range(writer, 16, writers)]
views += [(f"slice/16:,{column}", np.arange(16, 32) * 1000.0 + column) for column in range(writer, 48, writers)]
np.random.default_rng(writer).shuffle(views)
for path, new in views:
    with open(f"{folder}/{path}", "r+b", buffering=0) as file:
        assert file.write(new.tobytes()) == new.nbytes
"""


@KINDS
def test_eight_writers_on_three_hosts_fill_rows_and_columns_of_one_array(machines, kind):
    writers = []
    for writer in range(8):
        folder = machines.view(writer % hosts.HOSTS, kind, "")
        writers.append(subprocess.Popen([sys.executable, "-c", WRITER, folder, str(writer), "8"]))
    assert [writer.wait(300) for writer in writers] == [0] * 8
    machines.agree(kind, np.arange(SHAPE[0])[:, None] * 1000.0 + np.arange(SHAPE[1]))
    machines.copies_agree()


@KINDS
@pytest.mark.parametrize("path", ["row/7", "col/7"])
def test_readers_on_other_hosts_see_what_was_closed(machines, kind, path):
    closed, done, wrong = [0], threading.Event(), []

    def look(host):
        seen = 0
        while not done.is_set():
            least = closed[0]
            found = machines.read(host, kind, path)
            seen += 1
            if found.min() < least:
                wrong.append(f"host {host + 1}: {found.min()} after {least} was closed")
        counts.append(seen)

    counts = []
    readers = [threading.Thread(target=look, args=[host]) for host in (1, 2)]
    for reader in readers:
        reader.start()
    try:
        for turn in range(1, 16):
            view = machines.view(0, kind, path)
            with open(view, "r+b", buffering=0) as file:
                assert file.write(np.full(view.stat().st_size // 8, turn, "<f8")) == view.stat().st_size
            closed[0] = turn
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert not wrong and min(counts) > 2, (wrong[:5], counts)


COUNTER = """
import fcntl, os, struct, sys
fd = os.open(sys.argv[1], os.O_RDWR)
for _ in range(int(sys.argv[2])):
    fcntl.lockf(fd, fcntl.LOCK_EX, 8, 24)
    value, = struct.unpack("<d", os.pread(fd, 8, 24))
    assert os.pwrite(fd, struct.pack("<d", value + 1), 24) == 8
    fcntl.lockf(fd, fcntl.LOCK_UN, 8, 24)
"""


@KINDS
def test_hosts_that_lock_an_element_count_together(machines, kind):
    counters = []
    for host in range(hosts.HOSTS):
        counters.append(subprocess.Popen([sys.executable, "-c", COUNTER, machines.view(host, kind, "row/5"), "12"]))
    assert [counter.wait(200) for counter in counters] == [0] * hosts.HOSTS
    assert [machines.read(host, kind, "row/5")[3] for host in range(hosts.HOSTS)] == [36.0] * hosts.HOSTS


def test_a_lock_on_one_host_holds_on_the_others(machines):
    def may(host, path, call=fcntl.lockf):
        with open(machines.view(host, "npy", path), "r+b") as file:
            try:
                call(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                assert error.errno in (errno.EAGAIN, errno.EACCES)
                return False
            return True

    for call in (fcntl.lockf, fcntl.flock):
        with open(machines.view(0, "npy", "row/5"), "r+b") as file:
            call(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for host in (1, 2):
                assert not may(host, "row/5", call) and not may(host, "data", call) and not may(host, "col/1", call)
                assert may(host, "row/4", call) and may(host, "row/6", call)
        hosts.wait_for(lambda call=call: may(1, "row/5", call), "the lock is given up")


class Writer(threading.Thread):
    """Counts up in one column of an array, and syncs each time. What is confirmed is what was synced."""

    def __init__(self, machines, host, column):
        super().__init__()
        self.machines, self.host, self.column = machines, host, column
        self.tried = self.confirmed = 0.0
        self.errors = []
        self.stopped = threading.Event()

    def run(self):
        while not self.stopped.is_set():
            self.tried += 1
            new = np.full(SHAPE[0], self.tried, "<f8").tobytes()
            try:
                fd = os.open(self.machines.view(self.host, "npy", f"col/{self.column}"), os.O_RDWR)
                try:
                    if os.pwrite(fd, new, 0) == len(new):
                        os.fsync(fd)
                        self.confirmed = self.tried
                finally:
                    os.close(fd)
            except OSError as error:
                self.errors.append((time.monotonic(), error))
                time.sleep(0.05)

    def goes_on(self, within=90):
        """Waits until something more is confirmed."""
        before = self.confirmed
        hosts.wait_for(lambda: self.confirmed > before + 1, f"host {self.host + 1} goes on writing", within)

    def check(self):
        """What was confirmed is there on each host, or what was tried after it."""
        for host in range(hosts.HOSTS):
            found = self.machines.read(host, "npy", f"col/{self.column}")
            assert self.confirmed <= found.min() and found.max() <= self.tried, (host, found, self.confirmed, self.tried)


@contextlib.contextmanager
def writers_on(machines):
    writers = [Writer(machines, host, 10 * host + 3) for host in range(hosts.HOSTS)]
    for writer in writers:
        writer.start()
    try:
        yield writers
    finally:
        for writer in writers:
            writer.stopped.set()
        for writer in writers:
            writer.join()


def test_a_copy_that_is_killed_and_healed_costs_nothing(machines):
    cluster, last = machines.cluster, machines.cluster.hosts[-1]
    with writers_on(machines) as writers:
        for writer in writers:
            writer.goes_on()
        (brick,) = last.bricks()
        os.kill(brick, signal.SIGKILL)
        for writer in writers:
            writer.goes_on()
        cluster.gluster("volume", "start", hosts.VOLUME, "force")
        hosts.wait_for(last.bricks, "the copy is kept again")
        for writer in writers:
            writer.goes_on()
    assert [writer.errors for writer in writers] == [[]] * hosts.HOSTS
    machines.copies_agree()
    for writer in writers:
        writer.check()


def test_a_host_that_is_cut_off_hears_of_it_and_loses_nothing_that_was_confirmed(machines):
    last = machines.cluster.hosts[-1]
    with writers_on(machines) as writers:
        for writer in writers:
            writer.goes_on()
        last.cut_off()
        try:
            for writer in writers[:-1]:
                writer.goes_on()
            alone = writers[-1]
            hosts.wait_for(lambda: alone.errors, "the host that is cut off hears of it", 90)
            while_alone = alone.confirmed
            for writer in writers[:-1]:
                writer.goes_on()
            # A lone copy is not written.
            assert alone.confirmed == while_alone
        finally:
            last.connect()
        for writer in writers:
            writer.goes_on()
    told = {errno.errorcode[error.errno] for _, error in alone.errors}
    print(f"told while cut off: {told}")
    machines.copies_agree()
    for writer in writers:
        writer.check()
