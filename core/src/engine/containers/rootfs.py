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
from engine.containers import identities, status
from engine.containers.engine import Engine
from engine.contracts.common import IdMap
from engine.errors import Conflict
from engine.linux import processes
from engine.metadata import containers
from engine.metadata.containers import Record
from engine.tuples import NamedTuple

_SLOT = "rootfs"


class Root(NamedTuple):
    """A descriptor (O_PATH) of the root, and the identity map by which its files are seen: only while it runs."""

    fd: int
    ids: IdMap | None


@contextmanager
def bare(engine: Engine, record: Record) -> Iterator[Root]:
    """Give the root with none of the container's mounts on it; its lock is held for the body.

    Raises `Conflict` while the container starts or ends.
    """
    with engine.locked(record.id):
        now = status.of(engine.layout, record)
        root = _clone(engine, record, now) if now.has_task else Root(_mount(engine, record), None)
        try:
            yield root
        finally:
            os.close(root.fd)


@contextmanager
def inhabited(engine: Engine, record: Record) -> Iterator[Root]:
    """Give the root as the container itself has it: with its mounts while it runs. Else as `bare`."""
    with engine.locked(record.id):
        now = status.of(engine.layout, record)
        root = _enter(engine, record, now) if now.has_task else Root(_mount(engine, record), None)
        try:
            yield root
        finally:
            os.close(root.fd)


def _mount(engine: Engine, record: Record) -> int:
    """Return the last of the storage driver's mounts, each of which covers the one before, with the ids on disk."""
    *_, last = engine.storage(record.storage).mounts(record.id)
    return mounted(last.fstype, last.source, last.options, last.attributes)


def _ids(engine: Engine, record: Record) -> IdMap | None:
    """Return the map of a running container, whose record says it since its start."""
    return identities.mapped(containers.find(engine.store.connection, record.id).id_map)


def _clone(engine: Engine, record: Record, now: status.Status) -> Root:
    """Return a clone of the mount that the shim made, without what is mounted on it in the container."""
    if not now.shim or not now.pid:
        raise _between(record)
    shim = processes.identity(now.shim)
    if status.of(engine.layout, record).shim != now.shim:
        raise _between(record)
    place, ids = os.path.realpath(engine.layout.container(record.id) / "rootfs"), _ids(engine, record)
    engine.close()  # a process is forked, which must not have the store open
    slots: Slots = {}
    TakeMount(*shim, path=place, slot=_SLOT).run(slots)
    return Root(slots[_SLOT], ids)


def _enter(engine: Engine, record: Record, now: status.Status) -> Root:
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
        ids = _ids(engine, record)
        return Root(os.open("root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=process), ids)
    except (FileNotFoundError, ProcessLookupError):
        raise _between(record) from None
    finally:
        os.close(process)


def _between(record: Record) -> Conflict:
    return Conflict(f"container {record.name!r} is starting or ending just now", fix="Run the command again.")
