"""Erase a container that does not run: its snapshot, its directory, its record, in this order; each may be repeated."""

from __future__ import annotations

import os
from pathlib import Path

from engine.containers.engine import Engine
from engine.containers.telling import tell_kept, to_tell
from engine.contracts.observer import Topic
from engine.linux import processes
from engine.linux.trees import remove_tree
from engine.metadata import containers
from engine.metadata.containers import Record
from engine.metadata.transactions import StoreFull


def ended(engine: Engine, record: Record, *, silently: bool = False) -> None:
    """Remove a container that does not run, with its lock held; if it was still there, tell so unless ``silently``.

    On a full disk the record cannot say so beforehand, and removing is what makes room: then a command that is killed
    in between leaves a record that has to be removed once more.
    """
    try:
        with engine.store.transaction() as connection:
            containers.set_phase(connection, record.id, "removing", processes.identity())
    except StoreFull:
        engine.storage(record.storage).remove(record.id)
    engine.storage(record.storage).remove(record.id)
    _remove_tree(engine.layout.container(record.id))
    with engine.store.transaction() as connection:
        was_there = containers.delete(connection, record.id)
        kept = to_tell(connection, Topic.DESTROY, record) if was_there and not silently else None
    engine.layout.lock(record.id).unlink(missing_ok=True)
    if kept is not None:
        tell_kept(engine, kept)


def _remove_tree(path: Path) -> None:
    try:
        parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        remove_tree(parent, path.name)
    finally:
        os.close(parent)
