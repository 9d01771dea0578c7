"""What happens at the limits of a process and of the machine: to the access concerned, and to nobody else."""

import contextlib
import errno
import os
import pwd
import resource
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from harness import afbfs, as_nobody, binary, cleared, daemons, eventually, is_mounted, mounted, mountpoint_for, needs_command
from harness import needs_root, ordinary_user, refused, run, unavailable
from limits import HOG, MIB, Others, addresses, as_user, descriptors, entering, killed, limited, load_zarr, memory_group, save_zarr
from limits import task_group
from oracle import save_random
from test_thrift import save_sparse

GIB = 1 << 30


@pytest.fixture
def others(source, rng):
    return Others(source, rng)


# --- descriptors


def save_many(source, count):
    """Arrays a0, a1, ... of four times their number."""
    for number in range(count):
        np.save(source / f"a{number}.npy", np.full(4, number, "<i4"))


def content(number):
    return np.full(4, number, "<i4").tobytes()


def open_until_refused(mnt, stack, count, flags=os.O_RDONLY):
    """Opens arrays until one is refused, for want of descriptors; gives those that are open."""
    fds = []
    for number in range(count):
        try:
            fds.append(stack.enter_context(mnt.open(f"a{number}/data", flags)))
        except OSError as error:
            assert error.errno in (errno.EMFILE, errno.ENFILE), error
            return fds
    pytest.fail(f"{count} arrays are open at once")


@pytest.mark.parametrize("most, flags", [(64, os.O_RDONLY), (64, os.O_RDWR), (256, os.O_RDONLY)])
def test_more_open_arrays_than_descriptors(source, others, most, flags):
    count = most + 20
    save_many(source, count)
    names = {f"a{number}" for number in range(count)} | {"steady", "busy", ".afbfs"}
    with mounted(source, preexec_fn=limited(resource.RLIMIT_NOFILE, most)) as mnt, others.at_work(mnt):
        opened = []
        for _ in range(2):
            with contextlib.ExitStack() as stack:
                fds = open_until_refused(mnt, stack, count, flags)
                opened.append(len(fds))
                # Those that are open go on, and so does all that needs none for long.
                for number, fd in enumerate(fds):
                    assert os.pread(fd, 16, 0) == content(number)
                    if flags == os.O_RDWR:
                        assert os.pwrite(fd, content(number), 0) == 16
                assert set(os.listdir(mnt)) == names
                assert len(mnt.arrays()) == count + 2
                assert mnt.stats()["open_handles"] >= len(fds)
                assert mnt.read(f"a{count - 1}/shape") == b"4\n"
                assert set(os.listdir(mnt / f"a{count - 1}/row")) == set("0123")
                assert mnt.read("a0/row/1") == content(0)[:4], "another view of an array that is open"
                with refused("EMFILE"):
                    mnt.read(f"a{count - 1}/data")
                # One that is closed makes room for another.
                os.close(fds[-1])
                assert mnt.read(f"a{count - 1}/data") == content(count - 1)
                os.dup2(fds[0], fds[-1])
        assert opened[0] > most * (0.4 if flags == os.O_RDONLY else 0.2)
        assert opened[0] == opened[1], "descriptors are lost"
        for number in range(count):
            assert mnt.read(f"a{number}/data") == content(number)
        assert descriptors(mnt) < most


def test_folders_that_are_open_without_end_leave_room_for_others(source, others):
    save_many(source, 80)
    (source / "folder").mkdir()
    with mounted(source, preexec_fn=limited(resource.RLIMIT_NOFILE, 64)) as mnt, others.at_work(mnt):
        for _ in range(2):
            with contextlib.ExitStack() as stack, refused("EMFILE"):
                for _ in range(100):
                    stack.enter_context(mnt.open("folder", os.O_RDONLY | os.O_DIRECTORY))
            with contextlib.ExitStack() as stack:
                open_until_refused(mnt, stack, 80)
                with refused("EMFILE"):
                    for _ in range(100):
                        stack.enter_context(mnt.open("folder", os.O_RDONLY | os.O_DIRECTORY))
                assert len(mnt.arrays()) == 82
                assert mnt.read("a79/shape") == b"4\n"
        assert len(os.listdir(mnt)) == 84


def test_an_array_in_a_thousand_files_is_served_with_64_descriptors(source, others, rng):
    chunks = (8, 16)
    array = rng.integers(0, 2**16, (25 * 8, 40 * 16), "u2")
    save_zarr(source / "z.zarr", array, chunks)
    save_many(source, 80)
    views = {"data": array, "T/data": array.T, "slice/::-1,3": array[::-1, 3], "slice/7": array[7]}
    faults = []

    def read(mnt, view, expected):
        try:
            assert mnt.read(f"z.zarr/{view}") == expected.tobytes(), view
        except (OSError, AssertionError) as error:
            faults.append(f"{view}: {error}")

    with mounted(source, preexec_fn=limited(resource.RLIMIT_NOFILE, 64)) as mnt, others.at_work(mnt):
        threads = [threading.Thread(target=read, args=(mnt, *view)) for view in views.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not faults
        # Also where arrays that are open have nearly all.
        with contextlib.ExitStack() as stack, mnt.open("z.zarr/slice/7:9", os.O_RDWR) as fd:
            open_until_refused(mnt, stack, 80)
            assert os.pread(fd, 1 << 20, 0) == array[7:9].tobytes()
            array[7:9] = array[:2]
            assert os.pwrite(fd, array[7:9].tobytes(), 0) == array[7:9].nbytes
            assert os.pread(fd, 1 << 20, 0) == array[7:9].tobytes()
        array[:, 3] = 9
        mnt.write("z.zarr/col/3", array[:, 3].tobytes())
        assert mnt.read("z.zarr/data") == array.tobytes()
        assert descriptors(mnt) < 64
    assert np.array_equal(load_zarr(source / "z.zarr", array, chunks), array)


# --- addresses and mappings


def test_views_across_many_windows(source, others, rng):
    # Rows of 256 KiB; a window is an eighth of a quarter of the limit.
    shape = (2048, 1 << 15)
    offset = save_sparse(source / "wide.npy", shape)
    model = np.memmap(source / "wide.npy", "<f8", "r+", offset, shape)
    rows = np.unique(np.concatenate([rng.integers(0, 2048, 40), [0, 2047], np.arange(127, 2048, 128), np.arange(128, 2048, 128)]))
    model[rows[:, None], [0, 7, 8, shape[1] - 1]] = rng.random((len(rows), 4))
    views = {
        "col/7": np.s_[:, 7], "col/-1": np.s_[:, -1], "slice/::-1,0:9": np.s_[::-1, :9], "slice/5::64,7": np.s_[5::64, 7],
        "row/127:129": np.s_[127:129], "slice/3:2040:97,::4096": np.s_[3:2040:97, ::4096], "row/-1": np.s_[-1],
    }  # fmt: skip
    with mounted(source, preexec_fn=limited(resource.RLIMIT_AS, GIB)) as mnt, others.at_work(mnt):
        for view, selection in views.items():
            assert mnt.read(f"wide/{view}") == model[selection].tobytes(), view
        turned = mnt.open("wide/T/data")
        with turned as fd:
            assert os.pread(fd, 2 * 2048 * 8, 7 * 2048 * 8) == model.T[7:9].tobytes()
        for view, selection in views.items():
            values = rng.random(model[selection].shape)
            mnt.write(f"wide/{view}", values.tobytes())
            assert np.array_equal(model[selection], values), view
            assert mnt.read(f"wide/{view}") == values.tobytes(), view
        maps = Path(f"/proc/{mnt.pid}/maps").read_text().count("/wide.npy")
        assert maps > 1, "windows are mapped"


@pytest.mark.parametrize("limit", [GIB, 2 * GIB, None])
def test_sixteen_arrays_of_eight_terabytes(source, others, rng, limit):
    for number in range(16):
        save_sparse(source / f"huge{number}.npy", (1 << 23, 1 << 17))
    how = {"preexec_fn": limited(resource.RLIMIT_AS, limit)} if limit else {}
    written = {}
    with mounted(source, **how) as mnt, others.at_work(mnt):
        for number in [*range(16), *rng.permutation(16)]:
            row = int(rng.integers(0, 1 << 23))
            views = {"row": f"huge{number}/slice/{row},10:1010", "column": f"huge{number}/slice/{row % (1 << 18)}::262144,9"}
            for name, view in views.items():
                size = 8000 if name == "row" else 32 * 8
                data = rng.bytes(size)
                mnt.write(view, data)
                written[view] = data
                assert mnt.read(view) == data, view
        for view, data in written.items():
            if "::" in view:
                # Each column lies in rows of its own, or was written last.
                assert mnt.read(view) == data, view


def test_three_thousand_arrays_in_turn_and_at_random(source, others, rng):
    count = 3000
    for number in range(count):
        np.save(source / f"b{number}.npy", np.full((4, 100), number, "<i4"))
    rounds = np.zeros(count, "<i4")
    with mounted(source, preexec_fn=limited(resource.RLIMIT_AS, GIB)) as mnt, others.at_work(mnt):
        before = None
        for number in [*range(count), *rng.permutation(count).tolist()]:
            with mnt.open(f"b{number}/col/7", os.O_RDWR) as fd:
                stored = np.full(4, number + rounds[number], "<i4")
                assert os.pread(fd, 16, 0) == stored.tobytes()
                assert os.pwrite(fd, (stored + 1).tobytes(), 0) == 16
            rounds[number] += 1
            before = before or (addresses(mnt) if number == 500 else None)
        assert addresses(mnt) <= GIB
    for number in range(0, count, 37):
        array = np.load(source / f"b{number}.npy")
        assert (array[:, 7] == number + 2).all() and (np.delete(array, 7, 1) == number).all()


def test_addresses_that_are_taken_away_and_given_back(source, others, rng):
    model = {}
    for number in range(8):
        offset = save_sparse(source / f"c{number}.npy", (64, 1 << 17))
        model[number] = np.memmap(source / f"c{number}.npy", "<f8", "r+", offset, (64, 1 << 17))
        model[number][:, 5] = rng.random(64)

    def check():
        for number, array in model.items():
            assert mnt.read(f"c{number}/col/5") == array[:, 5].tobytes()
            values = rng.random(64)
            mnt.write(f"c{number}/col/5", values.tobytes())
            assert np.array_equal(array[:, 5], values)
            assert mnt.read(f"c{number}/row/7") == array[7].tobytes()

    with mounted(source) as mnt, others.at_work(mnt):
        check()
        no_limit = resource.prlimit(mnt.pid, resource.RLIMIT_AS)
        # Room for a window or two, and room for none, in which nothing but reading and writing is left.
        for room in [100 * MIB, 3 * MIB, 0]:
            resource.prlimit(mnt.pid, resource.RLIMIT_AS, (addresses(mnt) + room, no_limit[1]))
            check()
            # Neither a thread nor a large buffer can be had.
            assert len(mnt.arrays()) == 10
        resource.prlimit(mnt.pid, resource.RLIMIT_AS, no_limit)
        check()


# --- memory


def save_large(path, rows, rng):
    """Rows of 32 KiB, of which each sixteenth holds numbers; the others are holes."""
    offset = save_sparse(path, (rows, 4096))
    array = np.memmap(path, "<f8", "r+", offset, (rows, 4096))
    array[::16] = rng.random((len(array[::16]), 1))
    array.flush()
    return array


def test_half_a_gigabyte_is_read_and_written_with_64_mebibytes(source, others, rng):
    array = save_large(source / "a.npy", 16384, rng)
    run("sync", "-f", source)
    with memory_group(64 * MIB) as group, mounted(source, preexec_fn=entering(group)) as mnt, others.at_work(mnt):
        assert str(mnt.pid) in (group / "cgroup.procs").read_text().split()
        with open(mnt / "a/data", "r+b", buffering=0) as file:
            for start in range(0, 16384, 128):
                piece = np.frombuffer(file.read(4 * MIB), "<f8").reshape(128, 4096)
                assert np.array_equal(piece[::16], array[start : start + 128 : 16])
                file.seek(start * 32768)
                assert file.write((piece + 1).tobytes()) == 4 * MIB
        assert mnt.read("a/col/77") == array[:, 77].tobytes()
        assert (array[::16, 77] >= 1).all() and (array[1::16, 77] == 1).all()
        assert mnt.status("RssAnon") < 40 * 1024
        assert killed(group) == 0
        assert mnt.is_alive()


ADD = """
import sys
import numpy as np
a, b = (np.memmap(name, "<f8", "r") for name in sys.argv[1:3])
c = np.memmap(sys.argv[3], "<f8", "r+")
for at in range(0, len(c), 1 << 19):
    c[at : at + (1 << 19)] = a[at : at + (1 << 19)] + b[at : at + (1 << 19)]
c.flush()
"""


def test_two_arrays_are_added_into_a_third_with_128_mebibytes(source, rng):
    a, b, c = (save_large(source / f"{name}.npy", 16384, rng) for name in "abc")
    run("sync", "-f", source)
    with memory_group(128 * MIB) as group, mounted(source, preexec_fn=entering(group)) as mnt:
        command = [sys.executable, "-c", ADD, *(mnt / f"{name}/data" for name in "abc")]
        done = run(*command, preexec_fn=entering(group))
        assert done.returncode == 0, done.stderr.decode()
        assert killed(group) == 0 and mnt.is_alive()
    for rows in [np.s_[::16], np.s_[1::512], np.s_[-1:]]:
        assert np.array_equal(c[rows], a[rows] + b[rows])
    assert c[::16].any()


# --- sizes of files, processes, temporary files, mounts, names


def test_a_limit_of_file_sizes_keeps_no_array_from_being_written(source, others, rng):
    array = save_random(source / "a.npy", rng, "<f8", (512, 512))
    save_zarr(source / "z.zarr", np.zeros((2, 1 << 16), "u1"), (1, 1 << 16))
    (source / "z.zarr/1.0").unlink()
    with mounted(source, preexec_fn=limited(resource.RLIMIT_FSIZE, 8192)) as mnt, others.at_work(mnt):
        for view in [array.view().row(300), array.view().col(3), array.view().at("data")]:
            # With pages that are in memory, and with such as are not.
            for _ in range(2):
                run("sync", "-f", array.path)
                with open(array.path, "rb") as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                data = rng.bytes(view.size)
                mnt.write(view.path, data)
                array.write(view, 0, data)
        assert not array.differs()
        # A file that would have to be made is too large indeed.
        with mnt.open("z.zarr/row/1", os.O_RDWR) as fd, refused("EFBIG"):
            os.pwrite(fd, b"x", 0)
        assert mnt.read("z.zarr/row/1") == bytes(1 << 16)
        assert sorted(os.listdir(source / "z.zarr")) == [".zarray", "0.0"]


# One that has a name, without which fusermount3 mounts nothing, and no processes.
UID = pwd.getpwnam("games").pw_uid


def test_a_mount_without_enough_threads_says_so(source, others):
    with ordinary_user() as user, mountpoint_for(source, UID if user else None) as folder:
        if not user:
            unavailable("only root can choose a user with no other processes")
        os.chown(source, UID, UID)
        for path in source.iterdir():
            os.chown(path, UID, UID)
        user = {"user": UID, "group": UID, "extra_groups": []}
        outcomes = []
        for most in [*range(1, 16, 2), 30]:
            with cleared(folder) as mnt:
                answer = afbfs("mount", "--threads", "4", source, folder, **user, preexec_fn=limited(resource.RLIMIT_NPROC, most))
                outcomes.append(answer.returncode)
                if answer.returncode == 0:
                    mnt.how = user
                    mnt.watch()
                    assert run("cat", mnt / "steady/row/5", **user).stdout == others.steady.view().row(5).bytes()
                    mnt.unmount()
                    continue
                message = answer.stderr.decode()
                assert answer.returncode == 1 and message.startswith("afbfs: ") and message.count("\n") == 1, message
                assert "(ulimit -u)" in message, message
                assert not is_mounted(folder)
                eventually(lambda: not daemons(folder), "nothing is left")
        assert outcomes[0] == 1 and outcomes[-1] == 0 and sorted(outcomes, reverse=True) == outcomes


def test_without_another_thread_previews_and_texts_are_made_by_those_that_serve(source, others, rng):
    array = np.round(rng.random((300, 1000)), 3)
    np.save(source / "a.npy", array)
    with task_group() as group, mounted(source, preexec_fn=entering(group)) as mnt, others.at_work(mnt):
        (group / "pids.max").write_text("1")
        assert mnt.read("a/data.png").startswith(b"\x89PNG")
        assert len(mnt.arrays()) == 3
        text = "\n".join(" ".join(map(str, row)) for row in (array + 1).tolist())
        assert len(text) > 3 * MIB / 2
        (mnt / "a/data.txt").write_text(text)
        assert np.array_equal(np.load(source / "a.npy"), array + 1)
        (group / "pids.max").write_text("max")


@pytest.fixture(params=["missing", "full"])
def no_room(request, scratch):
    """A folder for temporary files that takes none."""
    folder = scratch / "temporary"
    if request.param == "missing":
        yield folder
        return
    needs_root()
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_text_for_which_there_is_no_room_is_refused_and_changes_nothing(source, others, scratch, no_room):
    # The elements of a text of its own wait in memory up to 16 MiB; patches of one do not.
    array = np.arange(3e6).reshape(1000, 3000)
    for name in "ab":
        np.save(source / f"{name}.npy", array)
    log = scratch / "log"
    how = {"env": {**os.environ, "TMPDIR": str(no_room)}}
    with mounted(source, "--log-file", log, **how) as mnt, others.at_work(mnt):
        (mnt / "a/row/3.txt").write_text("1 " * 3000)
        # Closing it says so, too.
        with refused("ENOSPC"), mnt.open("a/data.txt", os.O_WRONLY | os.O_TRUNC) as fd:
            for _ in range(1000):
                os.write(fd, b"12345 " * 3000 + b"\n")
        with mnt.open("b/data.txt", os.O_WRONLY) as fd, refused("ENOSPC"):
            os.pwrite(fd, b" " * (256 * 1024), 0)
        assert mnt.read("a/row/3") == np.ones(3000).tobytes()
        assert mnt.read("a/row/4") == array[4].tobytes()
    assert np.array_equal(np.load(source / "b.npy"), array)
    array[3] = 1
    assert np.array_equal(np.load(source / "a.npy"), array)
    if not no_room.exists():
        assert str(no_room) in log.read_text() and "TMPDIR" in log.read_text()


def test_a_text_that_lost_a_part_for_want_of_room_can_only_be_begun_anew(source, no_room):
    array = np.arange(3e6).reshape(1000, 3000)
    np.save(source / "a.npy", array)
    line = b"12345 " * 3000 + b"\n"
    with mounted(source, env={**os.environ, "TMPDIR": str(no_room)}) as mnt:
        with refused("ENOSPC"), mnt.open("a/data.txt", os.O_WRONLY | os.O_TRUNC) as fd:
            end = 0
            with refused("ENOSPC"):
                for _ in range(1000):
                    end += len(line)
                    os.pwrite(fd, line, end - len(line))
            # Whoever goes on all the same, behind what was lost, hears of it again.
            for act in [lambda: os.pwrite(fd, b"1", end), lambda: os.fsync(fd)]:
                with refused("ENOSPC"):
                    act()
        assert mnt.read("a/row/4") == array[4].tobytes()
    assert np.array_equal(np.load(source / "a.npy"), array)


def test_a_name_that_is_too_long(source, others):
    with mounted(source) as mnt, others.at_work(mnt):
        for length in [1 << 20, 1 << 13, 3000, 1024, 256]:
            for folder in ["", "steady/slice/", "steady/row/", "steady/as/"]:
                name = f"{mnt.path}/{folder}{'x' * length}"
                for access in [os.stat, os.listdir, lambda name: os.open(name, os.O_RDONLY)]:
                    with refused("ENAMETOOLONG", "ENOENT") if length < 4096 else refused("ENAMETOOLONG"):
                        access(name)
        assert mnt.read(f"steady/row/{'0' * 250}7") == mnt.read("steady/row/7")


# Fills the table of mounts of a namespace of its own: each bind takes along all that there is, then half of it, and so on.
FILL = """
mount --make-rprivate / && mount -t tmpfs tmpfs "$1" && mkdir "$1/a" "$1/b" "$1/source" "$1/point" || exit 9
cp "$2" "$1/source/x.npy"
n=0
while mkdir "$1/a/$n" && mount --rbind "$1" "$1/a/$n" 2>/dev/null; do n=$((n + 1)); done
for k in $(seq $n -1 0) 0; do mkdir "$1/b/$k" 2>/dev/null; mount --rbind "$1/a/$k" "$1/b/$k" 2>/dev/null; done
while mount --bind "$1/b" "$1/b" 2>/dev/null; do :; done
exec "$3" mount "$1/source" "$1/point"
"""


def test_a_table_of_mounts_that_is_full(source, others, scratch):
    needs_root()
    needs_command("unshare")
    if int(Path("/proc/sys/fs/mount-max").read_text()) > 200_000:
        unavailable("filling the table of mounts takes too long here")
    folder = scratch / "many"
    folder.mkdir()
    with mounted(source) as mnt, others.at_work(mnt):
        done = run("unshare", "--mount", "bash", "-c", FILL, "bash", folder, source / "steady.npy", binary())
        assert done.returncode == 1, done.stderr
        assert b"fs.mount-max" in done.stderr and str(folder / "point").encode() in done.stderr, done.stderr
        assert not daemons(folder / "point")


# --- one user and the others


def test_a_user_who_lists_opens_and_maps_without_end_keeps_nobody_from_reading(source, others):
    needs_root()
    needs_command("setpriv")
    python = shutil.which("python3", path="/usr/bin:/bin") or unavailable("there is no Python that every user may run")
    folder = source / "folder"
    folder.mkdir()
    np.save(folder / "a0.npy", np.arange(12.0).reshape(4, 3))
    for number in range(1, 3000):
        os.link(folder / "a0.npy", folder / f"a{number}.npy")
    if as_nobody("ls", folder).returncode:
        unavailable(f"other users cannot enter {source}")
    with mounted(source, "--allow-other", preexec_fn=limited(resource.RLIMIT_NOFILE, 400)) as mnt:
        hogs = [as_user(UID, python, "-c", HOG, mnt.path, stdout=subprocess.PIPE, text=True) for _ in range(3)]
        try:
            for hog in hogs:
                assert hog.stdout.readline() == "at work\n"
            with others.at_work(mnt) as rounds:
                # It is at its limit by then.
                assert hogs[0].stdout.readline() == f"refused {errno.EMFILE}\n"
                for _ in range(5):
                    before = dict(rounds)
                    done = as_nobody("cat", mnt / "steady/row/5", mnt / "folder/a7/row/1.txt")
                    assert done.returncode == 0, done.stderr
                    assert as_nobody("ls", mnt / "folder/a9").returncode == 0
                    eventually(lambda before=before: all(rounds[key] > before[key] for key in rounds), "others get on", within=1)
        finally:
            for hog in hogs:
                hog.kill()
                hog.wait()
                hog.stdout.close()
        eventually(lambda: mnt.stats()["open_handles"] <= 1, "what was open is closed")
