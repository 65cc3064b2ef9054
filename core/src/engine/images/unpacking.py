"""Images unpacked for a storage driver: each layer once, as a committed snapshot named by its chain ID.

Any number of commands may ask for the same image at a time: a lock for each driver and layer lets one unpack while the
others wait and then find it done. A command killed in between leaves an active snapshot ``unpack-<hex>`` with no lock:
the next one to come removes it and begins again, and so does `engine.images.garbage`.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from engine.contracts.storage import SnapshotKind, StorageDriver
from engine.errors import StateError
from engine.images.content import ContentStore
from engine.images.image import Image, manifest_of, snapshot_name
from engine.images.leases import Lease
from engine.images.progress import Progress, silent
from engine.locks import locked
from engine.metadata import images
from engine.metadata.transactions import transaction
from engine.spec.descriptor import Descriptor
from engine.spec.image import chain_ids
from engine.tuples import NamedTuple

ACTIVE_PREFIX = "unpack-"


class _Todo(NamedTuple):
    """A layer: its snapshot's name and that of the one below, the blob, what that unpacks to, its name in errors."""

    name: str
    parent: str | None
    layer: Descriptor
    diff_id: str
    what: str


def _nothing() -> None:
    """Go on."""


class Unpacker(NamedTuple):
    """A storage driver under its name, and where layers come from."""

    name: str
    driver: StorageDriver
    content: ContentStore
    connection: sqlite3.Connection
    progress: Progress = silent

    def unpack(self, image: Image, lease: Lease | None = None) -> str | None:
        """Unpack what is missing of the image; return the top snapshot's name, None for an image without layers.

        Raises `ImageError` for a broken or hostile layer, `StateError` when its blob is lost, `EngineError` on a full
        disk; the half-written snapshot is removed, layers that are done stay.
        """
        names = image.snapshots
        if not names:
            return None
        if lease is None:
            if self.name in images.unpacked(self.connection, names[-1]):
                return names[-1]
            with self.content.leases.take() as own:
                return self.unpack(image, own)
        lease.protect(*names)
        layers = manifest_of(self.content, image).layers
        if len(layers) != len(names):
            raise StateError(f"the image {image.id} has {len(layers)} layers and {len(names)} diff IDs")
        for number in range(len(layers)):
            self.unpack_layer(layers, image.config.diff_ids, number)
        return names[-1]

    def unpack_layer(
        self, layers: Sequence[Descriptor], diff_ids: Sequence[str], number: int, check: Callable[[], None] = _nothing
    ) -> None:
        """Unpack one of an image's layers, counted from 0, if that was not done yet; those below it are.

        ``check`` is called now and then; what it raises ends the work, and takes it back. Errors as `unpack`.
        """
        names = [snapshot_name(chain) for chain in chain_ids(diff_ids[: number + 1])]
        what = f"layer {number + 1} of {len(layers)} ({layers[number].digest})"
        todo = _Todo(names[-1], names[-2] if number else None, layers[number], diff_ids[number], what)
        if self.name in images.unpacked(self.connection, todo.name):
            return
        with locked(lock_path(self.content, self.name, todo.name), remove=True):
            if not self._is_committed(todo.name):
                self._unpack(todo, check)
        with transaction(self.connection):
            images.note_unpacked(self.connection, self.name, todo.name)

    def _unpack(self, todo: _Todo, check: Callable[[], None]) -> None:
        from engine.images.unpack import unpack_layer

        key, layer = active_key(todo.name), todo.layer
        self.driver.remove(key)
        with self.content.open(layer.digest, layer.size) as file:
            try:
                self.driver.prepare(key, todo.parent)
                target = self.driver.unpack_target(key)
                unpack_layer(file, target, todo.diff_id, todo.what, self._reporter(file, todo, check))
                self.driver.commit(key, todo.name)
            except BaseException:
                self.driver.remove(key)
                raise
        self.progress(_unpacking(todo.what), layer.size, layer.size)

    def _reporter(self, file: BinaryIO, todo: _Todo, check: Callable[[], None]) -> Callable[[int], None]:
        """Return a function that reports how much of the layer as it is stored was read: its whole is known."""
        what, size = todo.what, todo.layer.size

        def report(_uncompressed: int) -> None:
            check()
            position = os.lseek(file.fileno(), 0, os.SEEK_CUR)
            self.progress(_unpacking(what), min(position, size - 1), size)

        return report

    def _is_committed(self, name: str) -> bool:
        return any(one.name == name and one.kind is SnapshotKind.COMMITTED for one in self.driver.snapshots())


def _unpacking(what: str) -> str:
    return f"unpacking {what}"


def active_key(name: str) -> str:
    """Return the key of the active snapshot in which the layer of the committed ``name`` is unpacked."""
    return ACTIVE_PREFIX + name.removeprefix("sha256-")


def lock_path(content: ContentStore, driver: str, name: str) -> Path:
    """Return the file that is locked while the layer is being unpacked for the driver."""
    return content.locks / f"{driver}-{name}"
