"""Give a container another name."""

from __future__ import annotations

import os

from engine.containers import naming
from engine.containers.engine import Engine
from engine.containers.telling import tell_kept, to_tell
from engine.contracts.observer import Topic
from engine.errors import Conflict
from engine.metadata import containers
from engine.metadata.containers import Record
from engine.shim import records


def rename(engine: Engine, wanted: str, name: str) -> None:
    """Change the name of a container, whatever it does at the moment.

    Raises `InvalidInput` for what can be no name, `Conflict` for one that a container has, this one included.
    """
    naming.check_name(name)
    found = containers.find(engine.store.connection, wanted)
    if found.name == name:
        raise Conflict(f"container {name!r} has that name already", fix="Choose another name.")
    with engine.locked(found.id):
        with engine.store.transaction() as connection:
            record = containers.find(connection, found.id)
            renamed = record._replace(name=name, options={**record.options, "name": name})
            containers.rename(connection, renamed)
            kept = to_tell(connection, Topic.RENAME, renamed, oldName=f"/{record.name}")
        _tell_shim(engine, renamed)
    tell_kept(engine, kept)


def _tell_shim(engine: Engine, renamed: Record) -> None:
    """Write the name down for the shim, if there is one: it says in its events whose they are."""
    try:
        state_fd = os.open(engine.layout.container_state(renamed.id), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        records.write(state_fd, "name", (renamed.name,), sync=False)
    finally:
        os.close(state_fd)
