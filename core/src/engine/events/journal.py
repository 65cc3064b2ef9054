"""The journal of events: ``<root>/events/journal``, a JSON object a line, appended to by every command and every shim.

Imported by the shim: standard library only.

A write with O_APPEND is one piece on a local file system, whoever else writes at that moment, so no writer takes a lock
or waits for another. A full disk, a kill in the middle of a write or a power cut (nothing is synced) can cut a line
short: a line begins with an empty one, so that a cut one spoils no other, and readers leave out what is no event.

A journal of `LIMIT` bytes becomes ``journal.1`` and takes the place of the last one. Who opened it before and writes
now writes to ``journal.1``, where readers look too; who was stopped for so long that even that is gone writes again.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterable, Iterator

from engine.contracts.observer import Event, Topic

CURRENT, PREVIOUS = "journal", "journal.1"
LIMIT = 4 << 20
"""Bytes; there is one line more in a journal, and there are two journals."""
_LOCK = "lock"


def append(directory: str, *events: Event) -> None:
    """Write events, in one piece. Raises `OSError` when they cannot be written, as on a full disk."""
    data = b"".join(map(encode, events))
    written = _write(directory, data)
    while not written.st_nlink:
        written = _write(directory, data)
    if written.st_size > LIMIT:
        _rotate(directory)


def encode(event: Event) -> bytes:
    """Return the line of an event."""
    return f"\n{json.dumps(event._asdict())}\n".encode()


def decode(line: bytes) -> Event | None:
    """Return the event of a line; None for one that was cut short, or was written by another version."""
    try:
        plain = json.loads(line)
        return Event(**{**plain, "topic": Topic(plain["topic"])})
    except (ValueError, TypeError, KeyError):
        return None


def newest_first(directory: str) -> Iterator[Event]:
    """Yield every event in the journal, the last one that was written first."""
    for name in (CURRENT, PREVIOUS):
        try:
            with open(f"{directory}/{name}", "rb") as file:
                lines = file.read().splitlines()
        except FileNotFoundError:
            continue
        yield from _decoded(reversed(lines))


def _decoded(lines: Iterable[bytes]) -> Iterator[Event]:
    for line in lines:
        event = decode(line) if line else None
        if event is not None:
            yield event


def _write(directory: str, data: bytes) -> os.stat_result:
    """Write to the current journal; return what it is then."""
    fd = _open(directory)
    try:
        if os.write(fd, data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), f"{directory}/{CURRENT}")
        return os.fstat(fd)
    finally:
        os.close(fd)


def _open(directory: str) -> int:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    try:
        return os.open(f"{directory}/{CURRENT}", flags, 0o600)
    except FileNotFoundError:
        os.makedirs(directory, 0o700, exist_ok=True)
        return os.open(f"{directory}/{CURRENT}", flags, 0o600)


def _rotate(directory: str) -> None:
    """Begin a new journal, unless somebody else does so now: then it grows by some lines more."""
    lock = os.open(f"{directory}/{_LOCK}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.stat(f"{directory}/{CURRENT}").st_size > LIMIT:
            os.rename(f"{directory}/{CURRENT}", f"{directory}/{PREVIOUS}")
    except (BlockingIOError, FileNotFoundError):
        return
    finally:
        os.close(lock)
