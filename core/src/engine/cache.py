"""What is costly to find out and seldom changes, remembered in one small file: validated settings, installed plugins.

Each entry names the files and directories that it was made from, its *witnesses*, with a *stamp* of each (times, size,
inode). An entry is recalled only when every witness still bears its stamp, so nothing has to announce a change, and a
lost or broken file costs time and nothing else.

A change within the same tick of a file system's clock as the one before would leave the stamp as it is. Therefore
nothing is remembered whose witness changed just before it was looked at; the next command tries again.

Imported by every command: standard library only, and of that what the interpreter has loaded anyway.
"""

from __future__ import annotations

import binascii
import marshal
import os
import stat
import time
from collections.abc import Iterable, Mapping

Plain = None | bool | int | float | str | bytes | tuple["Plain", ...] | dict[str, "Plain"]
"""What is remembered."""

Stamp = tuple[int, ...]
"""Modification and change time in nanoseconds, size, inode and device; ``(errno,)`` of what cannot be looked at."""

Witness = tuple[str, Stamp]
"""A path and its stamp."""

FILE = "remembered"
_HEAD = b"engine-remembered-1\n"
_MOST = 64
"""Entries a section keeps: each environment and engine root has its own."""
_TICK = 50_000_000
"""Nanoseconds: more than a tick of the kernel's clock (10 ms at 100 Hz)."""
_COARSE_TICK = 2_000_000_000
"""For file systems that keep whole seconds, as ext4 does with inodes of 128 bytes."""
_STALE = 10
"""Seconds after which a half-written file has no writer any more."""

_Entry = tuple[object, tuple[Witness, ...], Plain]
_Sections = dict[str, list[_Entry]]

_read: dict[str, _Sections] = {}
"""What each cache directory's file held when this process read it."""


def directory(environment: Mapping[str, str] = os.environ, uid: int | None = None) -> str:
    """Return the cache directory: ``ENGINE_CACHE``, /var/cache/engine for root, the XDG place for others.

    It holds nothing that cannot be made again. A relative ``ENGINE_CACHE`` or ``XDG_CACHE_HOME`` is ignored (XDG Base
    Directory Specification, "Environment variables"). ``uid`` is the user's; None: this process's.
    """
    chosen = environment.get("ENGINE_CACHE", "")
    if os.path.isabs(chosen):
        return chosen
    if (os.geteuid() if uid is None else uid) == 0:
        return "/var/cache/engine"
    place = environment.get("XDG_CACHE_HOME", "")
    return os.path.join(place if os.path.isabs(place) else os.path.expanduser("~/.cache"), "engine")


def stamp(path: str) -> Stamp:
    """Return the stamp of a path; its absence is one too."""
    try:
        found = os.stat(path)
    except OSError as error:
        return (error.errno or 0,)
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev)


def witnesses(paths: Iterable[str]) -> tuple[Witness, ...]:
    """Return each path with its stamp. To be called before the paths are read."""
    return tuple((path, stamp(path)) for path in paths)


def recall(section: str, key: object) -> Plain:
    """Return what was remembered under the key, or None; ``key`` is plain data (see `Plain`)."""
    for known, seen, value in _sections(directory()).get(section, ()):
        if known == key and all(stamp(path) == mark for path, mark in seen):
            return value
    return None


def remember(section: str, key: object, seen: tuple[Witness, ...], value: Plain, *, most: int = _MOST) -> None:
    """Remember a value that was made from the witnesses ``seen``; the newest ``most`` of a section are kept.

    Does nothing where that is not safe yet (see the module's text) or not possible: a command works without.
    """
    now = time.time_ns()
    if any(_is_fresh(mark, now) for _path, mark in seen):
        return
    place = directory()
    _read.pop(place, None)
    sections = _sections(place)
    others = [entry for entry in sections.get(section, []) if entry[0] != key]
    sections[section] = [(key, seen, value), *others[: most - 1]]
    try:
        _write(place, sections)
    except OSError:
        # A read-only or full disk, or no home directory: what was found out is right all the same.
        return


def _is_fresh(mark: Stamp, now: int) -> bool:
    if len(mark) == 1:
        return False
    changed = mark[1]
    tick = _TICK if changed % 1_000_000_000 else _COARSE_TICK
    return abs(now - changed) < tick


def _sections(place: str) -> _Sections:
    if place not in _read:
        try:
            _read[place] = _parse(_trusted(place))
        except (OSError, ValueError, EOFError, TypeError):
            # Absent, someone else's, of another version, or damaged: as good as empty.
            _read[place] = {}
    return _read[place]


def _parse(data: bytes) -> _Sections:
    head, checksum, body = data[: len(_HEAD)], data[len(_HEAD) : len(_HEAD) + 4], data[len(_HEAD) + 4 :]
    if head != _HEAD or int.from_bytes(checksum, "big") != binascii.crc32(body):
        raise ValueError("not a file that this version wrote")
    sections: _Sections = marshal.loads(body)  # written by this user alone, see _trusted
    return sections


def _trusted(place: str) -> bytes:
    """Return the file's bytes. Raises `ValueError` unless it and its directory are this user's and no other's to write:
    it names modules that are imported, as root perhaps."""
    parent = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _check_owner(parent)
        file = os.open(FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    finally:
        os.close(parent)
    try:
        size = _check_owner(file)
        return os.read(file, size + 1)
    finally:
        os.close(file)


def _check_owner(descriptor: int) -> int:
    found = os.fstat(descriptor)
    if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ValueError("others may write here")
    return found.st_size


def _write(place: str, sections: _Sections) -> None:
    body = marshal.dumps(sections, 4)
    os.makedirs(place, mode=0o700, exist_ok=True)
    parent = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _check_owner(parent)
        _replace(parent, _HEAD + binascii.crc32(body).to_bytes(4, "big") + body)
    except ValueError as error:
        raise PermissionError(f"{place}: {error}") from error
    finally:
        os.close(parent)


def _replace(parent: int, data: bytes) -> None:
    """Write beside and rename. Another writer at this moment wins: `FileExistsError`."""
    half = f"{FILE}.new"
    try:
        if time.time() - os.stat(half, dir_fd=parent).st_mtime > _STALE:
            os.unlink(half, dir_fd=parent)
    except FileNotFoundError:
        pass
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(half, flags, 0o600, dir_fd=parent)
    try:
        os.write(file, data)
        os.rename(half, FILE, src_dir_fd=parent, dst_dir_fd=parent)
    except OSError:
        os.unlink(half, dir_fd=parent)
        raise
    finally:
        os.close(file)
