"""Colours are for people's eyes: never in a pipe, never where somebody said so, and never in the way of the columns."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest

from engine.cli.tables import table
from engine.cli.terminal import GREEN, RED, coloured, painted

ROWS = [{"ID": "1", "Status": "Up", "Good": True}, {"ID": "22", "Status": "Exited (1) for long", "Good": False}]
HEADINGS = {"ID": "ID", "Status": "STATUS", "Last": "LAST"}


@pytest.fixture
def terminal() -> Iterator[int]:
    master, slave = os.openpty()
    yield slave
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize(
    ("variables", "on_terminal", "in_pipe"),
    [
        ({"TERM": "xterm"}, True, False),
        ({"TERM": "dumb"}, False, False),
        ({}, False, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, False),
        ({"CLICOLOR_FORCE": "1"}, True, True),
        ({"CLICOLOR_FORCE": "0", "TERM": "xterm"}, True, False),
        ({"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, False, False),
    ],
)
def test_where_there_are_colours(
    variables: dict[str, str], on_terminal: bool, in_pipe: bool, terminal: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TERM", "NO_COLOR", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    reading, writing = os.pipe()
    try:
        assert (coloured(terminal), coloured(writing)) == (on_terminal, in_pipe)
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("width", [0, 30, 20, 10])
def test_colours_take_no_room(width: int) -> None:
    colours = {"Status": lambda row: GREEN if row["Good"] else RED}
    lines = table(ROWS, HEADINGS, width, "Status", colours)
    plain = [re.sub(r"\x1b\[[0-9]*m", "", line) for line in lines]
    assert plain == table(ROWS, HEADINGS, width, "Status")
    assert plain == [line.rstrip() for line in plain]
    assert (painted("Up", GREEN) in lines[1]) == (width != 10)
