"""End a running container: politely, or at once."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
from time import monotonic, sleep

from engine.containers import client, groups, recover, status, wanting
from engine.containers.engine import Engine
from engine.containers.telling import tell, tell_observers
from engine.contracts.observer import Topic
from engine.errors import Conflict, StateError
from engine.linux import processes
from engine.metadata import containers
from engine.metadata.containers import Record
from engine.spec.defaults import STOP_SIGNAL, STOP_SIGNAL_ANNOTATION
from engine.tuples import NamedTuple

_SHIM_GRACE = 15.0
"""How long the shim may take beyond the stop timeout before the command does the work without it."""
_DEATH = 5.0
"""Seconds that the kernel may take to end a process that was killed."""


def stop(engine: Engine, wanted: str, *, number: int, timeout: float) -> str:
    """Send the stop signal, wait ``timeout`` seconds, kill; return the container's ID. Nothing for one that ended.

    That it is to end is recorded first, so it is not started again, whatever becomes of this command or of the shim.
    """
    record = containers.find(engine.store.connection, wanted)
    wanting.withdraw(engine.layout, record.id)
    if end(engine, record, number=number, timeout=timeout):
        tell(engine, Topic.STOP, record)
    return record.id


class Asked(NamedTuple):
    """A container whose shim was asked to end it; ``connection`` is None when no shim listened."""

    record: Record
    number: int
    timeout: float
    connection: socket.socket | None


def end(engine: Engine, record: Record, *, number: int = signal.SIGKILL, timeout: float = 0) -> bool:
    """End whatever of the container runs, or is about to start; tell whether there was anything."""
    if not status.of(engine.layout, record).running:
        return False
    await_end(engine, ask_to_end(engine, record, number=number, timeout=timeout))
    return True


def ask_to_end(engine: Engine, record: Record, *, number: int, timeout: float) -> Asked:
    """Have the shim stop the container, for good, and do not wait for it. A shim that cannot answer is not asked."""
    shim = status.of(engine.layout, record).shim
    impatient = number == signal.SIGKILL and not timeout
    if impatient and shim and processes.is_stopped(shim):
        return Asked(record, number, timeout, None)
    connection = client.connect(engine.layout, record.id)
    if connection is not None:
        client.send(connection, {"op": "stop", "signal": number, "timeout": timeout})
        groups.thaw(engine.layout, record.id)  # after it: the first thing that a paused container does is to end
    return Asked(record, number, timeout, connection)


def await_end(engine: Engine, asked: Asked) -> None:
    """Wait until a container that was asked has ended, and end it without its shim if that does not do it."""
    record = asked.record
    ended = _has_ended(engine, asked)
    if ended is None:
        with engine.locked(record.id):  # whoever is starting it has done so then, or has seen that it is not wanted
            end_held(engine, record, number=asked.number, timeout=asked.timeout)
    elif not ended:
        with engine.locked(record.id):
            _without_shim(engine, record)


def end_held(engine: Engine, record: Record, *, number: int = signal.SIGKILL, timeout: float = 0) -> bool:
    """Do as `end` does, for whoever holds the container's lock."""
    if not status.of(engine.layout, record).running:
        return False
    if not _has_ended(engine, ask_to_end(engine, record, number=number, timeout=timeout)):
        _without_shim(engine, record)
    return True


def kill(engine: Engine, wanted: str, *, number: int, everything: bool = False) -> str:
    """Send a signal to the container's init (or to every process of it). Raises `Conflict` when it does not run.

    A paused container takes its stop signal at once, and others when it goes on. After SIGKILL, and after its stop
    signal, a container is not started again, and one that is about to be started is not.
    """
    record = containers.find(engine.store.connection, wanted)
    now, asks = status.of(engine.layout, record), stop_signal(engine, record)
    final = number in (signal.SIGKILL, asks)
    if not now.has_task and not (final and now.running):
        raise _no_process(record, now)
    if final:
        wanting.withdraw(engine.layout, record.id)
    if now.has_task:
        _send(engine, record, number, everything=everything, final=final)
    else:
        end(engine, record, number=number)
    if number == asks:
        groups.thaw(engine.layout, record.id)
    tell_observers(Topic.KILL, record, signal=str(number))
    return record.id


def _send(engine: Engine, record: Record, number: int, *, everything: bool, final: bool) -> None:
    connection = client.connect(engine.layout, record.id)
    if connection is None:
        raise _no_process(record, status.of(engine.layout, record))
    with connection:
        client.ask(connection, {"op": "signal", "signal": number, "all": everything, "final": final})


def _no_process(record: Record, now: status.Status) -> Conflict:
    if now.state == "restarting":
        return Conflict(
            f"container {record.name!r} is about to be restarted, and has no process now",
            fix=f"Wait until it runs, or stop it: `engine stop {record.name}`.",
        )
    return Conflict(f"container {record.name!r} is not running", fix="`engine ps -a` shows what became of it.")


def stop_signal(engine: Engine, record: Record) -> int:
    """Return the signal that asks this container to end: its own, its image's, or SIGTERM."""
    try:
        spec = json.loads((engine.layout.container(record.id) / "config.json").read_bytes())
    except FileNotFoundError:  # it is being created or removed at this moment
        return STOP_SIGNAL
    return int(spec.get("annotations", {}).get(STOP_SIGNAL_ANNOTATION, STOP_SIGNAL))


def kill_through_shim(engine: Engine, record: Record) -> None:
    """Have the shim kill everything, for good, and wait until it has done so; nothing when none answers."""
    _has_ended(engine, ask_to_end(engine, record, number=signal.SIGKILL, timeout=0))


def _has_ended(engine: Engine, asked: Asked) -> bool | None:
    """Wait for the shim's answer; return whether the container has ended then, None when there was no shim to ask."""
    if asked.connection is None:
        return None
    with asked.connection:
        client.await_exit(asked.connection, asked.timeout + _SHIM_GRACE)
    return _ended(engine, asked.record)


def _ended(engine: Engine, record: Record, seconds: float = 2.0) -> bool:
    deadline = monotonic() + seconds
    while status.of(engine.layout, record).running:
        if monotonic() > deadline:
            return False
        sleep(0.005)
    return True


def _without_shim(engine: Engine, record: Record) -> None:
    """Kill a shim that is stuck or dead, or what it executed to start the container again and that waits for the lock,
    which the caller holds; then undo the journal as after any crash, which kills the cgroup."""
    now = status.of(engine.layout, record)
    for pid in (now.shim, now.pid):
        if pid:
            _kill(pid)
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
