"""Publish what a command did: into the journal, and to the observers. Called once the deed is durable.

Where the deed is a commit to the store, its events are rows of that very transaction (`keep`) until they are in the
journal (`publish_kept`). A command that is killed in between leaves them, and the next one writes them down
(`engine.events.recovering`). A row is an insert and a delete, some 0.1 ms; nothing waits for the disk.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from engine import plugins
from engine.contracts.observer import Event
from engine.errors import EngineError
from engine.events import journal
from engine.linux import processes
from engine.metadata.transactions import transaction
from engine.plugins.registry import complain
from engine.tuples import NamedTuple


class Kept(NamedTuple):
    """Events that are in the store until they are in the journal, and the numbers of their rows."""

    numbers: tuple[int, ...] = ()
    events: tuple[Event, ...] = ()


def keep(connection: sqlite3.Connection, *events: Event) -> Kept:
    """Write events down in a transaction that the caller has begun, under the name of this process."""
    worker, numbers = json.dumps(processes.identity()), []
    for event in events:
        row = (worker, journal.encode(event).decode())
        numbers.append(
            connection.execute("INSERT INTO untold_events (worker, event) VALUES (?, ?)", row).lastrowid or 0
        )
    return Kept(tuple(numbers), events)


def publish_kept(directory: str, connection: sqlite3.Connection, kept: Kept) -> None:
    """Write the events to the journal, tell the observers, and forget the rows, whose transaction is committed.

    What cannot be written now (a full disk) stays for the next command, which then tells the observers; rows that
    cannot be deleted do too, and it finds their events in the journal. Raises nothing.
    """
    if not _written(directory, kept.events):
        return
    _tell_observers(kept.events)
    try:
        with transaction(connection):
            forget(connection, kept.numbers)
    except EngineError:
        return


def forget(connection: sqlite3.Connection, numbers: tuple[int, ...]) -> None:
    """Delete rows, in a transaction that the caller has begun."""
    connection.executemany("DELETE FROM untold_events WHERE number=?", [(number,) for number in numbers])


def untold(connection: sqlite3.Connection) -> dict[int, Event | None]:
    """Return the events of commands that have ended without telling them, by the numbers of their rows.

    Costs a look where there are none. None stands for what is no event to this version of the engine.
    """
    rows = connection.execute("SELECT number, worker, event FROM untold_events ORDER BY number").fetchall()
    left = [row for row in rows if not processes.alive(processes.Identity(*json.loads(row[1])))]
    return {number: journal.decode(event.encode()) for number, _worker, event in left}


def publish(directory: str, *events: Event) -> None:
    """Write events of which the store says nothing to the journal in that directory, and tell the observers.

    What was done is done: that it cannot be written down (a full disk) is a warning. A command that is killed between
    its deed and this call has done it unseen. Raises nothing.
    """
    _written(directory, events)
    _tell_observers(events)


def _written(directory: str, events: Sequence[Event]) -> bool:
    try:
        journal.append(directory, *events)
    except OSError as error:
        complain(f"what happened cannot be written to the journal of events: {error.strerror}")
        return False
    return True


def _tell_observers(events: Sequence[Event]) -> None:
    for event in events:
        plugins.observers(event)
