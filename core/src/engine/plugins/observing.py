"""Tell every observer plugin what happened, one at a time; one that raises is reported and stops nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import EngineError
from engine.plugins.installed import index
from engine.plugins.registry import call, complain, load

if TYPE_CHECKING:
    from engine.contracts.observer import Event

HOOK = "event_published"

_silenced: set[str] = set()
"""Observers that could not be loaded: said once a process."""


def observers(event: Event) -> None:
    """Call ``event_published`` of every installed observer. Costs a look at the index when there is none.

    Called in the command's process once the event is recorded. Raises nothing of a plugin's: an observer that does not
    load, or raises, is a line on standard error with its distribution and the hook's name.
    """
    for name in index().names("observer"):
        if name not in _silenced:
            _tell(name, event)


def _tell(name: str, event: Event) -> None:
    try:
        loaded = load("observer", name)
    except EngineError as error:
        _silenced.add(name)
        complain(str(error))
        return
    try:
        call(loaded, HOOK, event=event)
    except EngineError as error:
        complain(f"{error} (observer {loaded.entry.label}, hook {HOOK})")
