"""Images as one archive that every engine loads: ``manifest.json`` of docker-archive over the blobs of an OCI layout.

As ``docker save`` writes it since version 25: ``oci-layout`` and ``index.json`` (image-spec: image-layout.md) for those
who read OCI, ``manifest.json`` with paths into ``blobs/`` for those who read docker-archive. Layers are passed on as
they are stored. The same images give the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from engine.errors import StateError
from engine.images.content import ContentStore
from engine.images.image import Image, manifest_of
from engine.images.reference import Reference
from engine.spec.descriptor import INDEX, MANIFEST, Descriptor
from engine.spec.document import write_json
from engine.spec.tarheader import DIRECTORY, REGULAR, TarEntry
from engine.spec.tarwriter import END, header, padding
from engine.tuples import NamedTuple

_CHUNK = 1024 * 1024
_FULL_NAME = "io.containerd.image.name"
_REF_NAME = "org.opencontainers.image.ref.name"
_DAMAGED = "Load or pull the image again: a blob that is written anew replaces the damaged one."


class Wanted(NamedTuple):
    """An image to be saved, and the names it is to have in the archive."""

    image: Image
    names: tuple[Reference, ...]


def archive(content: ContentStore, wanted: Sequence[Wanted]) -> Iterator[bytes]:
    """Return the archive in chunks, once everything that goes into it is known to be here.

    Raises `StateError` for a blob that is lost or has another size, before the first chunk; for one whose content has
    changed on disk when that is found out, so that an archive that was written to its end is right.
    """
    chunks = _archive(content, wanted)
    first = next(chunks)
    return _continued(first, chunks)


def _continued(first: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from chunks


def _archive(content: ContentStore, wanted: Sequence[Wanted]) -> Iterator[bytes]:
    with content.leases.take() as lease:
        lease.protect(*(one.image.manifest for one in wanted))
        images = _merged(content, wanted)
        blobs = {blob.digest: blob for image in images for blob in image.blobs}
        lease.protect(*blobs)
        for blob in blobs.values():
            content.open(blob.digest, blob.size).close()
        for directory in (b"blobs/", b"blobs/sha256/"):
            yield header(TarEntry(directory, DIRECTORY, 0o755))
        for digest in sorted(blobs):
            yield from _blob(content, blobs[digest])
        for name, document in (
            ("index.json", _index(images)),
            ("manifest.json", write_json([image.docker for image in images])),
            ("oci-layout", write_json({"imageLayoutVersion": "1.0.0"})),
        ):
            yield from _file(name, document)
        yield END


class _Saved(NamedTuple):
    """One image of the archive with all its names."""

    manifest: Descriptor
    blobs: tuple[Descriptor, ...]
    names: tuple[Reference, ...]
    docker: dict[str, Any]


def _merged(content: ContentStore, wanted: Sequence[Wanted]) -> list[_Saved]:
    """Return each image once, in the order asked for."""
    names: dict[str, dict[Reference, None]] = {}
    by_id = {one.image.id: one.image for one in wanted}
    for one in wanted:
        names.setdefault(one.image.id, {}).update(dict.fromkeys(one.names))
    return [_saved(content, image, tuple(names[image.id])) for image in by_id.values()]


def _saved(content: ContentStore, image: Image, names: tuple[Reference, ...]) -> _Saved:
    manifest = manifest_of(content, image)
    info = content.info(image.manifest)
    itself = Descriptor(MANIFEST, image.manifest, info.size if info else 0)
    docker = {
        "Config": _path(manifest.config.digest),
        "RepoTags": [name.familiar for name in names if name.tag],
        "Layers": [_path(layer.digest) for layer in manifest.layers],
    }
    return _Saved(itself, (itself, manifest.config, *manifest.layers), names, docker)


def _index(images: Sequence[_Saved]) -> bytes:
    rows = []
    for image in images:
        for name in image.names or (None,):
            annotations = {_FULL_NAME: name.canonical, _REF_NAME: name.tag} if name and name.tag else {}
            rows.append(image.manifest._replace(annotations=annotations).to_plain())
    return write_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": rows})


def _blob(content: ContentStore, blob: Descriptor) -> Iterator[bytes]:
    digest = hashlib.sha256()
    yield header(_entry(_path(blob.digest), blob.size))
    with content.open(blob.digest, blob.size) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            yield chunk
    if f"sha256:{digest.hexdigest()}" != blob.digest:
        raise StateError(f"the blob {blob.digest} is damaged on disk", fix=_DAMAGED)
    yield padding(blob.size)


def _file(name: str, data: bytes) -> Iterator[bytes]:
    yield header(_entry(name, len(data)))
    yield data
    yield padding(len(data))


def _entry(name: str, size: int) -> TarEntry:
    return TarEntry(name.encode(), REGULAR, 0o644, size=size, stored=size)


def _path(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")
