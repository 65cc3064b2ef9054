"""docker-archive: what ``docker save`` writes. ``manifest.json`` lists images: a configuration and layers, by file.

The format has no digests of its own but the configuration's name and its diff IDs; a manifest of the image-spec is
written for each image, always the same bytes for the same files.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator

from engine.contracts.transport import Blob, ContentSink, FetchedImage
from engine.errors import ImageError, NotFound
from engine.spec.descriptor import CONFIG, LAYER, MAX_LAYERS, Descriptor, Manifest, Platform, choose_platform
from engine.spec.document import Fields, read_json
from engine.spec.image import ImageConfig, read_config
from engine_transport_archive.files import Files

MANIFEST = "manifest.json"
_MAX_IMAGES = 1000
_CHANGED = "Get the archive again: it was cut short or changed on its way."
_DIGEST_IN_NAME = re.compile(r"(?:.*/)?([0-9a-f]{64})(?:\.json)?")
_SUFFIXES = {b"\x1f\x8b": "+gzip", b"\x28\xb5": "+zstd"}


def fetch(files: Files, sink: ContentSink, platform: str) -> tuple[FetchedImage, ...]:
    """Put every image of the archive that is for the platform into the sink. Errors as `Transport.fetch`."""
    wanted = Platform(*platform.split("/"))
    images = []
    others = set()
    for entry in _entries(files):
        name = entry.text("Config")
        data = files.document(name)
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        promised = _DIGEST_IN_NAME.fullmatch(name)
        if promised and not digest.endswith(promised[1]):
            raise ImageError(f"{name} of {files.name} is not what its name says", fix=_CHANGED)
        config = read_config(data, f"the configuration {digest}")
        if choose_platform([Descriptor(CONFIG, digest, len(data), config.platform)], wanted):
            images.append(_fetch_image(files, sink, entry, data, config))
        else:
            others.add(str(config.platform))
    if not images:
        raise NotFound(
            f"{files.name} has no image for {wanted}, only for {', '.join(sorted(others)) or 'nothing'}",
            fix="Choose another --platform, or get the image for this one.",
        )
    return tuple(images)


def _entries(files: Files) -> Iterator[Fields]:
    what = f"{MANIFEST} of {files.name}"
    return Fields({"images": read_json(files.document(MANIFEST), what)}, what).each("images", _MAX_IMAGES)


def _fetch_image(files: Files, sink: ContentSink, entry: Fields, data: bytes, config: ImageConfig) -> FetchedImage:
    paths = entry.texts("Layers") or ()
    if len(paths) != len(config.diff_ids) or len(paths) > MAX_LAYERS:
        raise ImageError(
            f"{entry.what} lists {len(paths)} layers and its configuration {len(config.diff_ids)}", fix=_CHANGED
        )
    layers = tuple(
        _fetch_layer(files, sink, path, diff_id, f"layer {number} of {len(paths)} ({path})")
        for number, (path, diff_id) in enumerate(zip(paths, config.diff_ids, strict=True), 1)
    )
    kept = _put(sink, data, "the configuration")
    manifest = Manifest(Descriptor(CONFIG, kept.digest, kept.size), layers)
    return FetchedImage(entry.texts("RepoTags") or (), _put(sink, manifest.to_bytes(), "the manifest").digest)


def _fetch_layer(files: Files, sink: ContentSink, path: str, diff_id: str, what: str) -> Descriptor:
    """Take in one layer: an uncompressed one must be what the diff ID says, another is verified when it is unpacked."""
    suffix = _SUFFIXES.get(files.open(path).read(2), "")
    member = files.open(path)
    if suffix:
        return Descriptor(LAYER + suffix, *sink.put(member.read, size=member.size, what=what))
    if not sink.has(diff_id, member.size):
        sink.put(member.read, digest=diff_id, size=member.size, what=what)
    return Descriptor(LAYER, diff_id, member.size)


def _put(sink: ContentSink, data: bytes, what: str) -> Blob:
    return sink.put(io.BytesIO(data).read, size=len(data), what=what)
