"""What a container shares with others: ``--network container:NAME`` and its like, resolved to paths."""

from __future__ import annotations

from collections.abc import Mapping

from engine.actions.base import Phase, Step
from engine.actions.mounts import AttachMount
from engine.actions.sharing import TakeMount
from engine.containers import status
from engine.containers.engine import Engine
from engine.errors import Conflict
from engine.linux import processes
from engine.linux.namespaces import KINDS
from engine.metadata import containers
from engine.spec.isolation import joined_containers
from engine.spec.options import RunOptions

_SHM = "/dev/shm"


def resolve(engine: Engine, options: RunOptions) -> dict[str, str]:
    """Return kind to path for every namespace that is to be another container's.

    Raises `NotFound` for a container that does not exist, `Conflict` for one that does not run.
    """
    return {kind: _path(engine, kind, name) for kind, name in _wanted(options).items()}


def _wanted(options: RunOptions) -> Mapping[str, str]:
    return joined_containers(options.wishes())


def shared_memory(engine: Engine, options: RunOptions) -> list[Step]:
    """Return the steps that share /dev/shm with the container whose ipc namespace is joined, unless it is mounted over.

    POSIX shared memory lives there and not in the namespace (shm_overview(7)). Errors as `resolve`.
    """
    name = _wanted(options).get("ipc")
    if name is None or any(mount.target == _SHM for mount in options.mounts):
        return []
    who = processes.identity(_pid(engine, "ipc", name))
    if _pid(engine, "ipc", name) != who.pid:
        raise Conflict(f"container {name!r} was started anew just now", fix="Run the command again.")
    return [
        Step(Phase.PARENT_BEFORE, TakeMount(*who, path=_SHM, slot="shm")),
        Step(Phase.CHILD_BEFORE_PIVOT, AttachMount("shm", _SHM, strict=True)),
    ]


def _path(engine: Engine, kind: str, name: str) -> str:
    return f"/proc/{_pid(engine, kind, name)}/ns/{KINDS[kind].proc_name}"


def _pid(engine: Engine, kind: str, name: str) -> int:
    record = containers.find(engine.store.connection, name)
    pid = status.of(engine.layout, record).pid
    if not pid:
        raise Conflict(
            f"container {record.name!r} does not run, so it has no {kind} namespace to join",
            fix=f"Start it first: `engine start {record.name}`.",
        )
    return pid
