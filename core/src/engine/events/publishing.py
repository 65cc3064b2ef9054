"""Publish what a command did: into the journal, and to the observers. Called once the deed is durable."""

from __future__ import annotations

from engine import plugins
from engine.contracts.observer import Event
from engine.events import journal
from engine.plugins.registry import complain


def publish(directory: str, *events: Event) -> None:
    """Write events to the journal in that directory, and tell the observers. Raises nothing.

    What was done is done: that it cannot be written down (a full disk) is a warning. A command that is killed between
    its deed and this call has done it unseen.
    """
    try:
        journal.append(directory, *events)
    except OSError as error:
        complain(f"what happened cannot be written to the journal of events: {error.strerror}")
    for event in events:
        plugins.observers(event)
