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
from typing import Any

import engine.actions.cgroups  # noqa: F401  # registers what a plan is made of
from engine.actions import execute
from engine.actions.base import Phase, Slots, Step, from_plain, of_phase
from engine.errors import EngineError
from engine.linux import processes


def main() -> None:
    """Serve one container."""
    request = json.loads(sys.stdin.readline())
    steps = [from_plain(step) for step in request["steps"]]
    slots: Slots = {}
    try:
        execute.run(of_phase(steps, Phase.PARENT_BEFORE), slots)
        pid, gate = _clone(steps, slots, request["argv"], request["streams"])
    except EngineError as error:
        _say({"error": error.to_plain()})
        return
    try:
        slots["pid"] = pid
        if request["unit"]:
            _say({"unit": pid})
            if sys.stdin.readline() != "made\n":
                raise EngineError("the unit was not made")
        execute.run(of_phase(steps, Phase.PARENT_AFTER), slots)
        os.write(gate, b"1")
    except (EngineError, BrokenPipeError) as error:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        known = error if isinstance(error, EngineError) else EngineError("the child ended before it could start")
        _say({"error": known.to_plain(), "undone": execute.undo(steps, slots)})
        return
    _say({"started": pid})
    _say({"ended": os.waitpid(pid, 0)[1]})


def _clone(steps: Sequence[Step], slots: Slots, argv: Sequence[str], streams: Sequence[int]) -> tuple[int, int]:
    """Return the child's pid and the pipe whose first byte lets it go."""
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    made = processes.clone3(0, slots.get("cgroup"))
    if made.pid == 0:
        _be_container(steps, slots, argv, streams, read_end, write_end)
    os.close(read_end)
    for stream in streams:
        os.close(stream)
    return made.pid, write_end


def _be_container(
    steps: Sequence[Step], slots: Slots, argv: Sequence[str], streams: Sequence[int], gate: int, other_end: int
) -> None:
    try:
        os.close(other_end)
        if os.read(gate, 1) == b"1":
            execute.run(of_phase(steps, Phase.CHILD_BEFORE_PIVOT), slots)
            os.dup2(streams[0], 0)
            os.dup2(streams[1], 1)
            os.execv(argv[0], list(argv))
    finally:
        os._exit(125)


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
