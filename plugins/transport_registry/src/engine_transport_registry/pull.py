"""Pull (distribution-spec, "Pull"): the manifest for the platform, and those of its blobs that are not here yet."""

from __future__ import annotations

import hashlib
from functools import partial
from io import BytesIO

from engine.contracts.transport import ContentSink, FetchedImage, RemoteName
from engine.errors import ImageError, NotFound
from engine.spec.descriptor import CONFIG, Descriptor, Manifest, Platform, choose_platform, read_manifest
from engine.spec.document import MAX_DOCUMENT
from engine.spec.image import read_config
from engine_transport_registry import manifests
from engine_transport_registry.blobs import BlobReader, begin
from engine_transport_registry.client import Client
from engine_transport_registry.parallel import each


def pull(client: Client, name: RemoteName, sink: ContentSink, platform: Platform, workers: int) -> FetchedImage:
    """Put the image into the sink. The configuration comes first: it says whether the rest is worth its while.

    Raises `Passing`, `NotFound`, `ImageError`, and what the sink raises.
    """
    first, document = manifests.choose(client, name, platform)
    manifest = read_manifest(document.data, f"the manifest {document.digest}")
    config = _config(client, name, manifest.config)
    _check_platform(config, manifest, name, platform)
    sink.put(BytesIO(config).read, digest=manifest.config.digest, size=len(config), what="the configuration")
    sink.expect(document.data)
    numbered = {layer.digest: (number, layer) for number, layer in reversed(list(enumerate(manifest.layers, 1)))}
    deeds = [
        partial(_layer, client, name.path, layer, f"layer {number} of {len(manifest.layers)} ({layer.digest})", sink)
        for number, layer in sorted(numbered.values())
    ]
    each(deeds, workers, client.stop)
    sink.put(BytesIO(document.data).read, digest=document.digest, what="the manifest")
    return FetchedImage((), document.digest, first.digest)


def _config(client: Client, name: RemoteName, blob: Descriptor) -> bytes:
    """Return the configuration, verified, from the registry: few bytes, so it is not asked whether it is here."""
    what = f"the configuration {blob.digest}"
    if blob.size > MAX_DOCUMENT:
        raise ImageError(f"{what} is larger than {MAX_DOCUMENT} bytes", fix="Ask whoever built the image.")
    reader = BlobReader(client, name.path, blob, 0)
    data = b""
    try:
        while len(data) <= blob.size and (more := reader.read(blob.size + 1)):
            data += more
    finally:
        reader.close()
    if (len(data), "sha256:" + hashlib.sha256(data).hexdigest()) != (blob.size, blob.digest):
        raise ImageError(f"{client.domain} sends something else for {what}", fix="Ask whoever runs the registry.")
    return data


def _check_platform(config: bytes, manifest: Manifest, name: RemoteName, platform: Platform) -> None:
    itself = read_config(config, f"the configuration {manifest.config.digest}").platform
    if choose_platform([Descriptor(CONFIG, manifest.config.digest, len(config), itself)], platform) is None:
        raise NotFound(f"{name} is for {itself}, not for {platform}", fix=f"Give --platform {itself}, if that will do.")


def _layer(client: Client, path: str, layer: Descriptor, what: str, sink: ContentSink) -> None:
    if sink.has(layer.digest, layer.size):
        return
    opened: list[BlobReader] = []
    try:
        sink.resume(begin(client, path, layer, opened), layer.digest, layer.size, what=what)
    finally:
        for reader in opened:
            reader.close()
