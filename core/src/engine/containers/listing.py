"""What `engine ps` shows. Takes no lock and asks no shim: a container that hangs holds up nobody's list."""

from __future__ import annotations

from engine.containers import status
from engine.containers.engine import Engine
from engine.containers.status import Status
from engine.metadata import containers
from engine.metadata.containers import Record
from engine.spec.options import RunOptions
from engine.tuples import NamedTuple


class View(NamedTuple):
    """One container and its status."""

    record: Record
    status: Status

    @property
    def options(self) -> RunOptions:
        """What it was made with."""
        return RunOptions.from_plain(self.record.options)


def listing(engine: Engine, *, everything: bool = False) -> list[View]:
    """Return the containers that run, or all, the newest first."""
    views = [
        View(record, status.of(engine.layout, record)) for record in containers.everything(engine.store.connection)
    ]
    return [view for view in views if everything or view.status.running]


def view(engine: Engine, wanted: str) -> View:
    """Return one container by name or ID. Raises `NotFound`."""
    record = containers.find(engine.store.connection, wanted)
    return View(record, status.of(engine.layout, record))
