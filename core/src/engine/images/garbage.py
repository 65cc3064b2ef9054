"""Garbage: blobs and snapshots that no image, no container and no running command needs. Mark, then sweep, under a
lock.

Containers need no mark: their snapshot has a layer's as its parent, and a driver refuses to remove a parent.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping

from engine.contracts.storage import SnapshotKind, StorageDriver
from engine.errors import Conflict
from engine.images.content import ContentStore
from engine.images.unpacking import ACTIVE_PREFIX, lock_path
from engine.locks import locked
from engine.metadata import images
from engine.metadata.transactions import transaction
from engine.tuples import NamedTuple

_LAYER_PREFIX = "sha256-"


class Collected(NamedTuple):
    """What a collection removed: blobs, their bytes, snapshots ("driver: name"), and what killed commands left."""

    blobs: int = 0
    bytes: int = 0
    snapshots: tuple[str, ...] = ()
    abandoned: int = 0


def collect(
    content: ContentStore,
    connection: sqlite3.Connection,
    drivers: Mapping[str, StorageDriver],
    *,
    unfinished: bool = False,
) -> Collected:
    """Remove what nobody needs from the content store and from the drivers given, which are those in use here.

    With ``unfinished``, also what a pull that was cut off would go on with. Safe beside every other command; waits for
    nothing but another collection. May be killed and run again.
    """
    with content.leases.collecting() as leased:
        needed = leased | images.needed(connection)
        snapshots = []
        for name, driver in drivers.items():
            snapshots += [f"{name}: {one}" for one in _sweep(content, connection, name, driver, needed)]
        blobs = [blob for blob in content.blobs() if blob.digest not in needed]
        for blob in blobs:
            content.remove(blob.digest)
    abandoned = content.remove_abandoned(unfinished=unfinished)
    return Collected(len(blobs), sum(blob.size for blob in blobs), tuple(snapshots), abandoned)


def _sweep(
    content: ContentStore, connection: sqlite3.Connection, name: str, driver: StorageDriver, needed: frozenset[str]
) -> Iterator[str]:
    """Remove the driver's layers that are not needed, and abandoned unpacking; yield what was removed.

    What the driver has lost (its directory was removed by hand) is forgotten, so that it is unpacked anew.
    """
    remembered = images.unpacked_layers(connection, name)
    parents: dict[str, str | None] = {}
    for one in list(driver.snapshots()):
        if one.kind is SnapshotKind.COMMITTED and one.name.startswith(_LAYER_PREFIX):
            parents[one.name] = one.parent
        elif one.name.startswith(ACTIVE_PREFIX) and _remove_abandoned(content, name, driver, one.name):
            yield one.name
    for lost in remembered - set(parents):
        _forget(connection, name, lost)
    while leaves := set(parents) - set(parents.values()) - needed:
        for layer in sorted(leaves):
            del parents[layer]
            _forget(connection, name, layer)
            if _remove(driver, layer):
                yield layer


def _forget(connection: sqlite3.Connection, name: str, layer: str) -> None:
    with transaction(connection):
        images.forget_unpacked(connection, name, layer)


def _remove_abandoned(content: ContentStore, name: str, driver: StorageDriver, key: str) -> bool:
    layer = _LAYER_PREFIX + key.removeprefix(ACTIVE_PREFIX)
    with locked(lock_path(content, name, layer), remove=True, patience=0) as free:
        if free:
            driver.remove(key)
        return free


def _remove(driver: StorageDriver, layer: str) -> bool:
    try:
        driver.remove(layer)
    except Conflict:
        return False  # a container stands on it, and once that is gone it goes with the next collection
    return True
