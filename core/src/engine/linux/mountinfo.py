"""What is mounted: /proc/PID/mountinfo, parsed (proc(5), "mountinfo"). Any process may read it."""

from __future__ import annotations

import os
from collections.abc import Iterable

from engine.tuples import NamedTuple


class MountEntry(NamedTuple):
    """One line of mountinfo. Paths are seen from the root of the process whose file was read."""

    mount_id: int
    parent_id: int
    device: str
    """``major:minor`` of st_dev of the files on it."""
    root: str
    """The directory of the filesystem that is the root of this mount: ``/`` unless it is a bind mount."""
    mount_point: str
    options: tuple[str, ...]
    """Options of this mount: ``rw``, ``nosuid``, …"""
    propagation: tuple[str, ...]
    """The optional fields: ``shared:N``, ``master:N``, ``propagate_from:N``, ``unbindable``; empty means private."""
    fstype: str
    source: str
    super_options: tuple[str, ...]
    """Options of the filesystem, shared by all its mounts; for cgroup v1 these name the controllers."""


def read(pid: int | str = "self") -> list[MountEntry]:
    """Return the mounts of a process in the kernel's order (a later one covers an earlier one). Raises OSError."""
    with open(f"/proc/{pid}/mountinfo", "rb", buffering=1 << 20) as file:
        return [parse(line) for line in file.read().splitlines()]


def parse(line: bytes) -> MountEntry:
    """Return one line of mountinfo as a value; ValueError where it is none."""
    fields = line.split(b" ")
    end = fields.index(b"-", 6)
    return MountEntry(
        int(fields[0]),
        int(fields[1]),
        fields[2].decode(),
        _path(fields[3]),
        _path(fields[4]),
        tuple(os.fsdecode(fields[5]).split(",")),
        tuple(os.fsdecode(field) for field in fields[6:end]),
        _path(fields[end + 1]),
        _path(fields[end + 2]),
        tuple(_path(fields[end + 3]).split(",")),
    )


def _path(field: bytes) -> str:
    """Undo the kernel's octal escapes (space, tab, newline, backslash, and ``#`` at times)."""
    first, *escaped = field.split(b"\\")
    if not escaped:
        return os.fsdecode(field)
    return os.fsdecode(first + b"".join(bytes([int(part[:3], 8)]) + part[3:] for part in escaped))


def find(path: str, entries: Iterable[MountEntry]) -> MountEntry | None:
    """Return the mount that an absolute, resolved path lies on: of the deepest mount point the last one mounted."""
    best: MountEntry | None = None
    for entry in entries:
        if _contains(entry.mount_point, path) and (best is None or len(entry.mount_point) >= len(best.mount_point)):
            best = entry
    return best


def at(path: str, entries: Iterable[MountEntry]) -> MountEntry | None:
    """Return the mount whose mount point is exactly ``path`` (the topmost one), or None."""
    return next((entry for entry in reversed(list(entries)) if entry.mount_point == path), None)


def below(path: str, entries: Iterable[MountEntry]) -> list[MountEntry]:
    """Return the mounts at ``path`` and beneath it."""
    return [entry for entry in entries if _contains(path, entry.mount_point)]


def of_type(fstype: str, entries: Iterable[MountEntry]) -> list[MountEntry]:
    """Return the mounts of one filesystem type."""
    return [entry for entry in entries if entry.fstype == fstype]


def _contains(directory: str, path: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")
