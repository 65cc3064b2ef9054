"""The shim's part in a container's life, for tests: the same calls in the same order, in a process of its own.

`in_shim` forks; the child has a mount namespace of its own and is the subreaper of what it starts, as the shim is.
Inside of it a `Container` runs a task on a runtime's stage::

    def scenario() -> Output:
        with Container(stage, task) as container:
            container.start()
            container.execute(process, steps)
            return container.finish()

    output = in_shim(scenario)
"""

from __future__ import annotations

import errno
import os
import select
import signal
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TypeVar

from engine.actions import execute as steps_of
from engine.actions.base import Phase, Slots, Step, of_phase
from engine.actions.task import Created, Executed, Stage, Streams, Task
from engine.errors import EngineError
from engine.linux import mounts, namespaces, processes
from engine.spec.runtime import Process
from engine.testing.processes import in_child
from engine.tuples import NamedTuple

T = TypeVar("T")

DEADLINE = 30.0
"""Seconds after which a container that still runs is killed and the test fails."""


class Output(NamedTuple):
    """How a process ended, and what it wrote; on a terminal everything is in ``stdout``."""

    status: int
    stdout: str
    stderr: str


def in_shim(scenario: Callable[[], T]) -> T:
    """Run ``scenario`` in a process such as the shim is; return its value or raise its error."""

    def act() -> T:
        namespaces.unshare(namespaces.CLONE_NEWNS)
        mounts.make_propagation("/", mounts.MS_SLAVE | mounts.MS_REC)
        processes.set_child_subreaper()
        return scenario()

    try:
        return in_child(act)
    except EngineError as error:
        # The child's traceback, which would let any text in it pass for the error's own words.
        error.__notes__ = []
        raise


class Container:
    """One task on a stage, from its first step to its last. Leaving the ``with`` block ends what still runs."""

    def __init__(self, stage: Stage, task: Task) -> None:
        self.stage, self.task = stage, task
        self.slots: Slots = {}
        self.created: Created | None = None
        self.console = -1
        self._outer = Streams(-1, -1, -1)

    def __enter__(self) -> Container:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self.created is not None:
            _end(self.created.pidfd)
        self.stage.delete(self.task)
        self.stage.delete(self.task)  # as after a crash: it must do no harm

    def create(self) -> Created:
        """Run PARENT_BEFORE, make the init, run PARENT_AFTER. The init waits."""
        steps_of.run(of_phase(self.task.steps, Phase.PARENT_BEFORE), self.slots)
        inner, self._outer = _pipes(terminal=bool(self.task.process.get("terminal")))
        try:
            self.created = self.stage.create(self.task, inner, self.slots)
        finally:
            _close(inner)
        steps_of.run(of_phase(self.task.steps, Phase.PARENT_AFTER), self.slots)
        return self.created

    def start(self) -> None:
        """Let the init go, made now if it was not; its command is executed when this returns."""
        created = self.created or self.create()
        try:
            self.console = self.stage.start(created)
        except BaseException:
            self.created = None
            raise

    def finish(self, stdin: bytes = b"") -> Output:
        """Write ``stdin`` and close it, read everything until the end, wait for the init."""
        assert self.created is not None
        created, self.created = self.created, None
        return _drain(created.pidfd, self._outer, self.console, stdin)

    def execute(self, process: Process, steps: Sequence[Step], stdin: bytes = b"") -> Output:
        """Run one more process to its end."""
        assert self.created is not None
        slots: Slots = {}
        steps_of.run(of_phase(steps, Phase.PARENT_BEFORE), slots)
        inner, outer = _pipes(terminal=bool(process.get("terminal")))
        try:
            made: Executed = self.stage.execute(self.task, process, steps, inner, self.created.pidfd, slots)
        except BaseException:
            _close(outer)
            raise
        finally:
            _close(inner)
        return _drain(made.pidfd, outer, made.console, stdin)


def _pipes(*, terminal: bool) -> tuple[Streams, Streams]:
    if terminal:
        return Streams(-1, -1, -1), Streams(-1, -1, -1)
    (in_r, in_w), (out_r, out_w), (err_r, err_w) = os.pipe(), os.pipe(), os.pipe()
    return Streams(in_r, out_w, err_w), Streams(in_w, out_r, err_r)


def _close(streams: Streams) -> None:
    for fd in streams:
        if fd >= 0:
            os.close(fd)


def _drain(pidfd: int, outer: Streams, console: int, stdin: bytes) -> Output:
    """Feed a process and read it to its end; kill it after DEADLINE."""
    if stdin:
        os.write(console if console >= 0 else outer.stdin, stdin)
    if outer.stdin >= 0:
        os.close(outer.stdin)
    content = {fd: bytearray() for fd in ([console] if console >= 0 else [outer.stdout, outer.stderr])}
    reading = list(content)
    while reading:
        ready, _, _ = select.select(reading, [], [], DEADLINE)
        if not ready:
            _end(pidfd)
            raise AssertionError(f"the process did not end within {DEADLINE:.0f} seconds; it wrote {content}")
        reading = [fd for fd in reading if fd not in ready or _read(fd, content[fd])]
    ended = processes.wait(pidfd, pidfd=True)
    assert ended is not None
    for fd in (pidfd, *content):
        os.close(fd)
    texts = [text.decode(errors="replace") for text in content.values()]
    return Output(ended.exit_status, texts[0], texts[1] if len(texts) > 1 else "")


def _read(fd: int, content: bytearray) -> bool:
    try:
        chunk = os.read(fd, 1 << 16)
    except OSError as error:
        if error.errno != errno.EIO:  # the last process left the terminal
            raise
        return False
    content += chunk
    return bool(chunk)


def _end(pidfd: int) -> None:
    try:
        processes.pidfd_send_signal(pidfd, signal.SIGKILL)
        processes.wait(pidfd, pidfd=True)
    except (ProcessLookupError, ChildProcessError):
        return
