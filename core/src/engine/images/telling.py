"""Tell what happened to an image, after it was recorded: to the journal of events, and to the observers."""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING

from engine.contracts.observer import IMAGE, Event, Topic
from engine.events.publishing import publish

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def tell(root: Path, topic: Topic, image_id: str, names: Sequence[str]) -> None:
    """Publish an event of an image for each of these names (familiar), or one when it has none.

    ``root`` is the engine's. For ``pull`` and ``push`` the ID is the name, as in Docker.
    """
    now = time_ns()
    attributes = [{"name": name} for name in names] or [{"name": image_id}]
    publish(str(root / "events"), *(Event(now, IMAGE, topic, image_id, one) for one in attributes))
