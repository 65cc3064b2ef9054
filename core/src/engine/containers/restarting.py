"""Start a container again that has ended, as its restart policy says: what the shim executes in its own place.

The process is the shim that waited, so its state directory and its identity stay until the new shim writes its own:
`ps` never sees a gap. The container's lock is held from the look at whether it is still wanted until it runs.
"""

from __future__ import annotations

import os
from pathlib import Path

from engine.containers import ending, recover, starting, status, stopping, wanting
from engine.containers.engine import Engine
from engine.containers.planning import Before
from engine.errors import EngineError
from engine.metadata import containers
from engine.shim.notes import note


def again(root: str, state: str, container_id: str, restarts: str, delay: str, settled: str) -> None:
    """Start the container for the ``restarts``-th time after a back-off of ``delay`` seconds, if it is still wanted.

    ``settled`` is empty when nobody has told the observers of the end yet. What keeps it from starting is recorded as
    for any start, and goes into the shim's log: standard error.
    """
    from engine.settings import load

    before = Before(int(restarts), float(delay))
    try:
        with Engine(load({"root": Path(root), "state": Path(state)})) as engine:
            _again(engine, container_id, before, settled=bool(settled))
    except EngineError as error:
        note(f"the container is not started again: {error}")


def _again(engine: Engine, container_id: str, before: Before, *, settled: bool) -> None:
    with engine.locked(container_id, patience=None):
        try:
            record = containers.find(engine.store.connection, container_id)
            ended = status.of(engine.layout, record).exit
            if ended is not None and not settled:
                ending.settle(engine, record, ended)
            if wanting.policy(engine.layout, container_id) is None:
                return
            starting.start_held(engine, record, before=before).shim.close()
            if wanting.policy(engine.layout, container_id) is None:  # whoever withdrew it may have been killed since
                stopping.kill_through_shim(engine, record)
        finally:
            _leave(engine, container_id)


def _leave(engine: Engine, container_id: str) -> None:
    """Remove the state directory, unless it is another shim's by now, or gone."""
    if status.shim_of(engine.layout, container_id) == os.getpid():
        recover.undo_run(engine, container_id)
