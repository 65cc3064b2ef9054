"""What is to become of a container when it ends, as its user said last: ``wanted`` in the container's own directory.

The file is there while somebody wants the container to run: from each start by a user to the moment that one asks it to
end, when it is removed, before anything is killed. So a stop is on record whoever is killed next, also on a full disk.
In it is the restart policy. A reboot does not forget it. Commands write and remove it, the shim reads it; all as root.
"""

from __future__ import annotations

import json
import os

from engine.errors import StateError
from engine.shim import records
from engine.spec.restart_policy import NEVER, RestartPolicy

_NAME = "wanted"
_LENGTH = 64
"""Bytes, the same for every policy, so that one write changes it."""


def begin(directory_fd: int, policy: RestartPolicy) -> None:
    """Want the container to run from now on. Raises `EngineError` when there is no room to say so."""
    records.reserve(directory_fd, _NAME)
    records.write(directory_fd, _NAME, policy, sync=policy != NEVER, length=_LENGTH)


def change(directory_fd: int, policy: RestartPolicy) -> None:
    """Change the policy of a container that is wanted; one that was asked to end meanwhile stays unwanted."""
    try:
        fd = os.open(_NAME, os.O_WRONLY | os.O_CLOEXEC, dir_fd=directory_fd)
    except FileNotFoundError:
        return
    try:
        os.pwrite(fd, json.dumps(policy).ljust(_LENGTH).encode(), 0)
        os.fsync(fd)
    finally:
        os.close(fd)


def withdraw(directory_fd: int) -> None:
    """Want the container no more: it is not started again, neither by its shim nor after a reboot."""
    policy = read(directory_fd)
    if policy is None:
        return
    try:
        os.unlink(_NAME, dir_fd=directory_fd)
    except FileNotFoundError:  # another command was faster
        return
    if policy != NEVER:
        os.fsync(directory_fd)


def read(directory_fd: int) -> RestartPolicy | None:
    """Return the policy of a container that is wanted, None for one that is not."""
    try:
        return records.read_policy(directory_fd, _NAME)
    except StateError:  # cut short when the power went, as only a file can be that was not synced: no policy was in it
        return NEVER
