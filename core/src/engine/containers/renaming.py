"""Give a container another name."""

from __future__ import annotations

from dataclasses import replace

from engine.containers import naming
from engine.containers.engine import Engine
from engine.containers.telling import tell
from engine.contracts.observer import Topic
from engine.errors import Conflict
from engine.metadata import containers


def rename(engine: Engine, wanted: str, name: str) -> None:
    """Change the name of a container, whatever it does at the moment.

    Raises `InvalidInput` for what can be no name, `Conflict` for one that a container has, this one included.
    """
    naming.check_name(name)
    found = containers.find(engine.store.connection, wanted)
    if found.name == name:
        raise Conflict(f"container {name!r} has that name already", fix="Choose another name.")
    with engine.locked(found.id), engine.store.transaction() as connection:
        record = containers.find(connection, found.id)
        renamed = replace(record, name=name, options={**record.options, "name": name})
        containers.rename(connection, renamed)
    tell(Topic.RENAME, renamed, oldName=record.name)
