"""The simplest stage there is: fork and execve, no namespaces. It fulfils what the shim needs of a stage."""

from __future__ import annotations

import os
from collections.abc import Sequence

from engine.actions.base import Slots, Step
from engine.actions.task import Created, Executed, Streams, Task
from engine.errors import CommandNotFound
from engine.linux import processes, signals
from engine.spec.runtime import Process


def create(task: Task, streams: Streams, slots: Slots) -> Created:
    """Fork a child that waits for a byte before it executes the command."""
    waiting, channel = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(channel)
        if os.read(waiting, 1):
            _become(task.process, streams)
        os._exit(1)
    os.close(waiting)
    slots["pid"] = pid
    return Created(pid, processes.pidfd_open(pid), channel, False)


def start(created: Created) -> int:
    """Let it go. A command named "missing" is one that does not exist."""
    os.write(created.channel, b"x")
    os.close(created.channel)
    return -1


def execute(task: Task, process: Process, steps: Sequence[Step], streams: Streams, init: int, slots: Slots) -> Executed:
    """Fork and execute. A command named "defect" is a plugin's defect."""
    if process["args"][0] == "defect":
        raise LookupError("a defect")
    if process["args"][0] == "missing":
        raise CommandNotFound("there is no command 'missing'", fix="Name one that exists.")
    pid = os.fork()
    if pid == 0:
        _become(process, streams)
    return Executed(pid, processes.pidfd_open(pid), -1)


def delete(task: Task) -> None:
    """Keep nothing, so forget nothing."""


def _become(process: Process, streams: Streams) -> None:
    try:
        for number, fd in enumerate(streams):
            os.dup2(fd, number)
        signals.reset_signals()
        os.execv(process["args"][0], process["args"])
    finally:
        os._exit(127)
