"""Identity maps as typed: ``--userns map:…``, ``--uidmap`` and ``--gidmap``. Pure; raises `InvalidInput`.

A row is ``CONTAINER:HOST:SIZE``, as in podman-run(1): so many ids from CONTAINER inside are HOST and following outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.contracts.common import IdMap, IdMapping
from engine.spec.isolation import MAP
from engine.spec.refusal import refusal
from engine.spec.runtime import IdMappingRow

SIZE = 65536
"""Ids of a container with a range of its own: all that a name service or a file of an image usually has."""
_ROWS = 340
"""The kernel takes no more (user_namespaces(7))."""
_IDS = (1 << 32) - 1
"""4294967295 is no id: it stands for "leave it as it is"."""
_EXAMPLE = "0:100000:65536"


def parse_rows(texts: Iterable[str], flag: str) -> tuple[IdMapping, ...]:
    """Return the rows of one map, which must have one for 0 and name no id twice, inside or outside."""
    typed = tuple(texts)
    rows = tuple(_row(text, flag) for text in typed)
    if not rows:
        return ()
    whole = ",".join(typed)
    if len(rows) > _ROWS:
        raise refusal(flag, whole, f"has more rows than the kernel takes, {_ROWS}", _EXAMPLE)
    if not any(row.container == 0 for row in rows):
        raise refusal(flag, whole, "has no row for 0, the container's root", _EXAMPLE)
    for side in ("container", "host"):
        end = 0
        for first, size in sorted((getattr(row, side), row.size) for row in rows):
            if first < end:
                raise refusal(flag, whole, f"has the id {first} of the {side} twice", _EXAMPLE)
            end = first + size
    return rows


def _row(text: str, flag: str) -> IdMapping:
    parts = text.split(":")
    if len(parts) != 3 or not all(part.isascii() and part.isdecimal() for part in parts):
        raise refusal(flag, text, "is not of the form CONTAINER:HOST:SIZE, three numbers", _EXAMPLE)
    row = IdMapping(*map(int, parts))
    if row.size < 1 or max(row.container, row.host) + row.size > _IDS:
        raise refusal(flag, text, f"names no ids, or ids beyond {_IDS - 1}", _EXAMPLE)
    return row


def explicit(userns: str, users: Sequence[IdMapping], groups: Sequence[IdMapping]) -> IdMap | None:
    """Return the map that the user wrote down; of users alone, or groups alone, it holds for both, as in Podman."""
    if users or groups:
        return IdMap(tuple(users or groups), tuple(groups or users))
    if not userns.startswith(MAP):
        return None
    rows = parse_rows(userns.removeprefix(MAP).split(","), "--userns")
    return IdMap(rows, rows)


def range_from(first: int) -> IdMap:
    """Return the map of a container with the range of `SIZE` ids from ``first``."""
    rows = (IdMapping(0, first, SIZE),)
    return IdMap(rows, rows)


def is_identity(ids: IdMap) -> bool:
    """Return whether every id is itself outside, so that files need no map."""
    return all(row.container == row.host for rows in ids for row in rows)


def oci_rows(rows: Iterable[IdMapping]) -> list[IdMappingRow]:
    """Return the rows as the runtime specification has them."""
    return [{"containerID": row.container, "hostID": row.host, "size": row.size} for row in rows]
