"""Checks whether a container is well, again and again, while it runs. Imported by the shim when there is a check to do.

Each check is made by a child of the shim (`engine.shim.probe`), so that one that hangs, wherever it does, holds up
nothing: the shim waits for the child's word like for anything else, and kills it when it is overdue.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
from time import monotonic, time_ns

from engine.contracts.observer import Topic
from engine.linux import cgroups, processes
from engine.shim import probe, records, verdict
from engine.shim.loop import READ
from engine.shim.notes import note
from engine.shim.verdict import Health, Result, Settings, judge
from engine.tuples import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from engine.shim.container import Container

_GRACE = 3.0
"""Seconds beyond a check's time that its child gets to end what it started, before it is killed itself."""
_DEATH = 1.0
"""Seconds to wait for the end of a child that was killed; one that waits in the kernel is left to it."""
_CHUNK = 1 << 16
_GONE = frozenset({errno.ENOENT, errno.ENODEV})


class _Check(NamedTuple):
    """A check that is being made: its child, the pipe that its result comes by, and what came of it so far.

    ``began`` is in nanoseconds since the epoch, ``age`` how long the container had run then, in seconds.
    """

    pid: int
    pidfd: int
    pipe: int
    told: bytearray
    began: int
    age: float


class Checks:
    """The checks of one container. The health is recorded in its state directory, and kept beside its exit record."""

    def __init__(self, container: Container, settings: Settings) -> None:
        """Begin: the first check is made one interval from now."""
        self._container, self._settings = container, settings
        self._began = monotonic()
        self._now: _Check | None = None
        self._over = False
        self._strays: list[tuple[int, int]] = []
        self.health = Health()
        _forget(container.directory_fd)
        self._record()
        self._later()

    def end(self) -> None:
        """Make no more checks, kill one that is being made, and keep the health for who looks at it later."""
        self._over = True
        if self._now is not None:
            self._finish(self._now)
        if self._container.plan.sync:
            self._write(self._container.directory_fd)

    def _later(self) -> None:
        pause = self._settings.pause(self.health, monotonic() - self._began)
        self._container.loop.after(pause, self._begin)

    def _begin(self) -> None:
        if self._over:
            return
        self._reap()
        if self._paused():
            self._later()
            return
        check = self._fork()
        self._now = check
        loop = self._container.loop
        loop.watch(check.pipe, READ, lambda _events: self._listen(check))
        loop.after(self._settings.timeout + _GRACE, lambda: self._overdue(check))

    def _fork(self) -> _Check:
        reading, writing = os.pipe()
        began = time_ns()
        pid = os.fork()
        if pid == 0:
            probe.run(self._container, self._settings, writing)
        os.close(writing)
        os.set_blocking(reading, False)
        return _Check(pid, processes.pidfd_open(pid), reading, bytearray(), began, monotonic() - self._began)

    def _listen(self, check: _Check) -> None:
        data = os.read(check.pipe, _CHUNK)
        check.told.extend(data)
        if not data:
            self._finish(check)
            self._take(check, Result(check.began, time_ns(), *_said(bytes(check.told))))

    def _overdue(self, check: _Check) -> None:
        """Give up a check whose child does not even say that it took too long."""
        if self._now is check:
            self._finish(check)
            self._take(check, Result(check.began, time_ns(), -1, probe.too_long(self._settings.timeout)))

    def _finish(self, check: _Check) -> None:
        """Let go of a check, its child killed and waited for."""
        self._now = None
        self._container.loop.forget(check.pipe)
        os.close(check.pipe)
        try:
            processes.pidfd_send_signal(check.pidfd, signal.SIGKILL)
            poll = select.poll()
            poll.register(check.pidfd, select.POLLIN)
            poll.poll(_DEATH * 1000)
        finally:
            os.close(check.pidfd)
        started, end, _result = bytes(check.told).partition(b"\n")
        self._strays += [(os.P_PGID, check.pid), *([(os.P_PID, int(started))] if end else [])]
        self._reap()

    def _reap(self) -> None:
        """Wait for the children that made checks, and for what one that was killed has left to this process.

        A container that was paused meanwhile keeps it from ending; so it is remembered, by its pid or process group.
        """
        self._strays = [stray for stray in self._strays if _remains(*stray)]

    def _take(self, check: _Check, result: Result) -> None:
        """Count a result, unless the container was paused meanwhile: then its check stood still as well."""
        if result.code == 0 or not self._paused():
            before = self.health.status
            lenient = check.age < self._settings.start_period
            self.health = judge(self.health, result, self._settings.retries, lenient=lenient)
            self._record()
            if self.health.status != before:
                self._container.tell(Topic.HEALTH_STATUS, self.health.status)
        self._later()

    def _paused(self) -> bool:
        group = self._container.plan.group
        try:
            return group is not None and cgroups.frozen(group)
        except OSError as error:
            if error.errno not in _GONE | {errno.EOPNOTSUPP}:
                raise
            return False

    def _record(self) -> None:
        self._write(self._container.state_fd)

    def _write(self, directory_fd: int) -> None:
        try:
            records.write(directory_fd, verdict.RECORD, self.health, sync=False)
        except OSError as error:  # a full disk: the container runs on, and is asked again
            note(f"the health cannot be recorded: {error}")


def _said(told: bytes) -> tuple[int, str]:
    """Return the exit status and the output that a child told."""
    try:
        code, output = json.loads(told.rpartition(b"\n")[2])
    except ValueError:
        return -1, "the process that makes the check was killed"
    return int(code), str(output)


def _remains(kind: int, number: int) -> bool:
    """Wait for what has ended of some children (waitid(2)); tell whether there are more."""
    try:
        while os.waitid(kind, number, os.WEXITED | os.WNOHANG) is not None:
            continue
    except ChildProcessError:
        return False
    return True


def _forget(directory_fd: int) -> None:
    """Remove the health of the run before."""
    try:
        os.unlink(verdict.RECORD, dir_fd=directory_fd)
    except FileNotFoundError:
        return
