"""A part of a log: what was written between two moments, and the last lines of that. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from engine.contracts.logs import Entry


def between(entries: Iterable[Entry], since: int | None, until: int | None) -> Iterator[Entry]:
    """Yield the entries from ``since`` to ``until`` (nanoseconds since the epoch), both included; None: no bound."""
    for entry in entries:
        if until is not None and entry.nanoseconds > until:
            return
        if since is None or entry.nanoseconds >= since:
            yield entry


def last_lines(entries: Iterable[Entry], count: int) -> Iterator[Entry]:
    """Yield the entries of the last ``count`` lines; an unfinished one at the end is a line too."""
    kept: deque[Entry] = deque()
    finished = 0
    for entry in entries:
        finished += bool(kept) and _ends_line(kept[-1])
        kept.append(entry)
        while kept and finished >= count:
            finished -= _ends_line(kept.popleft()) and bool(kept)
    yield from kept


def _ends_line(entry: Entry) -> bool:
    return entry.data.endswith(b"\n")
