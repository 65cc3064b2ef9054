"""A shim for the cgroup suite: a process with one thread that does with a plan what the real shim does, and no more.

It reads one line from its standard input, ``{"steps": […], "unit": bool, "argv": […], "streams": [in, out]}``, the
steps as plain data as the real one gets them. Then it runs PARENT_BEFORE, clones (into slot ``cgroup`` if that is set),
has the unit made by whoever started it, runs PARENT_AFTER, lets the child run its steps and execute ``argv``, and
waits. It says what happened in lines of JSON: ``{"unit": pid}`` (and waits for a line), ``{"started": pid}``,
``{"error": …}``, ``{"ended": wait status}``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import engine.actions.cgroups  # noqa: F401  # registers what a plan is made of
from engine.actions import execute
from engine.actions.base import Phase, Slots, Step, from_plain, of_phase
from engine.errors import EngineError
from engine.linux import processes


class Child(NamedTuple):
    """A clone that waits for a byte on ``gate``, and tells on ``failure`` why it could not execute its program."""

    pid: int
    gate: int
    failure: int


def main() -> None:
    """Serve one container."""
    request = json.loads(sys.stdin.readline())
    steps = [from_plain(step) for step in request["steps"]]
    slots: Slots = {}
    try:
        execute.run(of_phase(steps, Phase.PARENT_BEFORE), slots)
        child = _clone(steps, slots, request["argv"], request["streams"])
    except EngineError as error:
        _say({"error": error.to_plain()})
        return
    slots["pid"] = child.pid
    try:
        _start(child, of_phase(steps, Phase.PARENT_AFTER), slots, unit=request["unit"])
    except EngineError as error:
        os.kill(child.pid, signal.SIGKILL)
        os.waitpid(child.pid, 0)
        _say({"error": error.to_plain(), "undone": execute.undo(steps, slots)})
        return
    _say({"started": child.pid})
    _say({"ended": os.waitpid(child.pid, 0)[1]})


def _start(child: Child, after: Sequence[Step], slots: Slots, *, unit: bool) -> None:
    """Have the unit made, finish what the parent does, and return once the program runs in the child."""
    if unit:
        _say({"unit": child.pid})
        if sys.stdin.readline() != "made\n":
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


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
