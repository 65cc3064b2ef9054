"""What images and containers take on the disk, and what of it would be free if nobody's were gone."""

from __future__ import annotations

from engine.containers import listing
from engine.containers.engine import Engine
from engine.contracts.storage import SnapshotKind
from engine.errors import NotFound
from engine.metadata import containers, images
from engine.metadata.containers import Record
from engine.tuples import NamedTuple


class Kind(NamedTuple):
    """One kind of things: how many there are and are in use, the bytes of all, and of what none in use needs."""

    name: str
    total: int
    active: int
    bytes: int
    reclaimable: int


class Size(NamedTuple):
    """The bytes that a container has written to its root filesystem, and those with its image's files."""

    written: int
    whole: int


def disk_usage(engine: Engine) -> tuple[Kind, Kind]:
    """Return what images (as stored, and unpacked for storage drivers) and containers take. Looks at every file."""
    return _images(engine), _containers(engine)


def size_of(engine: Engine, record: Record) -> Size:
    """Return how much a container takes; what another command removes meanwhile is nothing."""
    storage = engine.storage(record.storage)
    try:
        written = storage.usage(record.id).bytes
        below = engine.library.resolve(record.image).snapshots if record.image else ()
        return Size(written, written + sum(storage.usage(name).bytes for name in below))
    except NotFound:
        return Size(0, 0)


def _images(engine: Engine) -> Kind:
    found = engine.library.list()
    used = [one.id for one in found if containers.using_image(engine.store.connection, one.id)]
    needed = images.needed(engine.store.connection, used)
    sizes = {blob.digest: blob.size for blob in engine.library.content.blobs()}
    for name in engine.library.drivers_in_use():
        storage = engine.storage(name)
        layers = [one.name for one in storage.snapshots() if one.kind is SnapshotKind.COMMITTED]
        for layer in layers:
            sizes[layer] = sizes.get(layer, 0) + storage.usage(layer).bytes
    idle = sum(size for name, size in sizes.items() if name not in needed)
    return Kind("Images", len(found), len(used), sum(sizes.values()), idle)


def _containers(engine: Engine) -> Kind:
    views = listing.listing(engine, everything=True)
    sizes = [(view.status.running, size_of(engine, view.record).written) for view in views]
    return Kind(
        "Containers",
        len(views),
        sum(running for running, _ in sizes),
        sum(size for _, size in sizes),
        sum(size for running, size in sizes if not running),
    )
