"""What observers are told. Observer hooks go to every registered plugin, one at a time, and change nothing.

An observer that raises is reported with its distribution and never takes the container down. Called in the process of
the command that caused the event, as root, after the fact was recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class Topic(StrEnum):
    """What happened, in Docker's words."""

    CREATE = "create"
    START = "start"
    DIE = "die"
    STOP = "stop"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    RENAME = "rename"
    UPDATE = "update"
    KILL = "kill"
    DESTROY = "destroy"
    EXEC = "exec"
    LOAD = "load"
    TAG = "tag"
    UNTAG = "untag"


class Event(NamedTuple):
    """An event: nanoseconds since the epoch, "container" or "image", its ID, attributes (name, image, exit code)."""

    nanoseconds: int
    subject: str
    topic: Topic
    id: str
    attributes: Mapping[str, str]
