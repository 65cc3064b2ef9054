"""A container's root filesystem, opened for reading or writing from outside: `commit`, `export`, `cp`.

Nothing is mounted anywhere. Of a container that does not run, the storage driver's mount is made and stays detached: a
descriptor, whose mount is gone when it is closed, and so also when this process is killed. Of a container that runs, a
second mount of the same snapshot would be undefined (kernel, filesystems/overlayfs), so the shim's own is cloned, or
its root is entered as its init sees it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from engine.actions.base import Slots
from engine.actions.rootfs import mounted
from engine.actions.sharing import TakeMount
from engine.containers import status
from engine.containers.engine import Engine
from engine.errors import Conflict
from engine.linux import processes
from engine.metadata.containers import Record

_SLOT = "rootfs"


@contextmanager
def bare(engine: Engine, record: Record) -> Iterator[int]:
    """Give a descriptor (O_PATH) of the root with none of the container's mounts on it; its lock is held for the body.

    Raises `Conflict` while the container starts or ends.
    """
    with engine.locked(record.id):
        now = status.of(engine.layout, record)
        fd = _clone(engine, record, now) if now.has_task else _mount(engine, record)
        try:
            yield fd
        finally:
            os.close(fd)


@contextmanager
def inhabited(engine: Engine, record: Record) -> Iterator[int]:
    """Give a descriptor of the root as the container itself has it: with its mounts while it runs. Else as `bare`."""
    with engine.locked(record.id):
        now = status.of(engine.layout, record)
        fd = _enter(engine, record, now) if now.has_task else _mount(engine, record)
        try:
            yield fd
        finally:
            os.close(fd)


def _mount(engine: Engine, record: Record) -> int:
    """Return the last of the storage driver's mounts: each covers the one before."""
    *_, last = engine.storage(record.storage).mounts(record.id)
    return mounted(last.fstype, last.source, last.options, last.attributes)


def _clone(engine: Engine, record: Record, now: status.Status) -> int:
    """Return a clone of the mount that the shim made, without what is mounted on it in the container."""
    if not now.shim or not now.pid:
        raise _between(record)
    shim = processes.identity(now.shim)
    if status.of(engine.layout, record).shim != now.shim:
        raise _between(record)
    place = os.path.realpath(engine.layout.container(record.id) / "rootfs")
    engine.close()  # a process is forked, which must not have the store open
    slots: Slots = {}
    TakeMount(*shim, path=place, slot=_SLOT).run(slots)
    return slots[_SLOT]


def _enter(engine: Engine, record: Record, now: status.Status) -> int:
    """Return the root directory of the init, whose /proc directory is held so that no later process can be meant."""
    if not now.pid:
        raise _between(record)
    try:
        process = os.open(f"/proc/{now.pid}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise _between(record) from None
    try:
        if status.of(engine.layout, record).pid != now.pid:
            raise _between(record)
        return os.open("root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=process)
    except (FileNotFoundError, ProcessLookupError):
        raise _between(record) from None
    finally:
        os.close(process)


def _between(record: Record) -> Conflict:
    return Conflict(f"container {record.name!r} is starting or ending just now", fix="Run the command again.")
