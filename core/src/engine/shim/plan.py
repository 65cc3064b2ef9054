"""What the launcher tells the shim: everything about one run of one container, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.actions.task import Task
from engine.linux.cgroups import Group
from engine.linux.cgroups import from_plain as group_from_plain
from engine.tuples import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any


class Plan(NamedTuple):
    """One run.

    ``directory``   the container's own directory (config.json, rootfs, log, exit), the runtime's bundle
    ``state``       its state directory (journal, identities, socket)
    ``stage``       the runtime's stage module; ``paths``: where it and the sink are found
    ``group``       the container's cgroup, for killing and exec; None when there is none to watch
    ``unit``        ask the launcher to make the cgroup driver's unit once there is a pid
    ``sink``        the log driver's module and arguments, or None
    ``stdin``       "none", "once" (closed when the first attached client closes it) or "open"
    ``attach``      the launcher's connection is the first attached client
    ``sync``        the exit record is on disk before anyone is told (not needed when it is removed at once)
    ``timeout``     seconds after which the container is killed; 0: never
    ``reaper``      command to execute when the container has ended and the launcher, which would have done its work, is
                    gone; empty: none
    ``again``       command to execute when the container is to be started again; three words are added: how often that
                    was done, the back-off before it in seconds, and whether the observers know of the end
    ``environment`` what these commands get as environment
    ``restarts``    how often the container was started again before; ``delay``: the back-off before this run, seconds
    ``trace``       measure every step, and tell the launcher
    ``health``      how to check the container's health, as `engine.shim.verdict.Settings` has it; None: not at all
    ``events``      directory of the journal of events; "": none is kept. ``attributes``: what each event says
    """

    directory: str
    state: str
    stage: str
    paths: Sequence[str]
    task: Task
    group: Group | None
    unit: bool
    sink: Sequence[Any] | None
    stdin: str
    attach: bool
    sync: bool
    timeout: float
    reaper: Sequence[str]
    again: Sequence[str]
    environment: Mapping[str, str]
    restarts: int = 0
    delay: float = 0.0
    trace: bool = False
    health: Mapping[str, Any] | None = None
    events: str = ""
    attributes: Mapping[str, str] = {}  # never changed

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready data."""
        group = None if self.group is None else self.group.to_plain()
        return {**self._asdict(), "task": self.task.to_plain(), "group": group}

    @staticmethod
    def of_plain(data: Mapping[str, Any], task: Task) -> Plan:
        """Return the plan that `to_plain` described; its task is decoded apart, once the stage's actions are known."""
        group = None if data["group"] is None else group_from_plain(data["group"])
        return Plan(**{**data, "task": task, "group": group})
