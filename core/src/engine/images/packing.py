"""Layers compressed before they are first sent. `commit` and `import` store them as they come, which is quicker.

The image stays what it is: its ID, its diff IDs and its snapshots are of uncompressed layers. Its manifest changes, and
with it the digest by which registries know it; so only manifests of the engine's own writing, in no registry yet, are
changed, and once: the next push sends the same. Called by the command's process.
"""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections.abc import Iterator
from io import BytesIO, FileIO

from engine.errors import StateError
from engine.images.compression import CHUNK, ahead
from engine.images.content import ContentStore
from engine.images.image import read_image
from engine.images.reference import parse_canonical
from engine.images.sink import StoreSink
from engine.metadata import images
from engine.metadata.images import ImageRow
from engine.metadata.transactions import transaction
from engine.spec.descriptor import LAYER, Descriptor, Manifest, read_manifest

_LEVEL = 6
"""zlib's own choice. A gzip header of zlib's has no time in it, so the same layer gives the same blob."""
_GZIP = 31
_AGAIN = "Load the image again, or commit it again."


def pack(row: ImageRow, store: ContentStore, connection: sqlite3.Connection, sink: StoreSink) -> ImageRow:
    """Return the image with its layers compressed, recorded so; as it is where there is nothing to do.

    Raises `StateError` for a damaged layer, `EngineError` on a full disk.
    """
    data = store.read(row.manifest)
    manifest = read_manifest(data, f"the manifest {row.manifest}")
    if manifest.to_bytes() != data or any(parse_canonical(name).digest for name in row.names):
        return row
    layers = tuple(_packed(layer, store, sink) for layer in manifest.layers)
    if layers == manifest.layers:
        return row
    made = Manifest(manifest.config, layers)
    digest = sink.put(BytesIO(made.to_bytes()).read, what="the manifest").digest
    blobs = {blob.digest: blob.size for blob in (made.config, *layers)}
    packed = row._replace(manifest=digest, size=sum(blobs.values()))
    with transaction(connection):
        if images.by_id(connection, row.id) is not None:
            images.put(connection, packed, [digest, *blobs, *read_image(store, row).snapshots])
    return packed


def _packed(layer: Descriptor, store: ContentStore, sink: StoreSink) -> Descriptor:
    if layer.media_type != LAYER:
        return layer
    with store.open(layer.digest, layer.size) as file, ahead(_compressed(file, layer.digest)) as chunks:
        return Descriptor(f"{LAYER}+gzip", *sink.put(lambda _: next(chunks, b""), what=f"compressing {layer.digest}"))


def _compressed(file: FileIO, digest: str) -> Iterator[bytes]:
    member, actual = zlib.compressobj(_LEVEL, wbits=_GZIP), hashlib.sha256()
    while data := file.read(CHUNK):
        actual.update(data)
        if chunk := member.compress(data):
            yield chunk
    if f"sha256:{actual.hexdigest()}" != digest:
        raise StateError(f"the layer {digest} is damaged on disk", fix=_AGAIN)
    yield member.flush()
