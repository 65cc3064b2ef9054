"""The containers table: one row per container, its record as JSON beside the columns that are searched.

The record is written before anything of the container is made (``phase`` "creating"), and removed after everything of
it is gone (``phase`` "removing" in between). ``worker`` is the identity of the process that creates or removes; in
phase "ready" that of the shim which sees to it that a container with ``--rm`` is removed when it ends. When that
process is dead, whoever finds the row finishes the work.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any, Literal

from engine.contracts.common import IdMap, IdMapping
from engine.errors import Conflict, NotFound
from engine.linux.processes import Identity
from engine.tuples import NamedTuple

Phase = Literal["creating", "ready", "removing"]

SCHEMA = (
    """CREATE TABLE containers (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        image TEXT NOT NULL,
        phase TEXT NOT NULL,
        worker TEXT,
        record TEXT NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX containers_by_image ON containers (image)",
)
ID_RANGES = (
    """CREATE TABLE id_ranges (
        container TEXT NOT NULL,
        first INTEGER NOT NULL,
        size INTEGER NOT NULL,
        PRIMARY KEY (container, first, size)
    ) WITHOUT ROWID""",
)
"""The table of `engine.metadata.id_ranges`."""
UNTOLD_EVENTS = (
    """CREATE TABLE untold_events (
        number INTEGER PRIMARY KEY,
        worker TEXT NOT NULL,
        event TEXT NOT NULL
    )""",
)
"""The table of `engine.events.publishing`."""


class Record(NamedTuple):
    """What a container is, apart from whether it runs.

    ``image`` is the image's ID ("" for ``host:``), ``image_name`` what the user typed; ``created``, ``started`` and
    ``finished`` are nanoseconds since the epoch (0: never), ``finished`` that of the run before the last start;
    ``restarts`` counts how often the engine started it again since a user did. ``storage``, ``cgroup``, ``runtime`` and
    ``log`` name the drivers that serve it, chosen once. ``options`` is `engine.spec.options.RunOptions` as plain data,
    ``applied`` the limits as the kernel holds them; ``health`` is `engine.spec.health.Healthcheck` as plain data, None
    without one. ``id_map`` is that of the user namespace, None when that is the engine's own; that of a container which
    joins another's is looked at anew at each start.
    """

    id: str
    name: str
    image: str
    image_name: str
    created: int
    storage: str
    cgroup: str
    runtime: str
    log: str
    options: dict[str, Any]
    started: int = 0
    finished: int = 0
    restarts: int = 0
    id_map: IdMap | None = None
    labels: dict[str, str] = {}  # noqa: RUF012  # a named tuple's, and nobody adds to it
    applied: dict[str, str] = {}  # noqa: RUF012  # a named tuple's, and nobody adds to it
    health: dict[str, Any] | None = None
    phase: Phase = "ready"
    worker: Identity | None = None


def insert(connection: sqlite3.Connection, record: Record, worker: Identity) -> None:
    """Write a new record in phase "creating". Raises `Conflict` when the name is in use."""
    try:
        connection.execute(
            "INSERT INTO containers VALUES (?, ?, ?, 'creating', ?, ?)",
            (record.id, record.name, record.image, json.dumps(worker), _encode(record)),
        )
    except sqlite3.IntegrityError as error:
        raise Conflict(
            f"the name {record.name!r} is in use by another container",
            fix=f"Remove it with `engine rm {record.name}`, or choose another --name.",
        ) from error


def set_phase(connection: sqlite3.Connection, container_id: str, phase: Phase, worker: Identity | None = None) -> None:
    """Change the phase, and who works on it."""
    value = None if worker is None else json.dumps(worker)
    connection.execute("UPDATE containers SET phase=?, worker=? WHERE id=?", (phase, value, container_id))


def save(connection: sqlite3.Connection, record: Record) -> None:
    """Write the record again (started, applied limits)."""
    connection.execute("UPDATE containers SET record=? WHERE id=?", (_encode(record), record.id))


def rename(connection: sqlite3.Connection, record: Record) -> None:
    """Write a record under its new name. Raises `Conflict` when another container has that name."""
    try:
        connection.execute(
            "UPDATE containers SET name=?, record=? WHERE id=?", (record.name, _encode(record), record.id)
        )
    except sqlite3.IntegrityError as error:
        raise Conflict(
            f"the name {record.name!r} is in use by another container", fix="Choose another; `engine ps -a` lists them."
        ) from error


def delete(connection: sqlite3.Connection, container_id: str) -> bool:
    """Forget a container, and whose ids it had; tell whether it was there."""
    connection.execute("DELETE FROM id_ranges WHERE container=?", (container_id,))
    return connection.execute("DELETE FROM containers WHERE id=?", (container_id,)).rowcount > 0


def everything(connection: sqlite3.Connection) -> list[Record]:
    """Return every record, the newest first."""
    rows = connection.execute("SELECT id, name, image, phase, worker, record FROM containers").fetchall()
    return sorted(map(_decode, rows), key=lambda record: -record.created)


def ids(connection: sqlite3.Connection) -> set[str]:
    """Return the ID of every container."""
    return {container_id for (container_id,) in connection.execute("SELECT id FROM containers")}


def unfinished(connection: sqlite3.Connection) -> list[Record]:
    """Return the records that somebody is, or was, creating or removing, or is to remove."""
    rows = connection.execute(
        "SELECT id, name, image, phase, worker, record FROM containers WHERE phase != 'ready' OR worker NOT NULL"
    ).fetchall()
    return list(map(_decode, rows))


def find(connection: sqlite3.Connection, wanted: str) -> Record:
    """Return the container of that name, ID, or unambiguous beginning of an ID (in this order).

    Raises `NotFound` when there is none, `Conflict` when the beginning fits several.
    """
    select = "SELECT id, name, image, phase, worker, record FROM containers WHERE "
    row = connection.execute(select + "name=? OR id=?", (wanted, wanted)).fetchone()
    if row is not None:
        return _decode(row)
    rows = connection.execute(select + "substr(id, 1, ?)=?", (len(wanted), wanted)).fetchmany(2) if wanted else []
    if len(rows) > 1:
        raise Conflict(f"several containers' IDs begin with {wanted!r}", fix="Give more of the ID.")
    if not rows:
        raise NotFound(f"there is no container {wanted!r}", fix="`engine ps -a` lists them all.")
    return _decode(rows[0])


def using_image(connection: sqlite3.Connection, image: str) -> list[tuple[str, str]]:
    """Return (ID, name) of the containers made from an image."""
    return connection.execute("SELECT id, name FROM containers WHERE image=?", (image,)).fetchall()


def _encode(record: Record) -> str:
    data = record._asdict()
    for column in ("id", "name", "image", "phase", "worker"):
        del data[column]
    return json.dumps(data)


def _decode(row: tuple[str, str, str, Phase, str | None, str]) -> Record:
    container_id, name, image, phase, worker, record = row
    who = None if worker is None else Identity(*json.loads(worker))
    data = json.loads(record)
    if data.get("id_map") is not None:
        data["id_map"] = IdMap(*(tuple(IdMapping(*row) for row in rows) for rows in data["id_map"]))
    return Record(id=container_id, name=name, image=image, phase=phase, worker=who, **data)
