"""The last lines of a log, also of lines that came in pieces."""

from __future__ import annotations

import pytest

from engine.containers.window import between, last_lines
from engine.contracts.logs import Entry


def entries(*pieces: str) -> list[Entry]:
    return [Entry(moment, "stdout", piece.encode()) for moment, piece in enumerate(pieces)]


def text(found: list[Entry]) -> str:
    return b"".join(entry.data for entry in found).decode()


PIECES = ("a\n", "b", "b\n", "c\n", "d", "d")


@pytest.mark.parametrize(
    ("pieces", "count", "expected"),
    [
        (PIECES, 0, ""),
        (PIECES, 1, "dd"),
        (PIECES, 2, "c\ndd"),
        (PIECES, 3, "bb\nc\ndd"),
        (PIECES, 4, "a\nbb\nc\ndd"),
        (PIECES, 9, "a\nbb\nc\ndd"),
        (PIECES[:4], 1, "c\n"),
        (PIECES[:4], 2, "bb\nc\n"),
        ((), 3, ""),
    ],
)
def test_the_last_lines(pieces: tuple[str, ...], count: int, expected: str) -> None:
    assert text(list(last_lines(entries(*pieces), count))) == expected


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [(None, None, "0123"), (1, None, "123"), (None, 2, "012"), (1, 2, "12"), (3, 1, ""), (9, None, "")],
)
def test_both_ends_are_included(since: int | None, until: int | None, expected: str) -> None:
    assert text(list(between(entries("0", "1", "2", "3"), since, until))) == expected
