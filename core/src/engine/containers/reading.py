"""What a container wrote, and what it changed."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic, sleep
from typing import TYPE_CHECKING

from engine.containers import status
from engine.containers.engine import Engine
from engine.contracts.logs import Entry, Follow
from engine.errors import Unsupported
from engine.metadata import containers
from engine.metadata.containers import Record

if TYPE_CHECKING:
    from engine.contracts.storage import Change

_LOOK_AGAIN = 0.02


class _UntilEnded(Follow):
    """Waits for a container to end by looking at its status: a connection could hold up the shim."""

    def __init__(self, engine: Engine, record: Record) -> None:
        self._engine, self._record = engine, record

    def wait(self, seconds: float) -> bool:
        deadline = monotonic() + seconds
        while status.of(self._engine.layout, self._record).running:
            if monotonic() >= deadline:
                return False
            sleep(min(_LOOK_AGAIN, seconds))
        return True


def logs(engine: Engine, wanted: str, *, tail: int | None = None, follow: bool = False) -> Iterator[Entry]:
    """Yield a container's output, oldest first; with ``follow``, until it has ended.

    Raises `NotFound`, and `Unsupported` when its log driver keeps nothing.
    """
    record = containers.find(engine.store.connection, wanted)
    driver = engine.log(record.log)
    if not driver.sink:
        raise Unsupported(
            f"log driver {record.log} keeps no output of container {record.name!r}",
            fix="Make the container with --log-driver json-file.",
        )
    waiting = _UntilEnded(engine, record) if follow else None
    return driver.read(engine.layout.container(record.id), tail=tail, follow=waiting)


def changes(engine: Engine, wanted: str) -> Iterator[Change]:
    """Yield what a container changed in its root filesystem, sorted by path.

    The mount points that the engine made for the container's own mounts are not among them.
    """
    record = containers.find(engine.store.connection, wanted)
    return engine.storage(record.storage).changes(record.id)
