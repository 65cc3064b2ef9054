"""What a container shares with others: ``--network container:NAME`` and its like, resolved to paths."""

from __future__ import annotations

from collections.abc import Mapping

from engine.containers import status
from engine.containers.engine import Engine
from engine.errors import Conflict
from engine.linux.namespaces import KINDS
from engine.metadata import containers
from engine.spec.isolation import joined_containers
from engine.spec.options import RunOptions


def resolve(engine: Engine, options: RunOptions) -> dict[str, str]:
    """Return kind to path for every namespace that is to be another container's.

    Raises `NotFound` for a container that does not exist, `Conflict` for one that does not run.
    """
    return {kind: _path(engine, kind, name) for kind, name in _wanted(options).items()}


def _wanted(options: RunOptions) -> Mapping[str, str]:
    return joined_containers(options.wishes())


def _path(engine: Engine, kind: str, name: str) -> str:
    record = containers.find(engine.store.connection, name)
    pid = status.of(engine.layout, record).pid
    if not pid:
        raise Conflict(
            f"container {record.name!r} does not run, so it has no {kind} namespace to join",
            fix=f"Start it first: `engine start {record.name}`.",
        )
    return f"/proc/{pid}/ns/{KINDS[kind].proc_name}"
