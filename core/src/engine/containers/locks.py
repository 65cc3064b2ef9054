"""One command at a time on a container: flock(2) on a file in the state directory.

A lock dies with its holder, so nothing is ever left locked. Only who changes a container takes its lock; `ps`,
`inspect`, `logs` and `exec` never do, so a command that hangs on one container holds up none of them.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep

from engine.containers.layout import Layout
from engine.errors import Conflict

_PATIENCE = 60.0
_PAUSE = 0.01


@contextmanager
def locked(layout: Layout, container_id: str, *, wait: bool = True) -> Iterator[bool]:
    """Hold the container's lock in the block; yield whether it was got (always true with ``wait``).

    Raises `Conflict` when another command holds it for longer than a minute.
    """
    path = layout.state / "locks" / container_id
    fd = _acquire(str(path), _PATIENCE if wait else 0.0)
    try:
        if fd is None and wait:
            raise Conflict(
                f"another command has been working on container {container_id[:12]} for more than a minute",
                fix="Wait for it, or find who holds the lock: `fuser " + str(path) + "`.",
            )
        yield fd is not None
    finally:
        if fd is not None:
            os.close(fd)


def forget(layout: Layout, container_id: str) -> None:
    """Remove the lock's file; call it with the lock held, once the container is gone."""
    (layout.state / "locks" / container_id).unlink(missing_ok=True)


def _acquire(path: str, patience: float) -> int | None:
    deadline = monotonic() + patience
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            if monotonic() >= deadline:
                return None
            sleep(_PAUSE)
            continue
        if _is_current(fd, path):
            return fd
        os.close(fd)  # removed between open and flock: the container it belonged to is gone


def _is_current(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False
