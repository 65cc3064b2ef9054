"""Tell what happened to an image: to the journal of events, and to the observers (`engine.events.publishing`)."""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING

from engine.contracts.observer import IMAGE, Event, Topic
from engine.events.publishing import Kept, keep, publish_kept

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path


def to_tell(connection: sqlite3.Connection, topic: Topic, image_id: str, names: Sequence[str]) -> Kept:
    """Write an event down for each of these names (familiar), or one when there is none.

    In the transaction that records the fact, to be published by `tell_kept`. For ``pull`` and ``push`` the ID is the
    name, as in Docker.
    """
    now = time_ns()
    attributes = [{"name": name} for name in names] or [{"name": image_id}]
    return keep(connection, *(Event(now, IMAGE, topic, image_id, one) for one in attributes))


def tell_kept(root: Path, connection: sqlite3.Connection, *kept: Kept) -> None:
    """Publish what `to_tell` wrote down, now that it is a fact. ``root`` is the engine's."""
    for one in kept:
        publish_kept(str(root / "events"), connection, one)
