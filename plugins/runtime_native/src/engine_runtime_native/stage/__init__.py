"""The native runtime's stage: what `engine.actions.task.Stage` asks for, run by the shim.

Standard library, `engine.linux` and `engine.actions` only, and all of it imported here, before anything starts: the
child of the clone closes the import system as its first act (`engine_runtime_native.stage.seal`), since what it would
find later lies in the container's root.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from engine.actions.base import Slots, Step
from engine.actions.task import Created, Executed, Streams, Task
from engine.tuples import TYPE_CHECKING
from engine_runtime_native.stage import launch, vocabulary
from engine_runtime_native.stage.channel import Channel

if TYPE_CHECKING:
    from engine.spec.runtime import Process

__all__ = ["create", "delete", "execute", "start", "vocabulary"]


def create(task: Task, streams: Streams, slots: Slots) -> Created:
    """Clone the container's init into its namespaces; it waits for `start`. See `engine.actions.task`."""
    ours = launch.init(task, streams, slots)
    return Created(slots["pid"], ours.pidfd, ours.channel.detach(), bool(task.process.get("terminal")))


def start(created: Created) -> int:
    """Let the init run its steps and execute its command; return the terminal's master, or -1.

    Raises what the child met. It has ended and was waited for then.
    """
    return launch.release(Channel.of_descriptor(created.channel), created.pidfd)


def execute(task: Task, process: Process, steps: Sequence[Step], streams: Streams, init: int, slots: Slots) -> Executed:
    """Start one more process in the container of ``init``. See `engine.actions.task`."""
    ours = launch.joined(task, process, steps, streams, init, slots)
    try:
        return Executed(slots["pid"], ours.pidfd, launch.release(ours.channel, ours.pidfd))
    except BaseException:
        os.close(ours.pidfd)
        raise


def delete(task: Task) -> None:
    """Nothing to forget: what this runtime makes ends with its processes."""
