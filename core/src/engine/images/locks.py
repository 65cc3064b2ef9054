"""Locks between processes: files under flock(2), which the kernel lets go when their holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path, *, shared: bool = False, remove: bool = False) -> Iterator[None]:
    """Hold the lock file ``path`` for the body, waiting for whoever has it.

    With ``remove`` the file goes away with its last user: right for locks whose names come and go, and only together
    with an exclusive lock.
    """
    mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    while (descriptor := _lock(path, mode)) is None:
        pass
    try:
        yield
    finally:
        if remove:
            path.unlink(missing_ok=True)
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


@contextmanager
def try_locked(path: Path) -> Iterator[bool]:
    """Hold the lock file for the body if nobody has it, and give whether that is so; the file is removed after."""
    descriptor = _lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            path.unlink(missing_ok=True)
            os.close(descriptor)


def hold_new(directory: Path) -> tuple[int, Path]:
    """Make a file of a new name (it begins with the process's pid) and return its descriptor and path.

    The file is locked for as long as the descriptor is open: see `remove_abandoned`.
    """
    while True:
        path = directory / f"{os.getpid()}-{secrets.token_hex(8)}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor, path
        # A collector saw the file before it was locked, took it for a dead process's and removed it.
        os.close(descriptor)


def remove_abandoned(path: Path) -> bool:
    """Remove a file made by `hold_new` whose holder is dead; return False when it lives. True when there is none."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        path.unlink(missing_ok=True)
        return True
    finally:
        os.close(descriptor)


def _lock(path: Path, mode: int) -> int | None:
    """Return the locked descriptor; None when the file was removed while we waited, or (LOCK_NB) somebody has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, mode)
        if os.fstat(descriptor).st_nlink:
            return descriptor
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None
