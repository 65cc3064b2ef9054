"""A container that stands still while its files are read, and goes on afterwards, whatever becomes of the reader."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from engine.containers import groups, status
from engine.containers.engine import Engine
from engine.contracts.cgroup import Capability
from engine.errors import EngineError
from engine.linux import cgroups
from engine.linux.cgroups import Group
from engine.metadata.containers import Record


@contextmanager
def still(engine: Engine, record: Record, *, wanted: bool = True) -> Iterator[None]:
    """Freeze the container's cgroup for the body, if it runs and is not frozen already, and if that is ``wanted``.

    A forked child thaws it: it waits for the end of a pipe, which comes with the end of the body or of this process.
    A cgroup driver that cannot freeze leaves the container running. Raises `EngineError` when a process cannot be
    frozen.
    """
    group = groups.of(engine.layout, record.id)
    freezes = Capability.FREEZE in engine.cgroup(record.cgroup).capabilities
    if (
        not wanted
        or group is None
        or not freezes
        or not status.of(engine.layout, record).running
        or cgroups.frozen(group)
    ):
        yield
        return
    engine.close()  # a process is forked, which must not have the store open
    reading, writing = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if not child:
        _thaw_at_the_end(group, reading, writing)
    os.close(reading)
    try:
        _freeze(group, record)
        yield
    finally:
        os.close(writing)
        _reap(child)


def _freeze(group: Group, record: Record) -> None:
    try:
        cgroups.freeze(group)
    except (TimeoutError, FileNotFoundError) as error:
        raise EngineError(
            f"container {record.name!r} could not be paused: {error}",
            fix="Look at what its processes wait for, or stop it first.",
        ) from error


def _thaw_at_the_end(group: Group, reading: int, writing: int) -> None:
    """Wait in the child, where no key reaches it, and never return."""
    code = 1
    try:
        os.close(writing)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        os.read(reading, 1)
        cgroups.thaw(group)
        code = 0
    finally:
        os._exit(code)


def _reap(child: int) -> None:
    try:
        os.waitpid(child, 0)
    except ChildProcessError:  # whoever started us ignores SIGCHLD, so the kernel has reaped it
        return
