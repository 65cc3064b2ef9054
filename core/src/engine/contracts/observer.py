"""What observers are told, which is what the engine's journal of events holds too (`engine.events`).

Observer hooks go to every registered plugin, one at a time, and change nothing. An observer that raises is reported
with its distribution and never takes the container down. Called in the process of the command that caused the event,
as root, after the fact was recorded.

The shim causes events as well, and imports this module, so it is lean; it loads no plugin, though. Of what it does on
its own, observers are told the end of a container, by the command that stayed with it or that the shim executes last.
The rest (``oom``, ``attach``, ``exec_*``, ``health_status``, a signal that a terminal passes on) only the journal has.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from engine.tuples import NamedTuple


class Topic(StrEnum):
    """What happened, in Docker's words."""

    CREATE = "create"
    START = "start"
    DIE = "die"
    OOM = "oom"
    STOP = "stop"
    RESTART = "restart"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    RENAME = "rename"
    UPDATE = "update"
    KILL = "kill"
    ATTACH = "attach"
    DESTROY = "destroy"
    EXEC_CREATE = "exec_create"
    EXEC_START = "exec_start"
    EXEC_DIE = "exec_die"
    HEALTH_STATUS = "health_status"
    LOAD = "load"
    IMPORT = "import"
    PULL = "pull"
    PUSH = "push"
    TAG = "tag"
    UNTAG = "untag"
    DELETE = "delete"


CONTAINER, IMAGE = "container", "image"
"""What an event can be about."""


class Event(NamedTuple):
    """An event: nanoseconds since the epoch, "container" or "image", its ID, attributes (name, image, exit code).

    ``detail`` is what Docker has behind the word: the new health, the command that is executed.
    """

    nanoseconds: int
    subject: str
    topic: Topic
    id: str
    attributes: Mapping[str, str]
    detail: str = ""

    @property
    def action(self) -> str:
        """The topic as Docker shows it, with its detail: "health_status: healthy"."""
        return f"{self.topic}: {self.detail}" if self.detail else str(self.topic)
