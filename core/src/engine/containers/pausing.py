"""Stop every process of a container where it is, and let them go on: its cgroup is frozen and thawed.

Done by the command's process. Nothing remembers it: whether a container is paused is what the kernel says of its
cgroup, so a command that is killed in between leaves nothing untrue behind.
"""

from __future__ import annotations

import errno

from engine.containers import groups, status
from engine.containers.engine import Engine
from engine.containers.telling import tell
from engine.contracts.observer import Topic
from engine.errors import Conflict, StateError, Unsupported
from engine.linux import cgroups
from engine.metadata import containers
from engine.metadata.containers import Record


def pause(engine: Engine, wanted: str) -> None:
    """Freeze a running container; return when all of it stands still.

    Raises `Conflict` when it does not run or is paused already, `StateError` when a process cannot be stopped within
    ten seconds (then everything goes on), `Unsupported` without a freezer.
    """
    record = containers.find(engine.store.connection, wanted)
    with engine.locked(record.id):
        state = status.of(engine.layout, record).state
        if state == "paused":
            raise Conflict(
                f"container {record.name!r} is paused already", fix=f"Go on: `engine unpause {record.name}`."
            )
        if state != "running":
            raise not_running(record)
        _freeze(engine, record)
    tell(engine, Topic.PAUSE, record)


def unpause(engine: Engine, wanted: str) -> None:
    """Let a paused container go on. Raises `Conflict` when it is not paused."""
    record = containers.find(engine.store.connection, wanted)
    with engine.locked(record.id):
        if status.of(engine.layout, record).state != "paused":
            raise Conflict(f"container {record.name!r} is not paused", fix="`engine ps -a` shows what it does.")
        groups.thaw(engine.layout, record.id)
    tell(engine, Topic.UNPAUSE, record)


def must_not_be_paused(engine: Engine, record: Record, why: str) -> None:
    """Raise `Conflict` for a paused container; ``why`` ends the sentence."""
    if status.of(engine.layout, record).state == "paused":
        raise Conflict(
            f"container {record.name!r} is paused{why}", fix=f"Let it go on first: `engine unpause {record.name}`."
        )


def not_running(record: Record) -> Conflict:
    """Return the error for a container that has to run."""
    return Conflict(f"container {record.name!r} is not running", fix=f"Start it first: `engine start {record.name}`.")


def _freeze(engine: Engine, record: Record) -> None:
    group = groups.of(engine.layout, record.id)
    if group is None:
        raise not_running(record)
    try:
        cgroups.freeze(group)
    except TimeoutError as error:
        raise StateError(
            f"container {record.name!r} cannot be paused: a process in it waits in the kernel",
            fix=f"`engine top {record.name}` shows its processes; try again when the device it waits for answers.",
        ) from error
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            raise Unsupported(
                "this machine cannot pause containers: no cgroup hierarchy with a freezer is mounted",
                fix="Mount cgroup v2: mount -t cgroup2 none DIRECTORY.",
            ) from error
        if error.errno in {errno.ENOENT, errno.ENODEV}:  # it ended between the look and this
            raise not_running(record) from error
        raise
