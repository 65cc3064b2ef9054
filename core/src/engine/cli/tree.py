"""Trees for people, in lines that fit the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from engine.cli.output import terminal_width, write
from engine.cli.terminal import printable
from engine.tuples import NamedTuple


class Branch(NamedTuple):
    """A title, and the leaves below it: each a label for the left column (may be empty) and a text."""

    title: str
    leaves: Sequence[tuple[str, str]]


def write_tree(title: str, branches: Sequence[Branch]) -> None:
    """Print a tree; on a terminal, texts that are too long go on in the next line, in a pipe each is one line."""
    width = terminal_width() if sys.stdout.isatty() else 0
    for line in lines(title, branches, width):
        write(line)


def lines(title: str, branches: Sequence[Branch], width: int = 0) -> Iterator[str]:
    """Yield the tree's lines. ``width`` 0 is no limit."""
    column = max((len(label) for branch in branches for label, _text in branch.leaves), default=0)
    yield from _wrapped("", "", printable(title), width)
    for number, branch in enumerate(branches):
        last = number == len(branches) - 1
        yield f"{'└' if last else '├'}─ {printable(branch.title)}"
        stem = "   " if last else "│  "
        for position, (label, text) in enumerate(branch.leaves):
            end = position == len(branch.leaves) - 1
            first = f"{stem}{'└' if end else '├'}─ {printable(label):{column}}{'  ' if column else ''}"
            rest = f"{stem}{' ' if end else '│'}{' ' * (len(first) - len(stem) - 1)}"
            yield from _wrapped(first, rest, printable(text), width)


def _wrapped(first: str, rest: str, text: str, width: int) -> Iterator[str]:
    room = width - len(first)
    if not width or room < 20:
        yield f"{first}{text}".rstrip()
        return
    head = first
    while len(text) > room:
        cut = text.rfind(" ", 1, room + 1)
        cut = cut if cut > 0 else room
        yield f"{head}{text[:cut]}".rstrip()
        head, text = rest, text[cut:].lstrip()
    yield f"{head}{text}".rstrip()
