"""Programs that walk a mount of many arrays, several at once, and archives of a mount that are put back."""

import contextlib
import io
import json
import os
import random
import subprocess
from pathlib import Path

import numpy as np
import pytest
from conftest import SEED
from harness import mounted, needs_command, run, shell

# AFBFS_WALKS=1000 for a long run.
COUNT = int(os.environ.get("AFBFS_WALKS", "200"))
TYPES = ["<f8", ">i2", "u1", "<c8", "<f4", "S5"]
NEEDLE = b"needle"
# What the daemon may have gained from the second walk in kB, whatever there is to walk over.
MEMORY = 2048

WALKS = {
    "find": 'find "$1" -ls',
    "du": 'du -a "$1"',
    "ls": 'ls -lR "$1"',
    "grep": f'grep -r -l {NEEDLE.decode()} "$1"',
    "tar": 'tar -cf - -C "$1" . | wc -c',
    "cp": 'cp -r "$1/d0" "$2/copied"',
    "rsync": 'rsync -a "$1/d1" "$2/synced"',
}


def saved(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def a_container(arrays):
    """A file of safetensors; its arrays can be written."""
    head, body = {}, b""
    for name, array in arrays.items():
        start = len(body)
        body += array.tobytes()
        head[name] = {"dtype": "F64", "shape": list(array.shape), "data_offsets": [start, len(body)]}
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + body


def make_tree(source, count):
    """Nested folders of arrays, containers and files that are refused; what there is to read of each array, by its path."""
    wanted = {}
    for number in range(count):
        folder = Path(f"d{number % 5}", f"e{number // 5 % 9}", f"f{number // 700}")
        (source / folder).mkdir(parents=True, exist_ok=True)
        name = folder / f"a{number}"
        dtype = TYPES[number % len(TYPES)]
        elements = (np.arange(6) + number % 90).astype(dtype).reshape(2, 3)
        if number % 50 == 47:
            arrays = {"x": np.arange(4.0) + number, "y": np.ones((2, 2)) * number}
            (source / f"{name}.safetensors").write_bytes(a_container(arrays))
            wanted.update({f"{name}/{key}": array.tobytes() for key, array in arrays.items()})
        elif number % 50 == 48:
            (source / f"{name}.npy").write_bytes(saved(elements)[:-3])
        elif number % 50 == 49:
            np.savez_compressed(source / f"{name}.npz", x=elements)
        else:
            if number % 50 == 6:
                elements = np.frombuffer(NEEDLE, "u1").reshape(2, 3)
            (source / f"{name}.npy").write_bytes(saved(elements))
            wanted[str(name)] = elements.tobytes()
    return wanted


def wander(root, chance, steps):
    """Looks into folders at random, as far down as they go."""
    folders = [os.fspath(root)]
    for _ in range(steps):
        folder = chance.choice(folders)
        with os.scandir(folder) as entries:
            for entry in entries:
                entry.stat()
                if entry.is_dir() and len(folders) < 1000:
                    folders.append(entry.path)
        if chance.random() < 0.3:
            folders.remove(folder)
        folders = folders or [os.fspath(root)]


def walk(mnt, target, turn):
    """All of them at once; gives what each has printed."""
    target.mkdir()
    programs = {}
    printed = {}
    try:
        for name, script in WALKS.items():
            with open(target / f"{name}.out", "wb") as out, open(target / f"{name}.err", "wb") as err:
                words = ["bash", "-o", "pipefail", "-c", script, "bash", mnt, target]
                programs[name] = subprocess.Popen(words, stdout=out, stderr=err)
        wander(mnt.path, random.Random(SEED + turn), COUNT // 2)
        for name, program in programs.items():
            status = program.wait(60 + COUNT // 4)
            complaints = (target / f"{name}.err").read_bytes()
            assert (status, complaints) == (0, b""), f"{name}: {complaints[-2000:]}"
            printed[name] = (target / f"{name}.out").read_bytes()
    finally:
        for program in programs.values():
            with contextlib.suppress(ProcessLookupError):
                program.kill()
            program.wait()
    return printed


@pytest.mark.timeout(0 if COUNT > 200 else 120)
def test_walks_over_many_arrays_end_and_take_no_memory_a_second_time(source, scratch):
    needs_command("rsync")
    wanted = make_tree(source, COUNT)
    memory = []
    with mounted(source) as mnt:
        if COUNT > 200:
            mnt.spare()
        for turn in range(2):
            target = scratch / f"turn{turn}"
            printed = walk(mnt, target, turn)
            memory.append(mnt.status("RssAnon"))
        stats = mnt.stats()
        listed = [line for line in printed["find"].splitlines() if b"/.afbfs" not in line]
        print(f"{COUNT} files, {len(listed)} names: RssAnon {memory} kB after each turn, {stats['inodes']} inodes")
        matches = {os.path.relpath(line, os.fsencode(mnt)) for line in printed["grep"].splitlines()}
        assert {f"{name}/data".encode() for name, data in wanted.items() if data == NEEDLE} <= matches
        assert stats["faults"] == 0
        for name, data in wanted.items():
            for place in {"d0": ["copied"], "d1": ["synced/d1"]}.get(name[:2], []):
                assert (target / place / name[3:] / "data").read_bytes() == data
        assert memory[1] - memory[0] < MEMORY, memory


# --- and back


@pytest.fixture(scope="module")
def archive(module_scratch):
    """A folder with `source`, an archive of a mount of it, and a copy; and what is in the files of the source."""
    source = module_scratch / "source"
    wanted = make_tree(source, 50)
    with mounted(source) as mnt:
        made = shell('tar -cf "$2/all.tar" -C "$1" --exclude=./.afbfs . && cp -r "$1" "$2/copy"', mnt, module_scratch)
        assert (made.returncode, made.stderr) == (0, b"")
    return module_scratch, wanted, content(path for path in source.rglob("*") if path.is_file())


@pytest.fixture
def zeroed(archive):
    """The same mounted, all elements zeroed."""
    folder, wanted, before = archive
    for path, data in before.items():
        path.write_bytes(data)
    with mounted(folder / "source") as mnt:
        for name, data in wanted.items():
            mnt.write(f"{name}/data", bytes(len(data)))
        blank = content(before)
        assert sum(blank[path] != before[path] for path in before) == 48
        yield mnt, before, blank


def content(files):
    return {path: path.read_bytes() for path in files}


@pytest.mark.parametrize("members", ["*/data", "*/row/*", "*/T/data"])
def test_an_archive_put_back_in_place_restores_every_byte(archive, zeroed, members):
    mnt, before, _ = zeroed
    answer = run("tar", "-xf", archive[0] / "all.tar", "-C", mnt, "--overwrite", "--wildcards", members)
    assert (answer.returncode, answer.stderr) == (0, b"")
    assert content(before) == before


def test_an_archive_put_back_by_new_files_changes_nothing(archive, zeroed):
    """Without --overwrite tar removes a file first. The facts cannot be written at all."""
    mnt, before, blank = zeroed
    answer = run("tar", "-xf", archive[0] / "all.tar", "-C", mnt, "--wildcards", "*/data")
    assert answer.returncode == 2 and b"Cannot open: File exists" in answer.stderr
    assert content(before) == blank
    answer = run("tar", "-xf", archive[0] / "all.tar", "-C", mnt, "--overwrite", "--wildcards", "*/shape")
    assert answer.returncode == 2 and b"/shape: Cannot open: " in answer.stderr
    assert content(before) == blank


@pytest.mark.parametrize("flags", [["-rc"], ["-rcW"], ["-rI", "--include=*/", "--include=data", "--exclude=*"]])
def test_rsync_in_place_restores_every_byte(archive, zeroed, flags):
    needs_command("rsync")
    mnt, before, _ = zeroed
    answer = run("rsync", *flags, "--inplace", "--exclude=/.afbfs", f"{archive[0]}/copy/", f"{mnt.path}/")
    assert (answer.returncode, answer.stderr) == (0, b"")
    assert content(before) == before


def test_rsync_that_renames_is_refused_and_changes_nothing(archive, zeroed):
    needs_command("rsync")
    mnt, before, blank = zeroed
    answer = run("rsync", "-rc", "--exclude=/.afbfs", f"{archive[0]}/copy/", f"{mnt.path}/")
    assert answer.returncode == 23
    assert b"mkstemp" in answer.stderr and b"failed: Operation not permitted" in answer.stderr
    assert content(before) == blank
