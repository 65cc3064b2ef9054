"""Erase a container that does not run: its snapshot, its directory, its record, in this order; each may be repeated."""

from __future__ import annotations

import os
import shutil

from engine.containers import locks
from engine.containers.engine import Engine
from engine.linux import processes
from engine.metadata import containers
from engine.metadata.containers import Record


def ended(engine: Engine, record: Record) -> None:
    """Remove a container that does not run, with its lock held."""
    with engine.store.transaction() as connection:
        containers.set_phase(connection, record.id, "removing", processes.identity())
    engine.storage(record.storage).remove(record.id)
    _remove_tree(engine.layout.container(record.id))
    with engine.store.transaction() as connection:
        containers.delete(connection, record.id)
    locks.forget(engine.layout, record.id)


def _remove_tree(path: os.PathLike[str]) -> None:
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return
