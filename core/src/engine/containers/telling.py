"""Tell what happened to a container, after it was recorded.

What the shim does (start a container, signal it, see its end) it writes to the journal itself, by
`engine.shim.container.Container.tell`, so that the command may be killed meanwhile: of that, the command tells the
observers alone.
"""

from __future__ import annotations

import sqlite3
from time import time_ns

from engine import plugins
from engine.containers.engine import Engine
from engine.contracts.observer import CONTAINER, Event, Topic
from engine.events import journal
from engine.events.publishing import Kept, keep, publish, publish_kept
from engine.metadata.containers import Record
from engine.shim.protocol import Exit

_MOST_LABELS = 16384
"""Characters. Labels that are longer, all together, are left out: images bring them, and the journal is bounded."""


def to_tell(connection: sqlite3.Connection, topic: Topic, record: Record, **attributes: str) -> Kept:
    """Write an event of a container down in the transaction that records the fact, to be published by `tell_kept`."""
    return keep(connection, _event(topic, record, attributes))


def tell_kept(engine: Engine, kept: Kept) -> None:
    """Publish what `to_tell` wrote down, now that it is a fact."""
    publish_kept(str(engine.layout.events), engine.store.connection, kept)


def tell(engine: Engine, topic: Topic, record: Record, **attributes: str) -> None:
    """Publish an event of a container of which the store says nothing: to the journal and the observers."""
    publish(str(engine.layout.events), _event(topic, record, attributes))


def tell_observers(topic: Topic, record: Record, **attributes: str) -> None:
    """Tell the observers what the shim has written down; costs next to nothing when none is installed."""
    plugins.observers(_event(topic, record, attributes))


def tell_missed_end(engine: Engine, record: Record, ended: Exit) -> None:
    """Publish the end of a container whose shim was killed, unless that wrote it down, or not even the start.

    Where neither is in the journal any more, there was a start if the record has one.
    """
    known = (event for event in journal.newest_first(str(engine.layout.events)) if event.id == record.id)
    last = next((event.topic for event in known if event.topic in {Topic.DIE, Topic.START}), None)
    if last is Topic.DIE or (last is None and not record.started):
        return
    tell(engine, Topic.DIE, record, **ended.attributes(record.started))


def attributes_of(record: Record) -> dict[str, str]:
    """Return what every event of a container says of it: its labels, name and image."""
    labels = record.labels if sum(map(len, (*record.labels, *record.labels.values()))) <= _MOST_LABELS else {}
    return {**labels, "image": record.image_name, "name": record.name}


def _event(topic: Topic, record: Record, attributes: dict[str, str]) -> Event:
    return Event(time_ns(), CONTAINER, topic, record.id, {**attributes_of(record), **attributes})
