"""Remove what nobody uses: containers that have ended, and images that no container is made of."""

from __future__ import annotations

from time import time

from engine.containers import listing, recover, removal
from engine.containers.engine import Engine
from engine.containers.listing import View
from engine.errors import Conflict, NotFound
from engine.images.garbage import Collected
from engine.images.image import ImageSummary
from engine.metadata import containers
from engine.tuples import NamedTuple

_JUST_MADE = 10.0
"""Seconds for which a container that never started is left: the command that made it may be about to start it."""


class PrunedContainers(NamedTuple):
    """The IDs of the containers that are gone, and the bytes that they had written to their root filesystems."""

    ids: tuple[str, ...]
    bytes: int


class PrunedImages(NamedTuple):
    """The names and the IDs of the images that are gone, and what went with them."""

    untagged: tuple[str, ...]
    deleted: tuple[str, ...]
    collected: Collected


def prune_containers(engine: Engine) -> PrunedContainers:
    """Remove every container that does not run. One that starts, or is removed, meanwhile is left alone."""
    recover.everything(engine)
    gone, room = [], 0
    for view in listing.listing(engine, everything=True):
        if not _is_over(view):
            continue
        try:
            size = engine.storage(view.record.storage).usage(view.record.id).bytes
            removal.remove(engine, view.record.id)
        except (Conflict, NotFound):
            continue
        gone.append(view.record.id)
        room += size
    return PrunedContainers(tuple(gone), room)


def prune_images(engine: Engine, *, everything: bool = False) -> PrunedImages:
    """Remove the images without a name that no container is made of, or with ``everything`` those with names too.

    A digest that an image was pulled by is no name: it has that still when its tag has moved on.
    """
    untagged: list[str] = []
    deleted: list[str] = []
    for image in engine.library.list():
        if (everything or not image.names) and not containers.using_image(engine.store.connection, image.id):
            _remove(engine, image, untagged, deleted)
    drivers = {name: engine.storage(name) for name in engine.library.drivers_in_use()}
    return PrunedImages(tuple(untagged), tuple(deleted), engine.library.collect(drivers, unfinished=True))


def _is_over(view: View) -> bool:
    if view.status.state == "created":
        return time() - view.record.created / 1e9 > _JUST_MADE
    return view.status.state == "exited"


def _remove(engine: Engine, image: ImageSummary, untagged: list[str], deleted: list[str]) -> None:
    for text in (*image.names, *image.digests) or (image.id,):
        try:
            removed = engine.library.remove(text)
        except NotFound:  # it is gone, or went with a tag in its repository
            continue
        except Conflict:  # a container was made of it meanwhile
            return
        untagged += removed.untagged
        deleted += removed.deleted
