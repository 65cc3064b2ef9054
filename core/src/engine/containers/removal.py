"""Remove a container."""

from __future__ import annotations

from engine.containers import erase, recover, status, stopping
from engine.containers.engine import Engine
from engine.containers.telling import tell
from engine.contracts.observer import Topic
from engine.errors import Conflict
from engine.metadata import containers
from engine.metadata.containers import Record


def remove(engine: Engine, wanted: str, *, force: bool = False) -> str:
    """Remove the container of that name or ID and return its ID; a running one only with ``force``, killed first.

    Raises `NotFound`, `Conflict` for a running container without ``force``.
    """
    record = containers.find(engine.store.connection, wanted)
    if status.of(engine.layout, record).running:
        if not force:
            raise _running(record)
        stopping.kill_and_wait(engine, record)
    with engine.locked(record.id):
        recover.run_ended(engine, record.id)
        if status.of(engine.layout, record).running:  # another command had the lock before, and started it
            raise _running(record)
        removed = erase.ended(engine, record)
    if removed:
        tell(engine, Topic.DESTROY, record)
    return record.id


def _running(record: Record) -> Conflict:
    return Conflict(
        f"container {record.name!r} is running",
        fix=f"Stop it first (`engine stop {record.name}`), or remove it with --force.",
    )
