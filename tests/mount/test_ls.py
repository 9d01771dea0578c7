"""afbfs ls: a table for a screen, lines for programs, JSON; filtered and sorted."""

import fcntl
import json
import os
import pty
import re
import shlex
import signal
import struct
import subprocess
import termios

import numpy as np
import pytest

from harness import afbfs, binary, eventually, mounted, needs_root, shell, unavailable
from oracle import save_random

RECORD = [("temperature", "<f8"), ("humidity", ">i2", (2,)), ("a name that is rather long", "<f4")]

# name: type, shape, order; in the order of their names.
ARRAYS = {
    "big": (">f4", (300, 200), "C"),
    "cube": ("<u2", (2, 3, 4), "F"),
    "records": (RECORD, (3,), "C"),
    "scalar": ("<c16", (), "C"),
    "sub/deep": ("<f8", (7, 3), "C"),
    "sub/tiny": ("|u1", (2,), "C"),
}


@pytest.fixture(scope="module")
def folder(module_scratch):
    folder = module_scratch / "source"
    (folder / "sub").mkdir(parents=True)
    rng = np.random.default_rng(3)
    for name, (dtype, shape, order) in ARRAYS.items():
        save_random(folder / f"{name}.npy", rng, dtype, shape, order)
    (folder / "sick.npy").write_bytes(b"no array")
    np.savez_compressed(folder / "packed.npz", x=np.arange(3.0))
    return folder


def said(*arguments, **how):
    answer = afbfs("ls", *arguments, **how)
    assert (answer.returncode, answer.stderr) == (0, b""), answer.stderr.decode()
    return answer.stdout.decode()


def rows(*arguments, **how):
    """The cells of each line for programs, but for the titles."""
    lines = [line.split("\t") for line in said(*arguments, **how).splitlines()]
    assert lines[:1] in ([], [["NAME", "DTYPE", "SHAPE", "ORDER", "SIZE", "FORMAT"]])
    assert {len(line) for line in lines} <= {6}
    return lines[1:]


def names(*arguments, **how):
    return [row[0] for row in rows(*arguments, **how)]


def on_terminal(*arguments, columns=80, **environment):
    """What is printed on a terminal, and whether it is coloured."""
    lead, follow = pty.openpty()
    fcntl.ioctl(follow, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    plain = {key: value for key, value in os.environ.items() if key not in {"CI", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"}}
    command = [binary(), *map(os.fspath, arguments)]
    environment = {**plain, "TERM": "xterm-256color", **environment}
    with subprocess.Popen(command, stdin=follow, stdout=follow, stderr=follow, env=environment) as process:
        os.close(follow)
        pieces = []
        while True:
            try:
                piece = os.read(lead, 4096)
            except OSError:
                break
            if not piece:
                break
            pieces.append(piece)
    os.close(lead)
    assert process.returncode in (0, 1, 2)
    text = b"".join(pieces).decode().replace("\r\n", "\n")
    return re.sub(r"\x1b\[[0-9;]*m", "", text), "\x1b[" in text


# --- for programs


def test_lines_have_all_facts_and_nothing_is_shortened(folder):
    found = {row[0]: row[1:] for row in rows(folder)}
    for name, (dtype, shape, order) in ARRAYS.items():
        array = np.empty(shape, dtype)
        text = str(array.dtype.descr) if array.dtype.names else array.dtype.str
        size = str(array.nbytes)
        assert found[name] == [text, "x".join(map(str, shape)) or "()", order, size, "npy"], name


def test_what_is_not_served_comes_last_and_says_why(folder):
    found = rows(folder)
    assert [row[0] for row in found] == [*ARRAYS, "packed/x", "sick.npy"]
    for row in found[-2:]:
        assert row[1:5] == ["-"] * 4 and row[5].startswith("not served: ")
    assert "afbfs unpack" in found[-2][5]


def test_errors_alone(folder):
    assert names("--errors", folder) == ["packed/x", "sick.npy"]
    assert [entry["file"] for entry in json.loads(said("--errors", "--json", folder))] == ["packed.npz", "sick.npy"]
    assert rows("--errors", folder / "big.npy") == []


def test_awk_adds_up_sizes(folder):
    done = shell("""$1 ls $2 | awk -F '\\t' 'NR > 1 { bytes += $5 } END { print bytes }'""", binary(), folder)
    assert int(done.stdout) == sum(np.empty(shape, dtype).nbytes for dtype, shape, _ in ARRAYS.values())


def test_names_cannot_break_lines(source, rng):
    save_random(source / "a b.npy", rng, "u1", (1,))
    save_random(source / "new\nline\tand\\tab\x1b[31m.npy", rng, "u1", (1,))
    assert names(source) == ["a b", "new\\nline\\tand\\\\tab\\u{1b}[31m"]


def test_of_several_paths_each_name_says_of_which(folder):
    assert names(folder / "sub", folder / "big.npy", folder / "packed.npz") == [
        f"{folder}/sub/deep", f"{folder}/sub/tiny", f"{folder}/big.npy", f"{folder}/packed.npz/x",
    ]


def test_a_reader_that_goes_is_no_failure(source, rng):
    for number in range(3000):
        save_random(source / f"{number:05}.npy", rng, "u1", (1,))
    for options in [[], ["--json"], ["--sort", "size"]]:
        with subprocess.Popen([binary(), "ls", *options, source], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as ls:
            assert ls.stdout.read(4)
            ls.stdout.close()
            assert ls.stderr.read() == b""
        assert ls.returncode == 0


# --- filters and order


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--dtype f4", ["big"]),
        ("--dtype '<f4'", []),
        ("--dtype f4be,u1", ["big", "sub/tiny"]),
        ("--dtype float", ["big", "sub/deep"]),
        ("--dtype float --dtype record", ["big", "records", "sub/deep"]),
        ("--dtype complex", ["scalar"]),
        ("--dtype uint", ["cube", "sub/tiny"]),
        ("--dtype number", ["big", "cube", "scalar", "sub/deep", "sub/tiny"]),
        ("--ndim 3", ["cube"]),
        ("--ndim 0,1", ["records", "scalar", "sub/tiny"]),
        ("--min-size 1K", ["big"]),
        ("--max-size 16 --ndim 0", ["scalar"]),
        ("--min-size 48 --max-size 168", ["cube", "records", "sub/deep"]),
        ("--name 'b*'", ["big"]),
        ("--name '*e*' --dtype number", ["cube", "sub/deep"]),
        ("--name 'sub/*' --name cube", ["cube", "sub/deep", "sub/tiny"]),
        ("--name '**/*' --dtype f8", ["sub/deep"]),
        ("--format npz", ["packed/x"]),
        ("--format npy --ndim 2", ["big", "sub/deep"]),
        ("--name 's*k*'", ["sick.npy"]),
        ("--sort size --ndim 0,1,3", ["sub/tiny", "scalar", "cube", "records"]),
        ("--sort size --reverse --ndim 2,3", ["big", "sub/deep", "cube"]),
        ("--sort ndim --dtype number", ["scalar", "sub/tiny", "big", "sub/deep", "cube"]),
        ("--sort dtype --dtype f4,u1,u2", ["cube", "big", "sub/tiny"]),
        ("--sort path -r --dtype f4,u1,u2", ["sub/tiny", "cube", "big"]),
    ],
)
def test_filters_and_sorting(folder, options, expected):
    assert names(*shlex.split(options), folder) == expected
    listed = json.loads(said("--json", *shlex.split(options), folder))
    assert [entry.get("path", entry["file"]) for entry in listed] == expected


def test_json_is_that_of_the_mount_to_the_byte(folder):
    with mounted(folder) as mnt:
        assert said("--json", folder) == mnt.read(".afbfs/arrays.json").decode()
    assert said("--json", "--ndim", "9", folder) == "[]\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--dtype flaot", ["flaot", "did you mean float?"]),
        ("--format hdf", ["did you mean hdf5?", "npy"]),
        ("--sort sise", ["size"]),
        ("--min-size much", ["much", "64K"]),
        ("--name [", ["["]),
        ("--reverse", ["--sort"]),
        ("--sotr size", ["--sort"]),
    ],
)
def test_wrong_options_say_what_there_is(folder, options, words):
    answer = afbfs("ls", *options.split(), folder)
    assert (answer.returncode, answer.stdout) == (2, b"")
    message = answer.stderr.decode()
    assert message.startswith("afbfs: ")
    for word in words:
        assert word in message, message


# --- for a screen


@pytest.mark.parametrize("columns", [50, 60, 80, 120, 200])
def test_a_table_fits_the_screen(folder, columns):
    shown, is_coloured = on_terminal("ls", folder, columns=columns)
    table, _, refused = shown.partition("\nNot served:\n")
    lines = table.splitlines()
    assert max(map(len, lines)) <= columns
    assert [line.split()[0] for line in lines] == ["NAME", *ARRAYS]
    assert is_coloured
    [record] = [line for line in lines if line.startswith("records")]
    assert ("…" in record) == (columns < 130)
    assert re.match(r"records +\[\('t", record)
    assert [line.split(":")[0].strip() for line in refused.splitlines()] == ["packed/x", "sick.npy"]
    # The same without a terminal, and without colours.
    assert said("--width", str(columns), folder) == shown


def test_sizes_are_human_on_a_screen(folder):
    sizes = {line.split()[0]: line.split()[-2] for line in said("-w", "0", "--ndim", "2,3", folder).splitlines()}
    assert sizes == {"NAME": "SIZE", "big": "234K", "cube": "48", "sub/deep": "168"}


def test_wide_letters_take_two_columns(source, rng):
    save_random(source / ("数" * 40 + ".npy"), rng, "u1", (1,))
    table = said("-w", "60", source)
    [line] = [line for line in table.splitlines() if "数" in line]
    assert len(line) + line.count("数") <= 60 and line.count("…") == 1


@pytest.mark.parametrize(
    ("options", "environment", "expected"),
    [
        ([], {}, True),
        ([], {"NO_COLOR": "1"}, False),
        ([], {"CLICOLOR": "0"}, False),
        ([], {"TERM": "dumb"}, False),
        (["--color", "never"], {}, False),
        (["--color", "always"], {"NO_COLOR": "1"}, True),
    ],
)
def test_colours_where_they_are_wanted(folder, scratch, options, environment, expected):
    for command in [["ls", *options, folder], ["ls", *options, scratch / "missing"], ["info", *options, folder / "big.npy"]]:
        assert on_terminal(*command, **environment)[1] == expected, command


def test_help_is_coloured_on_a_terminal_alone(folder):
    assert on_terminal("ls", "--help")[1] and not on_terminal("ls", "--help", NO_COLOR="1")[1]
    assert on_terminal("ls", "--frobnicate")[1] and not on_terminal("ls", "--frobnicate", NO_COLOR="1")[1]
    assert "\x1b" not in said("--help")
    # Lines for programs have none, whatever is asked.
    assert "\x1b" in said("--color", "always", "--width", "0", folder)
    assert "\x1b" not in said("--color", "always", folder)


def test_the_examples_of_the_help_are_true(scratch, rng):
    (scratch / "data").mkdir()
    for name, shape in {"a": (4, 6), "hill": (40, 50)}.items():
        save_random(scratch / f"data/{name}.npy", rng, "<f4", shape)
    (scratch / "data/sick.npy").write_bytes(b"no array")
    (scratch / "bin").mkdir()
    (scratch / "bin/afbfs").symlink_to(binary())
    examples = re.findall(r"^  (afbfs ls .*)$", said("--help"), re.MULTILINE)
    assert len(examples) >= 6
    for line in examples:
        done = shell(line, cwd=scratch, env=os.environ | {"PATH": f"{scratch}/bin:{os.environ['PATH']}"})
        assert (done.returncode, done.stderr) == (0, b""), line
        assert done.stdout, line


def test_a_mount_lists_what_its_source_does(folder):
    with mounted(folder) as mnt:
        assert rows(mnt) == rows(folder)
        assert rows(mnt / "sub") == rows(folder / "sub")
        assert rows("--dtype", "float", mnt / "sub" / "deep") == [["deep", "<f8", "7x3", "C", "168", "npy"]]
        assert names("--ndim", "2", mnt / "sub", mnt / "big") == [f"{mnt.path}/sub/deep", f"{mnt.path}/big"]
        assert json.loads(said("--json", mnt)) == mnt.arrays()
        answer = afbfs("ls", mnt / "nope")
        assert answer.returncode == 1 and f"{mnt.path}/nope: there is no such" in answer.stderr.decode()


def test_a_mount_whose_process_has_died_is_told(folder):
    with mounted(folder) as mnt:
        os.kill(mnt.pid, signal.SIGKILL)
        eventually(lambda: not mnt.is_alive(), "the daemon ends")
        for command in [["ls", mnt], ["ls", mnt / "sub"], ["info", mnt / "big"], ["expr", mnt / "big/row/0"], ["diff", mnt], ["stat", mnt]]:
            answer = afbfs(*command)
            message = f"afbfs: {mnt.path}: the process of this mount has died; clear it with: afbfs umount {mnt.path}\n"
            assert (answer.returncode, answer.stdout, answer.stderr.decode()) == (1, b"", message), command
        mnt.clear()


def test_a_folder_that_cannot_be_read_is_no_empty_one(source, rng):
    needs_root()
    for name in ["a", "b", "c"]:
        (source / name).mkdir()
        save_random(source / name / "x.npy", rng, "<f8", (2,), "C")
    how = {"user": 65534, "group": 65534, "extra_groups": []}
    if afbfs("--version", **how).returncode:
        unavailable("another user cannot run afbfs")
    (source / "a").chmod(0o700)
    answer = afbfs("ls", source, **how)
    assert answer.returncode == 1 and [line.split("\t")[0] for line in answer.stdout.decode().splitlines()] == ["NAME", "b/x", "c/x"]
    said = "Permission denied (os error 13); what it holds is not listed\n"
    assert answer.stderr.decode() == f"afbfs: {source}/a: {said}"
    answer = afbfs("ls", source / "a", **how)
    assert (answer.returncode, answer.stdout, answer.stderr.decode()) == (1, b"", f"afbfs: {source}/a: {said}")
    (source / "c").chmod(0o700)
    assert "what it and 1 more hold is not listed" in afbfs("ls", source, **how).stderr.decode()
