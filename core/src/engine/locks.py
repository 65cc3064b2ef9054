"""Locks between processes: files under flock(2), which the kernel lets go when their holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

_PAUSE = 0.01


@contextmanager
def locked(path: Path, *, shared: bool = False, remove: bool = False, patience: float | None = None) -> Iterator[bool]:
    """Hold the lock file ``path`` for the body, and give whether that is so.

    It is always so without ``patience``, which is how many seconds to wait at most for whoever has it; 0 is not at all.
    With ``remove`` the file goes away with its last user: right for locks whose names come and go, and only together
    with an exclusive lock.
    """
    descriptor = _acquire(path, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, patience)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            if remove:
                path.unlink(missing_ok=True)
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # a child that was forked meanwhile has the descriptor too
            os.close(descriptor)


def hold_new(directory: Path) -> tuple[int, Path]:
    """Make a file of a new name (it begins with the process's pid) and return its descriptor and path.

    The file is locked for as long as the descriptor is open: see `remove_abandoned`.
    """
    while True:
        path = directory / f"{os.getpid()}-{os.urandom(8).hex()}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor, path
        # A collector saw the file before it was locked, took it for a dead process's and removed it.
        os.close(descriptor)


def hold(path: Path) -> int:
    """Return the descriptor of the locked file ``path``, to be closed; it is made, or what it holds is kept.

    Waits for whoever has it, and again when that one has removed or renamed it.
    """
    while True:
        descriptor = _acquire(path, fcntl.LOCK_EX, None)
        if descriptor is not None:
            with suppress(FileNotFoundError):
                if os.path.samestat(os.stat(path), os.fstat(descriptor)):
                    return descriptor
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


def _acquire(path: Path, mode: int, patience: float | None) -> int | None:
    """Return the descriptor of the locked file, None when somebody had it for all of ``patience``."""
    end = None if patience is None else monotonic() + patience
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, mode if end is None else mode | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_nlink:
                return descriptor
        except BlockingIOError:
            if end is not None and monotonic() >= end:
                os.close(descriptor)
                return None
            sleep(_PAUSE)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # held by another, or removed between open and flock with what it was for
