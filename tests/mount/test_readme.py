"""What the README says: its commands print what it shows, and its promises lead to tests that exist."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness import afbfs, binary, cleared

TOP = Path(__file__).resolve().parents[2]
README = (TOP / "README.md").read_text()

# Programs that no other test needs: a recipe is skipped where its program is missing.
OPTIONAL = {
    "convert", "gdal_translate", "gdalinfo", "gfortran", "gnuplot", "identify", "jq", "octave-cli", "Rscript", "sox", "soxi",
    "sqlite3",
}


def blocks(language, text=README):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def sessions():
    """[(block of commands, program that makes the arrays of its section)]. Those of the recipes are there in all sections."""
    [samples, *_] = blocks("python")
    sections = re.split(r"^##+ ", README, flags=re.MULTILINE)
    made = [(section, "".join(blocks("python", section))) for section in sections]
    return [
        (block, own if own == samples else samples + own) for section, own in made for block in blocks("console", section)
    ]


def steps(block):
    """[(command, output)] of a block in which commands stand behind a `$`."""
    parts = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)
    assert parts[0] == "", f"no command before {parts[0]!r}"
    return list(zip(parts[1::2], parts[2::2], strict=True))


def lines(text):
    """What can be seen of an output."""
    return [line.rstrip() for line in text.strip("\n").splitlines() if line.strip()]


def words(block):
    return {word for command, _ in steps(block) for word in re.findall(r"[\w-]+", command)}


@pytest.fixture
def desk(scratch):
    """A folder with room for arrays in `data`, and the environment in which the command is called afbfs."""
    for folder in ["data", "bin"]:
        (scratch / folder).mkdir()
    [program] = blocks("fortran")
    (scratch / "rows.f90").write_text(program)
    (scratch / "bin/afbfs").symlink_to(binary())
    path = os.pathsep.join([str(scratch / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    return scratch, os.environ | {"PATH": path, "LC_ALL": "C.UTF-8", "HOME": str(scratch)}


@pytest.mark.parametrize("block, samples", [pytest.param(*pair, id=steps(pair[0])[0][0].split()[0]) for pair in sessions()])
def test_its_commands_print_what_it_shows(desk, block, samples):
    folder, environment = desk
    for program in OPTIONAL & words(block):
        if not shutil.which(program):
            assert not os.environ.get("AFBFS_TOOLS"), f"{program} is not installed"
            pytest.skip(f"{program} is not installed")
    subprocess.run([sys.executable, "-c", samples], cwd=folder, check=True)
    with cleared(folder / "mnt") as mnt:
        mounts_itself = "afbfs mount" in block
        if not mounts_itself:
            (folder / "mnt").mkdir()
            assert afbfs("mount", folder / "data", mnt).returncode == 0
            mnt.watch()
        for command, expected in steps(block):
            done = subprocess.run(
                ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
            )
            assert done.returncode == 0, f"{command}: {done.stderr}"
            assert lines(done.stdout) == lines(expected), command
        if not mounts_itself:
            mnt.unmount()


def test_its_links_lead_to_files_and_its_tests_exist():
    places = dict(re.findall(r"^\[(\w+)\]: (\S+)$", README, re.MULTILINE))
    links = re.findall(r"\[([^\[\]]+)\](?:\[(\w+)\]|\(([^)#]+)\))", README)
    assert len(links) > 80
    for text, reference, path in links:
        file = TOP / (places[reference] if reference else path)
        assert file.is_file(), f"[{text}]: there is no {file}"
        if text.startswith("`") and file.suffix in {".py", ".rs"} and not text.endswith(".py`"):
            assert re.search(rf"\b(def|fn) {text.strip('`')}\(", file.read_text()), f"{file} has no test {text}"


def test_its_pictures_are_there_and_small():
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert len(pictures) == 4
    assert all((TOP / picture).stat().st_size < 30_000 for picture in pictures)


def test_its_short_table_of_figures_is_a_part_of_the_long_one():
    short, long = (README.split(f"\n{title}\n")[1].split("\n## ")[0].split("\n### ")[0] for title in ("### In figures", "## Speed"))
    rows = re.findall(r"^\|.*\|$", short, re.MULTILINE)[2:]
    assert len(rows) == 6
    assert set(rows) <= set(long.splitlines())


def test_its_table_of_contents_is_complete():
    anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^##+ (.*)$", README, re.MULTILINE)}
    linked = set(re.findall(r"\]\(#([^)]+)\)", README))
    assert linked <= anchors, linked - anchors
    assert anchors - linked <= {"contents", "license"}
