"""The id_ranges table: which of the host's user and group ids each container has for itself.

Its schema is `engine.metadata.containers.ID_RANGES`: a row is written with the container's record and deleted with it.
Imported only for containers with ids of their own. Containers that were given a range share none of it
with another; one whose map was written by hand may name any ids, and what it names is given to nobody else meanwhile.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

Range = tuple[int, int]
"""The first id, and how many."""


def claim(connection: sqlite3.Connection, container_id: str, ranges: Iterable[Range]) -> None:
    """Note that a container has these ids."""
    rows = [(container_id, *one) for one in sorted(set(ranges))]
    connection.executemany("INSERT INTO id_ranges VALUES (?, ?, ?)", rows)


def free(connection: sqlite3.Connection, pool: Iterable[Range], size: int) -> int | None:
    """Return the first of ``size`` ids in a row that lie in the pool and that no container has; None when all are."""
    taken = connection.execute("SELECT first, first + size FROM id_ranges ORDER BY first").fetchall()
    for start, length in pool:
        first = start
        for begin, end in taken:
            if begin >= first + size:
                break
            first = max(first, end)
        if first + size <= start + length:
            return first
    return None
