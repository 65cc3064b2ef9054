"""Finish what a killed command or shim left half done.

Called at the start of every command that changes something. It looks only at what is unfinished: records whose worker
is dead, and state directories whose shim is. What somebody is working on now is locked, and skipped.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from engine import locks
from engine.actions import execute
from engine.containers import erase, status
from engine.containers.engine import Engine
from engine.containers.telling import tell_missed_end
from engine.errors import EngineError, NotFound
from engine.events.publishing import untold
from engine.linux.processes import alive
from engine.metadata import containers
from engine.metadata.containers import Record
from engine.plugins.registry import complain
from engine.shim import records


def everything(engine: Engine) -> None:
    """Finish all abandoned work of this engine.

    What cannot be finished stays for the next command, with a warning: it is no reason not to do this one's work.
    """
    failed = []
    for container_id in os.listdir(engine.layout.state / "containers"):
        failed += _tolerant(engine, container_id, run_ended)
    for record in containers.unfinished(engine.store.connection):
        if record.worker is None or not alive(record.worker):
            failed += _tolerant(engine, record.id, _finish)
    for container_id in set(os.listdir(engine.layout.state / "locks")) - containers.ids(engine.store.connection):
        failed += _tolerant(engine, container_id, _nothing_more)
    failed += _tell_untold(engine)
    for sentence in failed:
        complain(f"what an earlier command left is still there: {sentence}")


def _tell_untold(engine: Engine) -> list[str]:
    """Publish what killed commands did and did not come to say."""
    if not untold(engine.store.connection):
        return []
    from engine.events.recovering import tell_untold

    try:
        tell_untold(str(engine.layout.events), engine.store.connection)
    except (EngineError, OSError) as error:
        return [f"events that are not told: {error}"]
    return []


def run_ended(engine: Engine, container_id: str) -> None:
    """Undo the journal of a run whose shim is dead, with the container's lock held; nothing when it lives."""
    if status.abandoned(engine.layout, container_id):
        undo_run(engine, container_id)


def undo_run(engine: Engine, container_id: str) -> None:
    """Undo the journal of a run and remove the state directory, with the container's lock held. Nothing without one."""
    path = engine.layout.container_state(container_id)
    try:
        state_fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        ran = records.read_identity(state_fd, "init") is not None
        _roll_back(container_id, state_fd)
        record = _find(engine, container_id)
        if ran:
            _record_unknown_end(engine, container_id)
        if ran and record is not None:
            tell_missed_end(engine, record, status.of(engine.layout, record).exit or status.UNKNOWN_END)
            if record.options.get("rm"):
                erase.ended(engine, record)
        records.remove_state(state_fd, str(path))  # last: by it the next command finds what is still to be done
    finally:
        os.close(state_fd)


def clear_state(engine: Engine, container_id: str) -> None:
    """Take over the state directory of a run that has ended, with the lock held: all but who waited is removed.

    Raises `EngineError` when something of that run cannot be undone.
    """
    path = engine.layout.container_state(container_id)
    state_fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _roll_back(container_id, state_fd)
        records.clear_state(state_fd, {"shim", records.RESTARTING})
    finally:
        os.close(state_fd)


def _roll_back(container_id: str, state_fd: int) -> None:
    failed = execute.roll_back(state_fd)
    if failed:
        raise EngineError(f"container {container_id[:12]} could not be cleaned up: {'; '.join(failed)}")


def _record_unknown_end(engine: Engine, container_id: str) -> None:
    try:
        directory_fd = os.open(engine.layout.container(container_id), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if records.read_exit(directory_fd) is None:
            records.write(directory_fd, "exit", status.UNKNOWN_END, sync=True)
    finally:
        os.close(directory_fd)


def _finish(engine: Engine, container_id: str) -> None:
    """Take back what was half created, remove what was half removed, or what a shim was to remove that is dead."""
    run_ended(engine, container_id)
    record = _find(engine, container_id)
    if record is None or (record.phase == "ready" and (record.worker is None or alive(record.worker))):
        return  # another command has done it, or has started it anew
    if record.phase == "ready":
        tell_missed_end(engine, record, status.of(engine.layout, record).exit or status.UNKNOWN_END)
    erase.ended(engine, record, silently=record.phase == "creating")


def _nothing_more(_engine: Engine, _container_id: str) -> None:
    """Leave it at the lock: a removal was killed when nothing but its file was left, and `_tolerant` forgets that."""


def _find(engine: Engine, container_id: str) -> Record | None:
    try:
        return containers.find(engine.store.connection, container_id)
    except NotFound:
        return None


def _tolerant(engine: Engine, container_id: str, work: Callable[[Engine, str], None]) -> list[str]:
    try:
        with locks.locked(engine.layout.lock(container_id), patience=0) as got:
            if got:
                work(engine, container_id)
                if _find(engine, container_id) is None:
                    engine.layout.lock(container_id).unlink(missing_ok=True)
    except (EngineError, OSError) as error:
        return [str(error)]
    return []
