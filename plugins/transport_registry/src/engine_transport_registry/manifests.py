"""Manifests and indexes from a registry: what a name stands for, and which image of it is for a platform."""

from __future__ import annotations

import hashlib

from engine.contracts.transport import RemoteName
from engine.errors import ImageError, NotFound
from engine.spec.descriptor import (
    INDEX,
    MANIFEST,
    MAX_NESTING,
    Descriptor,
    Index,
    Platform,
    choose_platform,
    is_index,
    read_index,
)
from engine.spec.document import MAX_DOCUMENT, is_digest, read_object
from engine.tuples import NamedTuple
from engine_transport_registry.client import Client

_DOCKER = "application/vnd.docker.distribution.manifest"
_ACCEPT = ", ".join((MANIFEST, INDEX, f"{_DOCKER}.v2+json", f"{_DOCKER}.list.v2+json"))
_REFERENCE_TYPE = "vnd.docker.reference.type"
_CHANGED = "Pull it again; when that does not help, ask whoever runs the registry."


class Document(NamedTuple):
    """A manifest or an index, byte by byte, and its digest."""

    data: bytes
    digest: str
    is_index: bool


def pull_scope(path: str) -> tuple[str, ...]:
    """Return what a token must be good for to read a repository."""
    return (f"repository:{path}:pull",)


def get(client: Client, name: RemoteName) -> Document:
    """Return the document that a tag or a digest stands for, verified. Raises `NotFound`, `ImageError`."""
    wanted = name.digest or name.tag
    url = client.url(name.path, "manifests", wanted)
    data, promised = client.patience.persist(lambda: _download(client, url, name))
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    if digest != (name.digest or promised or digest):
        raise ImageError(
            f"{client.domain} sends something with the digest {digest} for {name}, which has {name.digest or promised}",
            fix=_CHANGED,
        )
    return Document(data, digest, _is_index(data, f"the manifest {digest}"))


def choose(client: Client, name: RemoteName, platform: Platform) -> tuple[Document, Document]:
    """Return what the name stands for, and going down from an index the manifest for the platform.

    Raises `NotFound` when there is none for it; otherwise as `get`.
    """
    first = found = get(client, name)
    for _ in range(MAX_NESTING):
        if not found.is_index:
            return first, found
        index = read_index(found.data, f"the index {found.digest}")
        found = get(client, name._replace(tag="", digest=_chosen(index, name, platform).digest))
    raise ImageError(f"the indexes of {name} are nested deeper than {MAX_NESTING} levels", fix=_CHANGED)


def _download(client: Client, url: str, name: RemoteName) -> tuple[bytes, str]:
    with client.request("GET", url, pull_scope(name.path), {"Accept": _ACCEPT}) as response:
        if response.status != 200:
            raise client.problem(response, f"image {name.path}{f'@{name.digest}' if name.digest else f':{name.tag}'}")
        promised = response.headers.get("Docker-Content-Digest", "")
        return response.content(MAX_DOCUMENT, f"the manifest of {name}"), promised if is_digest(promised) else ""


def _is_index(data: bytes, what: str) -> bool:
    """Tell by content. A document that is both is read differently by different tools, and so by none here."""
    fields = read_object(data, what)
    listed = "manifests" in fields.data
    if listed and ("layers" in fields.data or "config" in fields.data):
        raise ImageError(f"{what} is an index and a manifest in one", fix="Ask whoever built the image.")
    stated = fields.text("mediaType", "")
    if stated and listed != (stated in {INDEX, f"{_DOCKER}.list.v2+json"}):
        raise ImageError(f"{what} is not of the type {stated!r} that it states", fix="Ask whoever built the image.")
    return listed


def _chosen(index: Index, name: RemoteName, platform: Platform) -> Descriptor:
    images = [one for one in index.manifests if _REFERENCE_TYPE not in one.annotations]
    chosen = choose_platform(images, platform)
    if chosen is None:
        known = sorted({str(one.platform) for one in images if one.platform and one.platform.os != "unknown"})
        raise NotFound(
            f"{name} is not there for {platform}, only for {', '.join(known) or 'nothing'}",
            fix="Choose another --platform.",
        )
    if not is_index(chosen) and chosen.media_type not in {MANIFEST, ""}:
        raise ImageError(f"{name} is of the unknown type {chosen.media_type!r}", fix="Name an image.")
    return chosen
