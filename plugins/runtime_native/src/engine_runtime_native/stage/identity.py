"""Becoming the process's user: ids that `engine.linux.identity` looked up in the image."""

from __future__ import annotations

from collections.abc import Iterable

from engine.actions.base import Slots, Step, action
from engine.linux import capabilities, identity
from engine.linux.identity import Resolved, environment, resolve
from engine.tuples import NamedTuple

__all__ = ["BecomeUser", "Resolved", "environment", "resolve", "settled"]


@action("setuid")
class BecomeUser(NamedTuple):
    """Take on the ids, keeping capabilities for the step that sets them. CHILD_AFTER_PIVOT.

    ``name`` is what was asked for; the ids are filled in from the image before this runs.
    """

    name: str
    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()

    def describe(self) -> str:
        """Return the sentence."""
        return f"become user {self.name or self.uid}"

    def run(self, slots: Slots) -> None:
        """Set groups, group and user."""
        capabilities.keep_on_setuid()
        identity.set_ids(self.uid, self.gid, self.groups)


def settled(steps: Iterable[Step], user: Resolved) -> list[Step]:
    """Return the steps with the ids filled in."""
    return [
        step._replace(action=step.action._replace(uid=user.uid, gid=user.gid, groups=user.groups))
        if isinstance(step.action, BecomeUser)
        else step
        for step in steps
    ]
