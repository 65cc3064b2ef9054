"""What progress draws: lines for what is under way, numbers that people read, and nothing once it has ended."""

from __future__ import annotations

import os
from io import StringIO
from types import SimpleNamespace

import pytest

from engine.cli import progress as module
from engine.cli.progress import Progress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        self.now += 0.5
        return self.now


class Screen(StringIO):
    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        """Return the lines of the last drawing."""
        last = self.getvalue().rpartition("\r")[2].removesuffix("\x1b[J").removeprefix("\x1b[2A")
        return [line.removesuffix("\x1b[K") for line in last.split("\n")]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    screen = Screen()
    monkeypatch.setattr(module, "sys", SimpleNamespace(stderr=screen))
    monkeypatch.setattr(module, "monotonic", Clock())
    monkeypatch.setattr(os, "tcgetpgrp", lambda _fd: os.getpgrp())
    monkeypatch.setattr(os, "get_terminal_size", lambda _fd: os.terminal_size((64, 4)))
    monkeypatch.setenv("TERM", "xterm")
    return screen


def test_bytes_rate_and_time_left(screen: Screen) -> None:
    with Progress() as progress:
        for done in range(1, 9):
            progress("layer 1 of 1", done * 1_000_000, 90_000_000)
        [line] = screen.lines()
    assert line.split() == ["8MB/90MB", "1.75MB/s", "47s", "left", "layer", "1", "of", "1"]


def test_what_is_finished_goes_and_what_is_not_known_is_left_out(screen: Screen) -> None:
    digest = "sha256:" + "0123456789ab" + "f" * 52
    with Progress() as progress:
        progress("one", 5, 10)
        progress(digest, 2_000_000)
        assert [line.split()[-1] for line in screen.lines()] == ["one", "sha256:0123456789ab"]
        assert screen.lines()[1].split() == ["2MB", "0B/s", "sha256:0123456789ab"]
        progress("one", 10, 10)
        assert [line.split()[-1] for line in screen.lines()] == ["sha256:0123456789ab"]


def test_lines_fit_the_terminal(screen: Screen) -> None:
    with Progress() as progress:
        for number in range(9):
            progress(f"{number} 東京" + "x" * 100, 1)
        assert len(screen.lines()) == 3
        assert all(line.endswith("…") for line in screen.lines())
        assert "\x1b[2A" in screen.getvalue()
        assert max(map(len, screen.lines())) == 61


def test_nothing_is_drawn_after_the_end(screen: Screen) -> None:
    with Progress() as progress:
        progress("one", 1)
        assert screen.getvalue()
    assert screen.getvalue().endswith("\r\x1b[J")
    before = screen.getvalue()
    progress("one", 2)
    progress.end()
    assert screen.getvalue() == before


def test_quiet_is_silent(screen: Screen) -> None:
    with Progress(quiet=True) as progress:
        progress("one", 1)
    assert screen.getvalue() == ""
