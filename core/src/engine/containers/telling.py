"""Tell the observers what happened to a container, after it was recorded."""

from __future__ import annotations

from time import time_ns

from engine import plugins
from engine.contracts.observer import Event, Topic
from engine.metadata.containers import Record


def tell(topic: Topic, record: Record, **attributes: str) -> None:
    """Publish an event of a container; costs next to nothing when no observer is installed."""
    named = {"name": record.name, "image": record.image_name, **attributes}
    plugins.observers(Event(time_ns(), "container", topic, record.id, named))
