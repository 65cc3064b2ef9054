"""Tables that fit the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from engine.cli import terminal
from engine.cli.terminal import BOLD, painted

_GAP = 3
_NARROWEST = 8

Colours = Mapping[str, Callable[[Mapping[str, Any]], str]]
"""The fields that have colours, and what gives each one's for a row."""


def table(
    rows: Iterable[Mapping[str, Any]],
    headings: Mapping[str, str],
    width: int = 0,
    flexible: str = "",
    colours: Colours | None = None,
) -> list[str]:
    """Return the lines of a table. ``width`` 0 is no limit; else the column ``flexible`` gives way, then the widest.

    Where that is not enough, each row becomes a paragraph with a field in each line. With ``colours``, perhaps none,
    headings are bold.
    """
    rows = list(rows)
    cells = [[terminal.printable(str(row.get(name, ""))) for name in headings] for row in [headings, *rows]]
    widths = [max(terminal.width(line[column]) for line in cells) for column in range(len(headings))]
    if width:
        first = [*headings].index(flexible) if flexible in headings else -1
        _narrow(widths, sum(widths) + _GAP * (len(widths) - 1) - width, first)
    if width and sum(widths) + _GAP * (len(widths) - 1) > width:
        return _paragraphs(cells, width)
    bold = "" if colours is None else BOLD
    painting = [[bold] * len(widths), *([_colour(row, name, colours or {}) for name in headings] for row in rows)]
    return [_line(line, widths, paints) for line, paints in zip(cells, painting, strict=True)]


def _paragraphs(cells: list[list[str]], width: int) -> list[str]:
    """Return a line for each field, and an empty one between two rows."""
    names, *rows = cells
    paragraphs = [[f"{name}: {cell}" for name, cell in zip(names, row, strict=True) if cell] for row in rows]
    lines = [line for paragraph in paragraphs for line in ("", *paragraph)][1:]
    return [terminal.cut(line, width) for line in lines]


def _line(cells: list[str], widths: list[int], colours: list[str]) -> str:
    line, room = "", 0
    for cell, size, colour in zip(cells, widths, colours, strict=True):
        text = terminal.cut(cell, size)
        if text:
            line += " " * room + painted(text, colour)
            room = 0
        room += size - terminal.width(text) + _GAP
    return line


def _colour(row: Mapping[str, Any], name: str, colours: Colours) -> str:
    return colours[name](row) if name in colours else ""


def _narrow(widths: list[int], excess: int, first: int) -> None:
    """Take what is too much off the column ``first`` (-1: none), then off whichever is the widest."""
    for _ in range(excess):
        narrowed = first if first >= 0 and widths[first] > _NARROWEST else widths.index(max(widths))
        if widths[narrowed] <= _NARROWEST:
            return
        widths[narrowed] -= 1
