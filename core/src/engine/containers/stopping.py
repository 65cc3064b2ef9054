"""End a running container: politely, or at once."""

from __future__ import annotations

import json
import os
import select
import signal
from time import monotonic, sleep

from engine.containers import client, groups, recover, status
from engine.containers.engine import Engine
from engine.containers.telling import tell, tell_observers
from engine.contracts.observer import Topic
from engine.errors import Conflict, StateError
from engine.linux import processes
from engine.metadata import containers
from engine.metadata.containers import Record
from engine.shim import protocol
from engine.spec.defaults import STOP_SIGNAL, STOP_SIGNAL_ANNOTATION

_SHIM_GRACE = 15.0
"""How long the shim may take beyond the stop timeout before the command does the work without it."""
_DEATH = 5.0
"""Seconds that the kernel may take to end a process that was killed."""


def stop(engine: Engine, wanted: str, *, number: int, timeout: float) -> str:
    """Send the stop signal, wait ``timeout`` seconds, kill; return the container's ID. Nothing for one that ended."""
    record = containers.find(engine.store.connection, wanted)
    if not status.of(engine.layout, record).running:
        return record.id
    connection = client.connect(engine.layout, record.id)
    if connection is None:
        kill_and_wait(engine, record)
        return record.id
    with connection:
        connection.sendall(protocol.control({"op": "stop", "signal": number, "timeout": timeout}))
        groups.thaw(engine.layout, record.id)  # after it: the first thing that a paused container does is to end
        client.await_exit(connection, timeout + _SHIM_GRACE)
    if status.of(engine.layout, record).running:
        kill_and_wait(engine, record)
    tell(engine, Topic.STOP, record)
    return record.id


def kill(engine: Engine, wanted: str, *, number: int, everything: bool = False) -> str:
    """Send a signal to the container's init (or to every process of it). Raises `Conflict` when it does not run.

    A paused container takes its stop signal at once, and others when it goes on.
    """
    record = containers.find(engine.store.connection, wanted)
    connection = client.connect(engine.layout, record.id)
    if connection is None or not status.of(engine.layout, record).running:
        raise Conflict(f"container {record.name!r} is not running", fix="`engine ps -a` shows what became of it.")
    with connection:
        client.ask(connection, {"op": "signal", "signal": number, "all": everything})
    if number == stop_signal(engine, record):
        groups.thaw(engine.layout, record.id)
    tell_observers(Topic.KILL, record, signal=str(number))
    return record.id


def stop_signal(engine: Engine, record: Record) -> int:
    """Return the signal that asks this container to end: its own, its image's, or SIGTERM."""
    try:
        spec = json.loads((engine.layout.container(record.id) / "config.json").read_bytes())
    except FileNotFoundError:  # it is being created or removed at this moment
        return STOP_SIGNAL
    return int(spec.get("annotations", {}).get(STOP_SIGNAL_ANNOTATION, STOP_SIGNAL))


def kill_and_wait(engine: Engine, record: Record) -> None:
    """Kill a container, through its shim if that answers, else by its cgroup, and wait until it is gone."""
    kill_through_shim(engine, record)
    if not _ended(engine, record):
        _without_shim(engine, record)


def kill_through_shim(engine: Engine, record: Record) -> None:
    """Have the shim kill everything, and wait until it has said so; nothing when there is none that can answer."""
    shim = status.of(engine.layout, record).shim
    connection = None if shim and processes.is_stopped(shim) else client.connect(engine.layout, record.id)
    if connection is not None:
        with connection:
            connection.settimeout(_SHIM_GRACE)
            connection.sendall(protocol.control({"op": "stop", "signal": signal.SIGKILL, "timeout": 0}))
            client.await_exit(connection, _SHIM_GRACE)


def _ended(engine: Engine, record: Record, seconds: float = 2.0) -> bool:
    deadline = monotonic() + seconds
    while status.of(engine.layout, record).running:
        if monotonic() > deadline:
            return False
        sleep(0.005)
    return True


def _without_shim(engine: Engine, record: Record) -> None:
    """Kill a shim that is stuck or dead, then undo the journal as after any crash, which kills the cgroup."""
    now = status.of(engine.layout, record)
    for pid in (now.shim, now.pid):
        if pid:
            _kill(pid)
    with engine.locked(record.id):
        if not status.abandoned(engine.layout, record.id):
            raise StateError(f"container {record.name!r} cannot be killed: its shim is pid {now.shim}")
        recover.run_ended(engine, record.id)


def _kill(pid: int) -> None:
    """Kill through a pidfd, so that a pid that was taken meanwhile is not hit, and wait until it is gone."""
    try:
        pidfd = processes.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        processes.pidfd_send_signal(pidfd, signal.SIGKILL)
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.poll(_DEATH * 1000)
    except ProcessLookupError:
        return
    finally:
        os.close(pidfd)
