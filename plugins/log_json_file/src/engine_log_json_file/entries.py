"""One line of the file back to an entry: the reader's half of the format."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from engine.contracts.logs import Entry

_STREAMS = ("stdout", "stderr")


def parse(line: bytes) -> Entry | None:
    """Return the entry, or None for what is none: a line that a crash cut short, or something else's."""
    try:
        found: Any = json.loads(line)
        log, stream, time = found["log"], found["stream"], found["time"]
        if stream not in _STREAMS:
            return None
        return Entry(_nanoseconds(time), stream, _bytes(log))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def ends_line(entry: Entry) -> bool:
    """Return whether the entry ends a line: without a line end it is a piece, and more may follow."""
    return entry.data.endswith(b"\n")


def _bytes(log: str) -> bytes:
    try:
        return log.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        # A lone surrogate that stands for no byte: someone else wrote it.
        return log.encode("utf-8", "replace")


def _nanoseconds(time: str) -> int:
    """Return the nanoseconds since the epoch of an RFC 3339 time in UTC, with up to nine digits of fraction."""
    second, _dot, fraction = time.removesuffix("Z").partition(".")
    return _seconds(second) * 1_000_000_000 + int(fraction[:9].ljust(9, "0"))


@lru_cache(maxsize=16)
def _seconds(time: str) -> int:
    from calendar import timegm  # for readers of a log; a container that is started only writes

    date, _t, clock = time.partition("T")
    return timegm((*map(int, date.split("-")), *map(int, clock.split(":"))))
