"""A shim for the cgroup suite: a process with one thread that does with a plan what the real shim does, and no more.

`serve` forks one for each message on standard input, a Unix socket, that brings three descriptors: a connection, and
the container's standard input and output. The shim reads one line from its connection, ``{"steps": […], "unit": bool,
"argv": […]}``, the steps as plain data as the real one gets them. Then it runs PARENT_BEFORE, clones (into slot
``cgroup`` if that is set), has the unit made by whoever started it, runs PARENT_AFTER, lets the child run its steps and
execute ``argv``, and waits. It says what happened in lines of JSON: ``{"unit": pid}`` (and waits for a line),
``{"started": pid}``, ``{"error": …}``, ``{"ended": wait status}``.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Sequence
from typing import Any

import engine.actions.cgroups  # noqa: F401  # registers what a plan is made of
from engine.actions import execute
from engine.actions.base import Phase, Slots, Step, from_plain, of_phase
from engine.errors import EngineError
from engine.linux import processes
from engine.tuples import NamedTuple


class Child(NamedTuple):
    """A clone that waits for a byte on ``gate``, and tells on ``failure`` why it could not execute its program."""

    pid: int
    gate: int
    failure: int


class Caller:
    """Whoever wants a container, at the other end of a connection."""

    def __init__(self, connection: int) -> None:
        self._stream = socket.socket(fileno=connection).makefile("rw", encoding="utf-8")

    def read_line(self) -> str:
        """Return what it says next."""
        return self._stream.readline()

    def tell(self, what: dict[str, Any]) -> None:
        """Say what happened."""
        self._stream.write(json.dumps(what) + "\n")
        self._stream.flush()


def serve() -> None:
    """Fork a shim whenever one is asked for, until nobody can ask any more. Nobody waits for them."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(fileno=0) as asked:
        while True:
            _, descriptors, _, _ = socket.recv_fds(asked, 1, 3)
            if not descriptors:
                return
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for descriptor in (asked.fileno(), *descriptors):
                    os.set_inheritable(descriptor, False)
                connection, *streams = descriptors
                serve_container(Caller(connection), streams)
                os._exit(0)
            for descriptor in descriptors:
                os.close(descriptor)


def serve_container(caller: Caller, streams: Sequence[int]) -> None:
    """Start one container, and wait for its end."""
    request = json.loads(caller.read_line())
    steps = [from_plain(step) for step in request["steps"]]
    slots: Slots = {}
    try:
        execute.run(of_phase(steps, Phase.PARENT_BEFORE), slots)
        child = _clone(steps, slots, request["argv"], streams)
    except EngineError as error:
        caller.tell({"error": error.to_plain()})
        return
    slots["pid"] = child.pid
    try:
        _start(caller, child, of_phase(steps, Phase.PARENT_AFTER), slots, unit=request["unit"])
    except EngineError as error:
        os.kill(child.pid, signal.SIGKILL)
        os.waitpid(child.pid, 0)
        caller.tell({"error": error.to_plain(), "undone": execute.undo(steps, slots)})
        return
    caller.tell({"started": child.pid})
    caller.tell({"ended": os.waitpid(child.pid, 0)[1]})


def _start(caller: Caller, child: Child, after: Sequence[Step], slots: Slots, *, unit: bool) -> None:
    """Have the unit made, finish what the parent does, and return once the program runs in the child."""
    if unit:
        caller.tell({"unit": child.pid})
        if caller.read_line() != "made\n":
            raise EngineError("the unit was not made")
    execute.run(after, slots)
    os.write(child.gate, b"1")
    with open(child.failure, encoding="utf-8") as file:
        reason = file.read()
    if reason:
        raise EngineError(reason)


def _clone(steps: Sequence[Step], slots: Slots, argv: Sequence[str], streams: Sequence[int]) -> Child:
    waiting, gate = os.pipe2(os.O_CLOEXEC)
    failure, telling = os.pipe2(os.O_CLOEXEC)
    made = processes.clone3(0, slots.get("cgroup"))
    if made.pid == 0:
        os.close(gate)
        _be_container(steps, slots, argv, streams, waiting, telling)
    for fd in (waiting, telling, *streams):
        os.close(fd)
    return Child(made.pid, gate, failure)


def _be_container(
    steps: Sequence[Step], slots: Slots, argv: Sequence[str], streams: Sequence[int], waiting: int, telling: int
) -> None:
    try:
        if os.read(waiting, 1) == b"1":
            execute.run(of_phase(steps, Phase.CHILD_BEFORE_PIVOT), slots)
            os.dup2(streams[0], 0)
            os.dup2(streams[1], 1)
            os.execv(argv[0], list(argv))
    except (EngineError, OSError) as error:
        os.write(telling, str(error).encode())
    finally:
        os._exit(125)


if __name__ == "__main__":
    serve()
