"""The files by which a shim tells others what it keeps; each is written whole, beside its place, and renamed.

In the state directory ``<state>/containers/<id>`` (forgotten by a reboot): ``shim`` and ``init``, the identities of the
two processes, ``group``, the cgroup that the container is in, ``name``, the container's name if it was renamed while it
ran, ``health``, what the checks found, and ``restarting``, which shim waits to start its container again, and after
what end. In the container's own directory ``<root>/containers/<id>``: ``exit``, how the last run ended, and the
``health`` that it had then. ``wanted`` beside them is `engine.shim.desired`'s.
"""

from __future__ import annotations

import json
import os
from errno import errorcode

from engine.errors import EngineError, StateError
from engine.linux import processes
from engine.linux.cgroups import Group
from engine.linux.processes import Identity
from engine.shim.protocol import Exit
from engine.spec.restart_policy import RestartPolicy
from engine.tuples import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

RESTARTING = "restarting"


class Waiting(NamedTuple):
    """The shim that waits to start its container again, and how the last run ended."""

    shim: Identity
    ended: Exit


_ROOM = 512
"""Bytes that hold every record."""


def reserve(directory_fd: int, name: str) -> None:
    """Take the room for a record that is to be written later, when the disk may be full.

    Raises `EngineError` when there is none now.
    """
    fd = os.open(f".{name}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=directory_fd)
    try:
        os.posix_fallocate(fd, 0, _ROOM)
    except OSError as error:
        raised = EngineError(
            f"there is no room to record how the container ends: {error.strerror}",
            fix="Free some space on the disk of the engine's root, then run the command again.",
        )
        raised.errno = errorcode.get(error.errno or 0, "")
        raise raised from error
    finally:
        os.close(fd)


def write(directory_fd: int, name: str, value: tuple[object, ...], *, sync: bool, length: int = 0) -> None:
    """Write a named tuple as JSON of ``length`` bytes at least; with ``sync``, it is on the disk when this returns.

    On a full disk the record stays as it was, and `OSError` is raised.
    """
    fd = os.open(f".{name}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=directory_fd)
    try:
        data = json.dumps(value).ljust(length).encode()
        written = 0
        while written < len(data):
            written += os.write(fd, data[written:])
        os.ftruncate(fd, written)
        if sync:
            os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(f".{name}", name, src_dir_fd=directory_fd, dst_dir_fd=directory_fd)
    if sync:
        os.fsync(directory_fd)


def read_identity(directory_fd: int, name: str) -> Identity | None:
    """Return the recorded process, or None when there is no record."""
    found = _read(directory_fd, name)
    return None if found is None else Identity(int(found[0]), int(found[1]), str(found[2]))


def read_group(directory_fd: int) -> Group | None:
    """Return the recorded cgroup, or None when there is no record."""
    found = _read(directory_fd, "group", length=2)
    return None if found is None else Group(dict(found[0]), str(found[1]))


def read_name(directory_fd: int) -> str | None:
    """Return the name that the container was given since it started, or None."""
    found = _read(directory_fd, "name", length=1)
    return None if found is None else str(found[0])


def read_exit(directory_fd: int) -> Exit | None:
    """Return how the last run ended, or None while there is no record of it."""
    found = _read(directory_fd, "exit")
    return None if found is None else Exit(*found)


def read_waiting(directory_fd: int) -> Waiting | None:
    """Return who waits to start the container again, or None when there is no record."""
    found = _read(directory_fd, RESTARTING, length=2)
    return None if found is None else Waiting(Identity(*found[0]), Exit(*found[1]))


def read_policy(directory_fd: int, name: str) -> RestartPolicy | None:
    """Return a recorded restart policy, or None when there is no record."""
    found = _read(directory_fd, name, length=2)
    return None if found is None else RestartPolicy(str(found[0]), int(found[1]))


def rest(state_fd: int, ended: Exit) -> None:
    """Leave of a state directory what a shim needs that waits to start its container again, and say that it does."""
    write(state_fd, RESTARTING, Waiting(processes.identity(), ended), sync=False)
    clear_state(state_fd, {"shim", "socket", RESTARTING})


def clear_state(state_fd: int, kept: set[str]) -> None:
    """Remove everything else from a state directory; what it names is undone already."""
    for name in _names(state_fd):
        if name not in kept:
            os.unlink(name, dir_fd=state_fd)


def remove_state(state_fd: int, path: str) -> None:
    """Remove a container's state directory; the journal goes last but one, the directory itself last."""
    names = _names(state_fd)
    for name in sorted(names, key=lambda one: one == "journal"):
        os.unlink(name, dir_fd=state_fd)
    os.rmdir(path)


def _read(directory_fd: int, name: str, length: int = 3) -> list[Any] | None:
    """Return what `write` wrote, at least ``length`` values."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory_fd)
    except FileNotFoundError:
        return None
    with os.fdopen(fd, "rb") as file:
        data = file.read()
    try:
        found = json.loads(data)
    except ValueError:
        found = None
    if not isinstance(found, list) or len(found) < length:
        raise StateError(f"the record {name!r} of a container is damaged: {data[:80]!r}", fix="Remove the container.")
    return found


def _names(directory_fd: int) -> list[str]:
    """Return what is in a directory now. It is opened anew: on btrfs a descriptor lists what was there when it was."""
    fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory_fd)
    try:
        return os.listdir(fd)
    finally:
        os.close(fd)
