"""Whether a container runs: derived from what the kernel says, never from what a command remembered."""

from __future__ import annotations

import os
from typing import Literal

from engine.containers import failing, groups
from engine.containers.layout import Layout
from engine.linux.processes import Identity, alive
from engine.metadata.containers import Record
from engine.shim import records
from engine.shim.protocol import Exit
from engine.shim.records import Waiting
from engine.tuples import NamedTuple

State = Literal[
    "creating", "created", "starting", "running", "paused", "stopping", "restarting", "exited", "removing"
]  # fmt: skip


class Status(NamedTuple):
    """``state`` in Docker's words (with "starting" and "stopping" for the moments around a run); ``pid`` of the init
    while it runs, else 0; ``exit`` how the last run ended; ``shim`` the shim's pid while there is one, else 0."""

    state: State
    pid: int = 0
    exit: Exit | None = None
    shim: int = 0

    @property
    def running(self) -> bool:
        """There is something to stop, and nothing to start."""
        return self.has_task or self.state == "restarting"

    @property
    def has_task(self) -> bool:
        """There is a task. One that has ended and is about to be started again has none at the moment."""
        return self.state in ("starting", "running", "paused", "stopping")


def of(layout: Layout, record: Record) -> Status:
    """Return the container's status now. Reads a few small files; takes no lock and waits for nobody."""
    if record.phase != "ready":
        return Status(record.phase)
    shim, init, waiting = _identities(layout, record.id)
    ended = _exit(layout, record.id)
    shim_pid = shim.pid if shim is not None and alive(shim) else 0
    if shim_pid and waiting is not None and waiting.shim == shim:
        return Status("restarting", exit=waiting.ended, shim=shim_pid)
    if init is not None and alive(init):
        paused = groups.frozen(layout, record.id)
        return Status("paused" if paused else "running", pid=init.pid, exit=ended, shim=shim_pid)
    if shim_pid:
        return Status("starting" if init is None else "stopping", exit=ended, shim=shim_pid)
    if ended is None and not record.started:
        return Status("created")
    return Status("exited", exit=ended or _failed(layout, record.id) or UNKNOWN_END)


def _failed(layout: Layout, container_id: str) -> Exit | None:
    """Return the end of a container that ran before and could not be started again."""
    failure = failing.read(layout, container_id)
    return None if failure is None else Exit(failure.code, reason=failure.what, finished=failure.when)


UNKNOWN_END = Exit(code=137, signal=9, reason="the shim was killed, so nobody saw how it ended")


def abandoned(layout: Layout, container_id: str) -> bool:
    """Tell whether a state directory outlived its shim: something was killed, and the journal has to be undone."""
    return not shim_of(layout, container_id)


def shim_of(layout: Layout, container_id: str) -> int:
    """Return the pid of the shim, or of what it executed in its place; 0 when there is none."""
    shim, _init, _waiting = _identities(layout, container_id)
    return shim.pid if shim is not None and alive(shim) else 0


def _identities(layout: Layout, container_id: str) -> tuple[Identity | None, Identity | None, Waiting | None]:
    """Return the shim, the init, and the shim that waits to start the container again, as they are recorded."""
    try:
        fd = os.open(layout.container_state(container_id), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None, None, None
    try:
        return records.read_identity(fd, "shim"), records.read_identity(fd, "init"), records.read_waiting(fd)
    finally:
        os.close(fd)


def _exit(layout: Layout, container_id: str) -> Exit | None:
    try:
        fd = os.open(layout.container(container_id), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return records.read_exit(fd)
    finally:
        os.close(fd)
