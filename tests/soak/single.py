"""The program fsx, which tests file systems, on single views: reads, writes and mappings in any order, each compared."""

import shutil
import subprocess
from pathlib import Path

import numpy as np

from shown import make_arrays

# Of a view the size is fixed, as of a device: nothing is made longer or shorter, and no hole is punched.
CONFIGURATION = """
blockmode = true

[opsize]
min = 1
max = 9000

[weights]
read = 10
write = 10
mapread = 10
mapwrite = 10
sendfile = 5
copy_file_range = 3
invalidate = 1
fsync = 1
fdatasync = 1
posix_fadvise = 1
truncate = 0
punch_hole = 0
"""


def program():
    """Where fsx is; nothing if it is not there."""
    installed = Path(__file__).resolve().parents[2] / ".venv/fsx/bin/fsx"
    return installed if installed.exists() else shutil.which("fsx")


def run(mnt, folder, scratch, rng, cache, operations, views=None):
    """Runs fsx on each plain view, or on some, one after the other. Gives the number of operations."""
    arrays = make_arrays(folder, rng)
    plain = [shown for _, found in arrays for shown in found if shown.is_plain]
    for shown in plain if views is None else rng.choice(plain, views, replace=False):
        # What is stored to a mapping of a whole file is not seen by sendfile(2): README, `--cache`.
        sends = cache != "pages" or not shown.is_whole
        (scratch / "fsx.toml").write_text(CONFIGURATION if sends else CONFIGURATION.replace("sendfile = 5", "sendfile = 0"))
        before = np.frombuffer(shown.array.path.read_bytes(), np.uint8)
        seed = str(rng.integers(2**31))
        command = [program(), "-f", scratch / "fsx.toml", "-P", scratch, "-N", str(operations), "-S", seed]
        done = subprocess.run([*command, mnt / shown.path], capture_output=True, text=True)
        assert done.returncode == 0, f"{shown.path}: {(done.stdout + done.stderr)[-4000:]}"
        changed = np.flatnonzero(before != np.frombuffer(shown.array.path.read_bytes(), np.uint8))
        assert np.isin(changed, shown.positions).all(), f"{shown.path}: fsx changed bytes of other elements"
    return operations * (len(plain) if views is None else views)
