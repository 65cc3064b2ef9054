"""What the shim hands to a runtime's stage: a task, its process, its streams; all of it plain data and descriptors.

A stage is a module with these functions; every one is called in the shim's process, as the host's root, in the shim's
own mount namespace. `OSError` and `EngineError` are reported to the command that asked; nothing may be left behind
then but what the journal names::

    create(task: Task, streams: Streams, slots: Slots) -> Created
        Make the namespaces and the init process, waiting before its first CHILD step. Sets slots["pid"]. With
        ``preservedDescriptors`` in its process so many slots (`preserved`) become its descriptors from 3 on.
    start(created: Created) -> int
        Let it go; returns once the command was executed. The terminal's master descriptor, or -1 without terminal.
        Raises CommandNotFound or CommandNotRunnable when execve(2) failed, KernelError for a failed step.
    execute(task: Task, process: Process, steps, streams: Streams, init: int, slots: Slots) -> Executed
        One more process in the namespaces of the running ``init`` (a pidfd), its child steps run, the command executed.
        It is a child of the shim. slots["cgroup"], when set, is cloned into; `joins` are run with its pid.
    delete(task: Task) -> None
        Forget what the runtime keeps of the task. Called once init is gone, and again after a crash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.actions.base import Slots, Step, from_plain, to_plain
from engine.tuples import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from typing import Any

    from engine.spec.runtime import Process


def preserved(number: int) -> str:
    """Return the name of the slot with the descriptor that becomes 3 + ``number`` of the init."""
    return f"preserved {number}"


class Streams(NamedTuple):
    """Descriptors that become 0, 1 and 2 of the process; unused when it wants a terminal."""

    stdin: int
    stdout: int
    stderr: int


class Task(NamedTuple):
    """One container to run.

    ``bundle``     directory with config.json and the mount point ``rootfs``, on the host
    ``clone``, ``unshare``, ``joins``  as in `engine.contracts.namespace.NamespacePlan`
    ``steps``      every step of every phase, in order; the child makes what ``unshare`` names after its steps of the
                   call family "cgroup" and before its others
    ``process``    the init process, as in config.json
    ``arguments``  plain data from the runtime's driver half to its stage
    """

    id: str
    bundle: str
    clone: tuple[str, ...]
    unshare: tuple[str, ...]
    joins: tuple[tuple[str, str], ...]
    steps: tuple[Step, ...]
    process: Process
    arguments: Mapping[str, Any]

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready data."""
        return {**self._asdict(), "steps": [to_plain(step) for step in self.steps]}

    @staticmethod
    def of_plain(data: Mapping[str, Any]) -> Task:
        """Return the task that `to_plain` described."""
        return Task(
            id=data["id"],
            bundle=data["bundle"],
            clone=tuple(data["clone"]),
            unshare=tuple(data["unshare"]),
            joins=tuple((kind, path) for kind, path in data["joins"]),
            steps=tuple(from_plain(step) for step in data["steps"]),
            process=data["process"],
            arguments=data["arguments"],
        )


class Created(NamedTuple):
    """An init process that waits. ``channel`` is the stage's own descriptor to talk to it."""

    pid: int
    pidfd: int
    channel: int
    terminal: bool


class Executed(NamedTuple):
    """One more process that runs: ``console`` is the terminal's master descriptor or -1."""

    pid: int
    pidfd: int
    console: int


class Stage(Protocol):
    """The functions of a stage's module; see the module's text."""

    def create(self, task: Task, streams: Streams, slots: Slots) -> Created:
        """Make the init process, waiting."""

    def start(self, created: Created) -> int:
        """Let it go."""

    def execute(
        self, task: Task, process: Process, steps: Sequence[Step], streams: Streams, init: int, slots: Slots
    ) -> Executed:
        """Run one more process."""

    def delete(self, task: Task) -> None:
        """Forget the task."""
