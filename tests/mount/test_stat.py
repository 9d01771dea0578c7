"""The counters of a mount: after a known number of operations they are exactly so much higher, wherever they are told."""

import contextlib
import json
import math
import os
import re
import signal

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness import afbfs, as_nobody, eventually, is_mounted, mounted, mountpoint_for, needs_root, refused, run, shell, unavailable
from kernel import drop_from_memory, resident_pages
from oracle import save_random

PAGE = os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def grid(source, rng):
    return save_random(source / "a.npy", rng, "<f8", (60, 50))


class Snapshots:
    """Reads `.afbfs/stats.json` and nothing else: each costs one open, and so many reads as it says."""

    def __init__(self, mnt):
        # Opened again by its descriptor, it is not looked up again.
        self._path = os.open(mnt / ".afbfs/stats.json", os.O_PATH)
        self.reads = self.read_bytes = 0

    def close(self):
        os.close(self._path)

    def take(self):
        fd = os.open(f"/proc/self/fd/{self._path}", os.O_RDONLY)
        text = b""
        while True:
            part = os.read(fd, 1 << 20)
            text += part
            self.reads += 1
            if not part:
                break
        os.close(fd)
        self.read_bytes += len(text)
        return json.loads(text)


@contextlib.contextmanager
def snapshots(mnt):
    snapshots = Snapshots(mnt)
    try:
        yield snapshots
    finally:
        snapshots.close()


def added(before, now):
    """What was added to each kind of request."""
    return {kind: now["requests"][kind] - before["requests"][kind] for kind in now["requests"]}


# --- exact


def test_reads_writes_and_syncs_are_counted_exactly(grid):
    with mounted(grid.path.parent) as mnt, snapshots(mnt) as look, mnt.open("a/data", os.O_RDWR) as fd:
        before = look.take()
        own, own_bytes = look.reads, look.read_bytes
        for i in range(37):
            assert len(os.pread(fd, 100 + i, 8 * i)) == 100 + i
        for i in range(23):
            assert os.pwrite(fd, bytes(8 + i), 800 * i) == 8 + i
        for _ in range(3):
            os.fsync(fd)
        now = look.take()
        more = added(before, now)
        # The first snapshot was taken before it was read, the second one after it was opened.
        assert more["read"] == 37 + own
        assert (more["write"], more["fsync"], more["open"], more["lookup"]) == (23, 3, 1, 0)
        assert now["read_bytes"] - before["read_bytes"] == sum(range(100, 137)) + own_bytes
        assert now["written_bytes"] - before["written_bytes"] == sum(range(8, 31))
        # Those that were known before say the same.
        for key, kind in [("reads", "read"), ("writes", "write"), ("opens", "open"), ("lookups", "lookup"), ("syncs", "fsync")]:
            assert now[key] - before[key] == more[kind], key
        assert now["errors"] == before["errors"] == 0 and now["errors_by_errno"] == {}
        # Of each request that is over the time is taken; of one that was just answered, soon.
        kinds = ["read", "write", "lookup"]
        eventually(lambda: times_are_complete(look.take(), kinds), "all times are taken")


def times_are_complete(stats, kinds):
    return all(stats["latency"][kind]["count"] == stats["requests"][kind] for kind in kinds)


def test_each_new_name_is_one_lookup_and_each_open_one_open(grid):
    with mounted(grid.path.parent) as mnt, snapshots(mnt) as look, mnt.open("a/row", os.O_RDONLY) as folder:
        before = look.take()
        for index in range(20):
            os.stat(str(index), dir_fd=folder)
        for index in range(60, 67):
            with refused("ENOENT"):
                os.stat(str(index), dir_fd=folder)
        middle = look.take()
        assert added(before, middle)["lookup"] == 27
        assert middle["not_found"] - before["not_found"] == 7
        assert middle["errors"] == before["errors"]
        path = os.open("3", os.O_PATH, dir_fd=folder)
        held = [os.open(f"/proc/self/fd/{path}", os.O_RDONLY) for _ in range(11)]
        now = look.take()
        assert added(middle, now)["open"] == 11 + 1
        assert now["open_files"] - middle["open_files"] == 11
        assert now["open_handles"] >= now["open_files"] + 1
        for fd in [*held, path]:
            os.close(fd)
        eventually(lambda: look.take()["open_files"] == middle["open_files"], "all are closed")
        eventually(lambda: releases_follow_opens(look.take()), "each open is followed by one release")


def releases_follow_opens(stats):
    # What the snapshot itself opened is still open, and it is the only one.
    return stats["requests"]["release"] == stats["requests"]["open"] - stats["open_files"] - 1


def test_errors_are_counted_by_their_number(grid, source, rng):
    short = save_random(source / "short.npy", rng, "<f8", (60, 50))
    with mounted(source) as mnt, snapshots(mnt) as look, mnt.open("a/row/3", os.O_RDWR) as fd:
        with mnt.open("short/data") as cut:
            before = look.take()
            for name in ["x", "y", "z"]:
                with refused("EPERM"):
                    os.mkdir(mnt / name)
            for _ in range(4):
                with refused("ENOSPC"):
                    os.pwrite(fd, b"x", 400)
            for _ in range(2):
                with refused("EOPNOTSUPP"):
                    os.setxattr(mnt / "a/row/3", "user.x", b"1")
            os.truncate(short.path, 1000)
            for _ in range(5):
                with refused("EIO"):
                    os.pread(cut, 100, 20_000)
            now = look.take()
        assert now["errors_by_errno"] == {"EPERM": 3, "ENOSPC": 4, "EOPNOTSUPP": 2, "EIO": 5}
        assert now["errors"] - before["errors"] == 3 + 4 + 2 + 5
        assert now["faults"] - before["faults"] == 5
        more = added(before, now)
        assert (more["mkdir"], more["write"], more["setxattr"]) == (3, 4, 2)
        # Bytes that nobody got are not counted.
        assert now["read_bytes"] - before["read_bytes"] == look.read_bytes - len_of_last(look, now)


def len_of_last(look, stats):
    """The length of the snapshot that was taken last, which it does not count itself."""
    return len(json.dumps(stats, indent=2, ensure_ascii=False)) + 1


def test_a_short_overwrite_is_counted(grid):
    with mounted(grid.path.parent) as mnt:
        (mnt / "a/row/3").write_bytes(b"12345678")
        eventually(lambda: mnt.stats()["short_overwrites"] == 1, "it is counted")


def test_a_write_that_waits_for_cached_pages_is_one_request(grid):
    with mounted(grid.path.parent) as mnt, snapshots(mnt) as look, mnt.open("a/data", os.O_RDWR) as fd:
        # The other view has its pages in the kernel's cache, so that the write is put off until they are dropped.
        assert shell('exec 3<"$1"; python3 -c "import os; os.sendfile(1, 3, 0, 400)" 3<&3 | wc -c', mnt / "a/row/2").stdout
        before = look.take()
        assert os.pwrite(fd, bytes(24_000), 0) == 24_000
        now = look.take()
        assert added(before, now)["write"] == 1
        assert now["written_bytes"] - before["written_bytes"] == 24_000
        eventually(lambda: times_are_complete(look.take(), ["write"]), "its time is taken")


def test_pages_from_disk_are_those_that_were_missing(source):
    # 1024 rows of 16 pages; the first ones hold all that there is.
    path = source / "a.npy"
    np.save(path, np.random.default_rng(1).random((1024, 8192)))
    drop_from_memory(path)
    if resident_pages(path):
        unavailable("the file could not be dropped from memory")
    with mounted(source) as mnt, snapshots(mnt) as look, mnt.open("a/col/3") as fd:
        before, in_memory = look.take(), resident_pages(path)
        assert len(os.pread(fd, 8192, 0)) == 8192
        now = look.take()
        brought = resident_pages(path) - in_memory
        assert 1023 <= brought <= 1024
        if now["disk_pages"] == before["disk_pages"]:
            unavailable("this kernel does not count what is read from disk")
        # Where the file's blocks lie may have to be read, too.
        assert brought <= now["disk_pages"] - before["disk_pages"] <= brought + 32
        assert now["disk_read_bytes"] - before["disk_read_bytes"] >= brought * PAGE
        assert now["prefetched_pages"] - before["prefetched_pages"] == 1024
        # Who asks for all pages at once waits for few of them.
        assert now["major_faults"] - before["major_faults"] <= 64
        again = look.take()
        assert len(os.pread(fd, 8192, 0)) == 8192
        assert look.take()["prefetched_pages"] == again["prefetched_pages"]


def test_mappings_memory_and_time(grid):
    with mounted(grid.path.parent) as mnt:
        mnt.read("a/data")
        stats = mnt.stats()
        assert stats["mappings"] == 1 and stats["mapped_bytes"] == grid.path.stat().st_size
        assert stats["pid"] == mnt.pid
        told = stats["rss_anon_bytes"]
        assert 0 < told and abs(told - 1024 * mnt.status("RssAnon")) < 16 << 20
        later = eventually(lambda: (now := mnt.stats())["uptime_seconds"] > stats["uptime_seconds"] and now, "time goes on")
        assert later["started_seconds"] == stats["started_seconds"]


# --- percentiles


def test_percentiles_fit_the_buckets(grid):
    with mounted(grid.path.parent) as mnt, mnt.open("a/data") as fd:
        for i in range(500):
            os.pread(fd, 1 + 37 * i, 0)
        stats = eventually(lambda: times_are_complete(stats := mnt.stats(), ["read"]) and stats, "all times are taken")
        for kind, times in stats["latency"].items():
            ends = [end for end, _ in times["buckets"]]
            assert ends == sorted(set(ends)), kind
            assert times["count"] == sum(count for _, count in times["buckets"])
            spread = [end for end, count in times["buckets"] for _ in range(count)]
            for key, share in [("p50_ns", 0.5), ("p90_ns", 0.9), ("p99_ns", 0.99), ("p99_9_ns", 0.999)]:
                if not spread:
                    assert times[key] is None
                    continue
                assert times[key] == min(spread[math.ceil(round(share * len(spread), 6)) - 1], times["max_ns"]), (kind, key)
            assert times["count"] * times["max_ns"] >= times["sum_ns"] >= times["max_ns"]
        assert stats["latency"]["read"]["count"] >= 500 and stats["latency"]["write"]["count"] == 0


# --- arrays


def usage(mnt):
    told = json.loads(mnt.read(".afbfs/usage.json"))
    return {entry["path"]: entry for entry in told["arrays"]}, told["others"]


def test_each_array_has_numbers_of_its_own(grid, source, rng):
    (source / "sub").mkdir()
    save_random(source / "sub/b.npy", rng, "<i4", (100,))
    np.savez(source / "many.npz", first=np.arange(10.0), second=np.arange(20.0))
    with mounted(source) as mnt:
        for _ in range(3):
            with mnt.open("a/row/3") as fd:
                assert [len(os.pread(fd, 100, offset)) for offset in (0, 100, 200)] == [100] * 3
        with mnt.open("sub/b/T/data", os.O_WRONLY) as fd:
            os.pwrite(fd, bytes(36), 4)
        mnt.read("many/second/shape")
        with mnt.open("many/second/range/:4") as fd:
            assert len(os.pread(fd, 100, 0)) == 32
        arrays, others = usage(mnt)
        counts = {
            name: tuple(entry[key] for key in ["opens", "reads", "read_bytes", "writes", "written_bytes"])
            for name, entry in arrays.items()
        }
        assert counts == {
            "a.npy": (3, 9, 900, 0, 0),
            "sub/b.npy": (1, 0, 0, 1, 36),
            "many.npz/second": (1, 1, 32, 0, 0),
        }
        assert list(arrays) == ["a.npy", "sub/b.npy", "many.npz/second"]
        # By these names they are found, whatever else lies beside them.
        assert all(os.path.isdir(mnt / name / "row") for name in arrays)
        assert set(others.values()) == {0}


def test_of_very_many_arrays_the_rest_are_told_together(source):
    np.save(source / "much.npy", np.arange(6.0))
    np.savez(source / "many.npz", **{f"x{number}": np.arange(2.0) for number in range(4200)})
    with mounted(source) as mnt:
        mnt.spare()
        for _ in range(5):
            assert len(mnt.read("much/data")) == 48
        with mnt.open("many") as folder:
            for number in range(4200):
                os.close(os.open(f"x{number}/data", os.O_RDONLY, dir_fd=folder))
        arrays, others = usage(mnt)
        assert len(arrays) <= 4096 and next(iter(arrays)) == "much.npy"
        assert len(arrays) + others["arrays"] == 4201
        assert sum(entry["opens"] for entry in arrays.values()) + others["opens"] == 4205
        assert sum(entry["read_bytes"] for entry in arrays.values()) + others["read_bytes"] == 5 * 48


def test_only_the_user_who_mounted_sees_which_arrays_are_used(grid):
    needs_root()
    with mounted(grid.path.parent, "--allow-other") as mnt:
        mnt.read("a/row/1")
        assert as_nobody("cat", mnt / ".afbfs/usage.json").returncode == 1
        for name in ["stats.json", "metrics"]:
            answer = as_nobody("cat", mnt / ".afbfs" / name)
            assert answer.returncode == 0 and b"a.npy" not in answer.stdout


# --- Prometheus


def samples(text):
    """All samples of a text that must be valid: {(name, labels): value}."""
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation and family.type in ("counter", "gauge", "histogram"), family
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, f"{key} twice"
            found[key] = sample.value
    return found


def test_metrics_are_valid_and_say_what_stats_json_says(grid):
    with mounted(grid.path.parent) as mnt:
        with mnt.open("a/data", os.O_RDWR) as fd:
            for i in range(40):
                os.pread(fd, 8 * i, 0)
            os.pwrite(fd, bytes(8), 0)
            os.fsync(fd)
        with refused("EPERM"):
            os.mkdir(mnt / "x")
        copy = grid.path.parent.parent / "afbfs.prom"
        assert run("cp", mnt / ".afbfs/metrics", copy).returncode == 0
        text = copy.read_text()
        assert text.endswith("\n")
        lines = text.splitlines()
        found, stats = samples(text), mnt.stats()
        # Every metric is described before its samples, once.
        for kind in ["HELP", "TYPE"]:
            names = [line.split()[2] for line in lines if line.startswith(f"# {kind} ")]
            assert len(names) == len(set(names)) > 25
        for key in ["writes", "written_bytes", "syncs", "short_overwrites", "faults", "mappings_made", "headers_read"]:
            assert found[f"afbfs_{key}_total", ()] == stats[key], key
        for key in ["mappings", "mapped_bytes"]:
            assert found[f"afbfs_{key}", ()] == stats[key], key
        assert found["afbfs_start_time_seconds", ()] == pytest.approx(stats["started_seconds"], abs=0.01)
        assert found["afbfs_build_info", (("version", mnt.read(".afbfs/version").decode().strip()),)] == 1
        requests = {labels[0][1]: value for (name, labels), value in found.items() if name == "afbfs_requests_total"}
        assert requests.keys() == stats["requests"].keys()
        for kind in ["write", "fsync", "mkdir", "create"]:
            assert requests[kind] == stats["requests"][kind], kind
        assert found["afbfs_errors_total", (("errno", "EPERM"),)] == stats["errors_by_errno"]["EPERM"] == 1
        for kind in ["lookup", "open", "read", "write"]:
            check_histogram(found, kind)


def check_histogram(found, kind):
    name = "afbfs_request_duration_seconds"
    buckets = {
        float(dict(labels)["le"]): value
        for (sample, labels), value in found.items()
        if sample == f"{name}_bucket" and dict(labels)["kind"] == kind
    }
    bounds = sorted(buckets)
    assert len(bounds) > 20 and bounds[-1] == math.inf
    counts = [buckets[bound] for bound in bounds]
    assert counts == sorted(counts)
    labels = (("kind", kind),)
    count, total = found[f"{name}_count", labels], found[f"{name}_sum", labels]
    assert counts[-1] == count
    assert (total > 0) == (count > 0)
    # The sum lies between what the buckets' ends allow.
    steps = [(low, high, b - a) for low, high, a, b in zip([0, *bounds], bounds, [0, *counts], counts, strict=False)]
    assert sum(low * some for low, _, some in steps) <= total
    assert total <= sum(high * some for _, high, some in steps if some)


# --- the command


def test_the_table_and_json_say_what_the_files_say(grid):
    with mounted(grid.path.parent) as mnt:
        with mnt.open("a/data", os.O_RDWR) as fd:
            for _ in range(12):
                os.pread(fd, 1024, 0)
            os.pwrite(fd, bytes(2048), 0)
        answer = afbfs("stat", "--arrays", mnt)
        assert (answer.returncode, answer.stderr) == (0, b"")
        said = answer.stdout.decode()
        assert "\x1b" not in said
        assert re.search(rf"^{re.escape(str(mnt.path))}: up \d+ s, process {mnt.pid}$", said, re.MULTILINE)
        assert re.search(r"^write +1( +[\d.]+ (ns|us|ms|s)){5}$", said, re.MULTILINE)
        assert re.search(r"^written +2\.00 KiB$", said, re.MULTILINE)
        assert re.search(r"^ +12 +12\.0 KiB +1 +2\.00 KiB  a\.npy$", said, re.MULTILINE)
        assert re.search(r"^errors 0, faults 0, short overwrites 0$", said, re.MULTILINE)
        told = json.loads(afbfs("stat", "--json", "--arrays=5", mnt).stdout)
        assert set(mnt.stats()) <= set(told)
        assert told["written_bytes"] == 2048 and told["arrays"] == list(usage(mnt)[0].values())
        assert afbfs("stat", "--json", "--arrays=0", mnt).stdout.count(b'"path"') == 0
        assert "arrays" not in json.loads(afbfs("stat", "--json", mnt).stdout)
        # By a link, too.
        link = grid.path.parent.parent / "link"
        link.symlink_to(mnt)
        assert afbfs("stat", link).returncode == 0


def test_errors_stand_in_the_table(grid):
    with mounted(grid.path.parent) as mnt:
        for name in ["x", "y"]:
            with refused("EPERM"):
                os.mkdir(mnt / name)
        assert re.search(r"^errors 2 \(EPERM 2\), ", afbfs("stat", mnt).stdout.decode(), re.MULTILINE)


def test_what_is_no_live_mount_is_named(grid, scratch):
    for path in [scratch, scratch / "missing/mount"]:
        answer = afbfs("stat", path)
        assert answer.returncode == 1 and str(path) in answer.stderr.decode()
    proc = afbfs("stat", "/proc")
    assert proc.returncode == 1 and b"not of afbfs" in proc.stderr
    with mounted(grid.path.parent) as mnt:
        os.kill(mnt.pid, signal.SIGKILL)
        eventually(lambda: not mnt.is_alive(), "the process has ended")
        dead = afbfs("stat", mnt)
        assert dead.returncode == 1 and b"has died" in dead.stderr and b"afbfs umount" in dead.stderr
        assert is_mounted(mnt)


def test_watching_into_a_pipe_prints_one_report_after_the_other(grid):
    with mounted(grid.path.parent) as mnt:
        answer = shell('"$1" stat --watch=0.1 "$2" | head -n 60', os.environ["AFBFS_BIN"], mnt, timeout=60)
        said = answer.stdout.decode()
        assert answer.stderr == b"" and "\x1b" not in said
        reports = said.split(f"{mnt.path}: up ")[1:]
        assert len(reports) >= 3
        # What was added is known from the second on.
        assert "/s" not in reports[0] and all("/s" in report for report in reports[1:-1])


def test_watching_ends_with_the_mount(grid):
    with mounted(grid.path.parent) as mnt, mountpoint_for(grid.path.parent) as folder:
        script = '"$1" stat --watch=0.1 "$2" >"$3/said" & watch=$!; until [ -s "$3/said" ]; do sleep 0.05; done'
        script += '; "$1" umount --lazy "$2"; wait $watch'
        answer = shell(script, os.environ["AFBFS_BIN"], mnt, folder, timeout=60)
        (folder / "said").unlink()
        assert answer.returncode == 1 and str(mnt.path).encode() in answer.stderr, answer
