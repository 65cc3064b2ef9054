"""Remove a container."""

from __future__ import annotations

from engine.containers import erase, recover, status, stopping, wanting
from engine.containers.engine import Engine
from engine.errors import Conflict
from engine.metadata import containers
from engine.metadata.containers import Record


def remove(engine: Engine, wanted: str, *, force: bool = False) -> str:
    """Remove the container of that name or ID and return its ID; a running one only with ``force``, killed first.

    Raises `NotFound`, `Conflict` for a running or restarting container without ``force``.
    """
    record = containers.find(engine.store.connection, wanted)
    now = status.of(engine.layout, record)
    if now.running:
        if not force:
            raise _running(record, now.state)
        wanting.withdraw(engine.layout, record.id)
        stopping.end(engine, record)
    with engine.locked(record.id):
        recover.run_ended(engine, record.id)
        now = status.of(engine.layout, record)
        if now.running:  # another command had the lock before, and started it
            if not force:
                raise _running(record, now.state)
            stopping.end_held(engine, record)
        erase.ended(engine, record)
    return record.id


def _running(record: Record, state: str) -> Conflict:
    return Conflict(
        f"container {record.name!r} is {'restarting' if state == 'restarting' else 'running'}",
        fix=f"Stop it first (`engine stop {record.name}`), or remove it with --force.",
    )
