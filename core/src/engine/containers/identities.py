"""Whose ids a container's are outside: a range of its own, a map as typed, or those of what it joins."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable

from engine.containers.engine import Engine
from engine.contracts.common import IdMap, IdMapping
from engine.errors import EngineError, InvalidInput, Unsupported
from engine.metadata import containers, id_ranges
from engine.metadata.containers import Record
from engine.metadata.id_ranges import Range
from engine.spec import idmaps
from engine.spec.isolation import HOST, NEW, joined_containers
from engine.spec.options import RunOptions

_OF_PROCESS = r"(/proc/[^/]+)/ns/user"


def proposed(engine: Engine, options: RunOptions) -> IdMap | None:
    """Return the identity map that a container with these options would get now; None for the host's ids.

    Takes nothing: until `claimed`, another container may be given the same range. Raises what `of_run` raises, and
    `EngineError` when no range is free.
    """
    if options.wishes()["user"] == NEW:
        return options.id_map() or _free(engine, engine.store.connection)
    return _joined(engine, options)


def claimed(engine: Engine, connection: sqlite3.Connection, record: Record) -> IdMap | None:
    """Return the map of a container that is about to be recorded in this transaction, its ids taken for it."""
    options = RunOptions.from_plain(record.options)
    if options.wishes()["user"] != NEW:
        return record.id_map
    ids = options.id_map() or _free(engine, connection)
    id_ranges.claim(connection, record.id, _ranges((*ids.uids, *ids.gids)))
    return ids


def of_run(engine: Engine, record: Record) -> IdMap | None:
    """Return the map of a container that is about to start: its own, or that of what it joins now.

    Raises `NotFound` and `Conflict` for a container to join, `Unsupported` for a namespace whose map nobody can tell.
    """
    options = RunOptions.from_plain(record.options)
    return record.id_map if options.wishes()["user"] == NEW else _joined(engine, options)


def mapped(ids: IdMap | None) -> IdMap | None:
    """Return the map that files need: none where every id is itself."""
    return None if ids is None or idmaps.is_identity(ids) else ids


def _free(engine: Engine, connection: sqlite3.Connection) -> IdMap:
    from engine.containers import idpool  # for this case alone

    ranges = idpool.pool(engine.settings.userns_range)
    first = id_ranges.free(connection, ranges, idmaps.SIZE)
    if first is None:
        known = ", ".join(f"{start}-{start + length - 1}" for start, length in ranges)
        raise EngineError(
            f"containers have all the ids that may be given to them ({known}, {idmaps.SIZE} each)",
            fix="Remove containers (`engine container prune`), or set userns-range to more ids.",
        )
    return idmaps.range_from(first)


def _ranges(rows: Iterable[IdMapping]) -> list[Range]:
    return [(row.host, row.size) for row in rows]


def _joined(engine: Engine, options: RunOptions) -> IdMap | None:
    wishes = options.wishes()
    if wishes["user"] == HOST:
        return None
    name = joined_containers(wishes).get("user")
    if name is not None:
        return containers.find(engine.store.connection, name).id_map
    return _of_path(wishes["user"])


def _of_path(path: str) -> IdMap:
    """Return the map of the namespace of a process; the engine's own maps every id to itself, and so needs no more."""
    found = re.fullmatch(_OF_PROCESS, path)
    if found is None:
        raise Unsupported(
            f"nobody can tell the identity map of the user namespace {path}, and so whose the files are in it",
            fix="Name it by a process in it, as in /proc/PID/ns/user.",
        )
    try:
        ids = IdMap(*(_rows(f"{found[1]}/{kind}") for kind in ("uid_map", "gid_map")))
    except OSError as error:
        raise InvalidInput(
            f"the user namespace {path} cannot be joined: {error.strerror}", fix="Name that of a running process."
        ) from error
    if not all(any(row.container == 0 for row in rows) for rows in ids):
        raise Unsupported(
            f"the user namespace {path} has no root: its identity map has no row for 0", fix="Join another."
        )
    return ids


def _rows(path: str) -> tuple[IdMapping, ...]:
    with open(path, encoding="ascii") as file:
        return tuple(IdMapping(*map(int, line.split())) for line in file)
