"""Write down what a command did that was killed before it could say so: each event once, whoever else does the same."""

from __future__ import annotations

import sqlite3

from engine import plugins
from engine.contracts.observer import Event
from engine.events import journal
from engine.events.publishing import forget, untold
from engine.metadata.transactions import transaction


def tell_untold(directory: str, connection: sqlite3.Connection) -> None:
    """Write the events that killed commands left in the store to the journal, and tell the observers.

    In a write transaction, so one command does so at a time. An event that is in the journal already (its command was
    killed between the two) is only forgotten; so is one that the next command finds there after this one was killed.
    Raises `OSError` when the journal cannot be written and `EngineError` for the store: then the rows stay.
    """
    new: list[Event] = []
    with transaction(connection):
        left = untold(connection)
        events = [event for event in left.values() if event is not None]
        known = [event for event in journal.newest_first(directory) if event in events] if events else []
        new = [event for event in events if event not in known]
        if new:
            journal.append(directory, *new)
        forget(connection, tuple(left))
    for event in new:
        plugins.observers(event)
