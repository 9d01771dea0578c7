"""What the tests of `--cow` share."""

import hashlib
import json
import os
import signal

import numpy as np

from harness import afbfs, eventually


def state(folder):
    """All that must stay of a folder's files: names, bytes, modes, times; that of access, too, which this does not move."""
    found = {}
    for path in sorted(folder.rglob("*")):
        stat = path.stat()
        fixed = (stat.st_mtime_ns, stat.st_mode, stat.st_ino)
        if path.is_file():
            with open(os.open(path, os.O_RDONLY | os.O_NOATIME), "rb") as file:
                fixed += (hashlib.sha256(file.read()).hexdigest(), stat.st_atime_ns)
        found[str(path.relative_to(folder))] = fixed
    return found


def poke(mnt, array, view, offset, data):
    """Writes through a view, to the mount and to the model."""
    mnt.write(view.path, data, offset)
    array.write(view, offset, data)


def diff(*arguments):
    answer = afbfs("diff", "--json", *arguments)
    assert answer.returncode == 0, answer.stderr.decode()
    return json.loads(answer.stdout)


def commit(*arguments):
    answer = afbfs("commit", *arguments)
    assert answer.returncode == 0, answer.stderr.decode()
    return answer.stdout.decode()


def end_suddenly(mnt):
    os.kill(mnt.pid, signal.SIGKILL)
    eventually(lambda: not mnt.is_alive(), "the daemon ends")
    mnt.clear()


def zarr_array(source, fill=-1):
    """An array of 4 x 4 chunks, of which one exists."""
    folder = source / "z.zarr"
    folder.mkdir()
    (folder / ".zarray").write_text(json.dumps({
        "zarr_format": 2, "shape": [40, 40], "chunks": [10, 10], "dtype": "<i4", "compressor": None,
        "fill_value": fill, "filters": None, "order": "C",
    }))
    (folder / "1.2").write_bytes(np.arange(100, dtype="<i4").tobytes())
    model = np.full((40, 40), fill, "<i4")
    model[10:20, 20:30] = np.arange(100).reshape(10, 10)
    return model
