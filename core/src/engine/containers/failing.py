"""What kept a container from starting, kept beside its exit record until it starts: ``<root>/containers/<id>/failure``.

Written by the command that tried, which tells the user as well. A container with ``--rm`` has none: it is removed.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from time import time_ns

from engine.containers.layout import Layout
from engine.errors import EngineError
from engine.tuples import NamedTuple

_NAME = "failure"
_ROOM = 4096
_LONGEST = 512
"""Characters that are kept of each text, so that all of them fit."""


class Failure(NamedTuple):
    """A start that failed: the error's fields (`engine.errors.EngineError`), the exit status it stands for, and
    nanoseconds since the epoch."""

    what: str
    fix: str
    plugin: str
    action: str
    errno: str
    meaning: str
    code: int
    when: int


def reserve(layout: Layout, container_id: str) -> None:
    """Take the room for a failure while there is some: a full disk is what keeps many containers from starting."""
    fd = os.open(_reserved(layout, container_id), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(fd, 0, _ROOM)
    finally:
        os.close(fd)


def record(layout: Layout, container_id: str, error: EngineError) -> None:
    """Keep the error. What does not fit on a full disk is lost: the user is told, and nothing else needs it."""
    texts = (error.what, error.fix, error.plugin, error.action, error.errno, error.meaning)
    what, fix, plugin, action, errno, meaning = (text[:_LONGEST] for text in texts)
    failure = Failure(what, fix, plugin, action, errno, meaning, error.exit_code, time_ns())
    place = _reserved(layout, container_id)
    try:
        fd = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(fd, os.write(fd, json.dumps(failure._asdict()).encode()))
        finally:
            os.close(fd)
        place.rename(place.with_name(_NAME))
    except OSError:
        return


def forget(layout: Layout, container_id: str) -> None:
    """Forget the failure of an earlier start: the container is started anew. Its room stays reserved."""
    place = _reserved(layout, container_id)
    try:
        place.with_name(_NAME).rename(place)
    except FileNotFoundError:
        return


def read(layout: Layout, container_id: str) -> Failure | None:
    """Return what kept the container from starting the last time, or None."""
    try:
        return Failure(**json.loads((layout.container(container_id) / _NAME).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):  # there is none, or it was cut short on a full disk
        return None


def _reserved(layout: Layout, container_id: str) -> Path:
    return layout.container(container_id) / f".{_NAME}"
