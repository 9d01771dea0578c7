"""The live display of `afbfs stat --watch`, on a terminal that tmux keeps."""

import contextlib
import itertools
import os
import re
import warnings

import pytest

from harness import binary, eventually, mounted, needs_command, run
from oracle import save_random

WIDTH, HEIGHT = 140, 32
# Each terminal has a server of its own: the last one may not have ended yet.
NUMBERS = itertools.count()


@pytest.fixture
def grid(source, rng):
    return save_random(source / "a.npy", rng, "<f8", (600, 512))


class Terminal:
    """A terminal of a fixed size in which a line of sh runs."""

    def __init__(self, name, script, environment):
        self._tmux = [needs_command("tmux"), "-L", name, "-f", "/dev/null"]
        words = [f"{key}={value}" for key, value in environment.items()]
        self("new-session", "-d", "-x", str(WIDTH), "-y", str(HEIGHT), "env", "-u", "NO_COLOR", *words, "sh", "-c", script)

    def __call__(self, *arguments):
        done = run(*self._tmux, *arguments)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def lines(self, *options):
        return self("capture-pane", "-p", *options).rstrip("\n").split("\n")

    def text(self, *options):
        return "\n".join(self.lines(*options))

    def keys(self, *keys):
        self("send-keys", *keys)

    def end(self):
        run(*self._tmux, "kill-server")


@contextlib.contextmanager
def watching(mnt, *options, **environment):
    """`afbfs stat --watch` on a terminal. After it: its status, and whether the terminal is as it was before."""
    try:
        needs_command("tmux")
    except pytest.skip.Exception:
        warnings.warn("tmux is missing: the live display is not tested (scripts/setup installs it)", stacklevel=2)
        raise
    script = f"stty -g >{mnt.path}.before; {binary()} stat {' '.join(options)} {mnt.path}; echo status $?;"
    script += f" stty -g >{mnt.path}.after; cmp {mnt.path}.before {mnt.path}.after && echo restored; sleep 1000"
    terminal = Terminal(f"afbfs-{os.getpid()}-{next(NUMBERS)}", script, environment)
    try:
        eventually(lambda: "q ends" in terminal.text(), "the display is there")
        yield terminal
    finally:
        terminal.end()
        for name in ["before", "after"]:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{mnt.path}.{name}")


def test_it_shows_what_is_done_as_it_is_done(grid):
    with mounted(grid.path.parent) as mnt, mnt.open("a/data", os.O_RDWR) as fd:
        with watching(mnt, "--watch=0.2", "--arrays") as terminal:
            first = terminal.lines()
            assert first[0].startswith(f"{mnt.path}: up ") and f"process {mnt.pid}; every 0.2 s; q ends" in first[0]
            for i in range(300):
                assert len(os.pread(fd, 4096, 4096 * i)) == 4096
            os.pwrite(fd, bytes(2048), 0)
            # 300 pages read, and two KiB written, of this array, whatever the display itself reads.
            row = r"^ +1\.17 MiB +\S+ \S+ +2\.00 KiB +\S+ \S+  a\.npy$"
            eventually(lambda: re.search(row, terminal.text(), re.MULTILINE), "the array's bytes are shown")
            # While nothing but the display itself goes on, nothing of the array is read.
            idle = r"^ +1\.17 MiB +0 B +2\.00 KiB +0 B  a\.npy$"
            eventually(lambda: re.search(idle, terminal.text(), re.MULTILINE), "the rates fall to zero")
            shown = terminal.text()
            assert re.search(r"^requests +total +/s +p50 +p90 +p99 +p99\.9 +max$", shown, re.MULTILINE), shown
            assert re.search(r"^write +1 +0 +- +- +- +- +-$", shown, re.MULTILINE), shown
            assert re.search(r"^read +\d+ +[\d.]+( +[\d.]+ (ns|us|ms|s)){5}$", shown, re.MULTILINE), shown
            assert re.search(r"^written +2\.00 KiB +0 B/s$", shown, re.MULTILINE), shown
            terminal.keys("q")
            eventually(lambda: "status 0" in terminal.text() and "restored" in terminal.text(), "q ends it")
            # What was on the screen before is there again.
            assert "requests" not in terminal.text()


@pytest.mark.parametrize("key", ["C-c", "q"])
def test_it_ends_and_leaves_the_terminal_as_it_was(grid, key):
    with mounted(grid.path.parent) as mnt, watching(mnt, "--watch") as terminal:
        terminal.keys(key)
        eventually(lambda: terminal.lines()[:2] == ["status 0", "restored"], "it ends")
        assert terminal("display-message", "-p", "#{alternate_on} #{cursor_flag} #{wrap_flag}").split() == ["0", "1", "1"]


def test_the_terminal_is_as_it_was_when_the_mount_goes(grid):
    with mounted(grid.path.parent) as mnt, watching(mnt, "--watch=0.2") as terminal:
        mnt.unmount()
        eventually(lambda: "restored" in terminal.text(), "it ends")
        assert "status 1" in terminal.text() and f"afbfs: {mnt.path}" in terminal.text()


def test_it_fits_the_terminal_whatever_its_size(grid):
    with mounted(grid.path.parent) as mnt, watching(mnt, "--watch=0.2", "--arrays") as terminal:
        whole = terminal.lines()
        assert "a" in whole[-1] and len(whole) < HEIGHT
        for width, height in [(40, 6), (200, 50), (WIDTH, 9)]:
            terminal("resize-window", "-x", str(width), "-y", str(height))
            def fits():
                lines = terminal.lines()
                is_whole = ("…" in lines[0]) == (width < len(whole[0])) and lines[0].startswith(str(mnt.path)[:10]) and lines[0].endswith("every 0.2 s; q ends")
                return is_whole and lines[2].startswith("requests") and lines
            lines = eventually(fits, "it is drawn anew")
            assert len(lines) <= height and max(map(len, lines)) <= width
            assert len(lines) == min(height, len(whole)) or height > len(whole)
        terminal("resize-window", "-x", str(WIDTH), "-y", str(HEIGHT))
        eventually(lambda: len(terminal.lines()) >= len(whole), "all of it is there again")


def test_colours_are_left_out_on_demand(grid):
    with mounted(grid.path.parent) as mnt:
        with watching(mnt, "--watch") as terminal:
            assert "\x1b[1m" in terminal.text("-e") and "\x1b[36m" in terminal.text("-e")
        with watching(mnt, "--watch", NO_COLOR="1") as terminal:
            assert "\x1b" not in terminal.text("-e")
