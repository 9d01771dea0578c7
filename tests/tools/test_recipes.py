"""Recipes: their commands print what they show."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from harness import afbfs, binary, cleared
from tools import needs

RECIPES = (Path(__file__).parent / "recipes.md").read_text()
PROGRAMS = {"awk", "convert", "gdal_translate", "gdalinfo", "gnuplot", "identify", "jq", "octave-cli", "Rscript", "sox", "soxi", "sqlite3"}


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", RECIPES, re.MULTILINE | re.DOTALL)


def steps(block):
    """[(command, output)] of a block in which commands stand behind a `$`."""
    parts = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)
    assert parts[0] == "", f"no command before {parts[0]!r}"
    return list(zip(parts[1::2], parts[2::2], strict=True))


def lines(text):
    """What can be seen of an output."""
    return [line.rstrip() for line in text.strip("\n").splitlines() if line.strip()]


def programs(block):
    words = {word.strip(";") for command, _ in steps(block) for word in shlex.split(command)}
    return sorted(words & PROGRAMS)


@pytest.mark.parametrize("block", blocks("console"), ids=lambda block: programs(block)[0] if programs(block) else "shell")
def test_recipe(scratch, block):
    needs(*programs(block))
    for folder in ["data", "mnt", "bin"]:
        (scratch / folder).mkdir()
    [samples] = blocks("python")
    subprocess.run([sys.executable, "-c", samples], cwd=scratch, check=True)
    (scratch / "bin/afbfs").symlink_to(binary())
    path = os.pathsep.join([str(scratch / "bin"), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "LC_ALL": "C.UTF-8", "HOME": str(scratch)}
    with cleared(scratch / "mnt") as mnt:
        assert afbfs("mount", scratch / "data", mnt).returncode == 0
        mnt.watch()
        for command, expected in steps(block):
            done = subprocess.run(
                ["bash", "-c", command], cwd=scratch, env=environment, capture_output=True, text=True, timeout=60, check=False
            )
            assert done.returncode == 0, f"{command}: {done.stderr}"
            assert lines(done.stdout) == lines(expected), f"{command}: {done.stdout}"
        mnt.unmount()
