"""OCI layouts, in archives or directories: ``oci-layout``, ``index.json``, ``blobs/`` (image-spec: image-layout.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from engine.contracts.transport import ContentSink, FetchedImage
from engine.errors import ImageError, NotFound
from engine.spec.descriptor import (
    MAX_NESTING,
    Descriptor,
    Platform,
    choose_platform,
    is_index,
    read_index,
    read_manifest,
)
from engine.spec.document import Fields, read_json, read_object
from engine_transport_archive.files import Files

LAYOUT = "oci-layout"
INDEX = "index.json"
_FULL_NAME = "io.containerd.image.name"
_REF_NAME = "org.opencontainers.image.ref.name"
_REFERENCE_TYPE = "vnd.docker.reference.type"
_MANIFEST = "manifest.json"
_CHANGED = "Get the archive again: it was cut short or changed on its way."


def fetch(files: Files, sink: ContentSink, platform: str) -> tuple[FetchedImage, ...]:
    """Put every image of the layout that is for the platform into the sink. Errors as `Transport.fetch`."""
    wanted = Platform(*platform.split("/"))
    version = read_object(files.document(LAYOUT), f"{LAYOUT} of {files.name}").text("imageLayoutVersion")
    if not version.startswith("1."):
        raise ImageError(f"{files.name} is an OCI layout of version {version!r}", fix="Write it as version 1.0.0.")
    tags = _docker_tags(files)
    images = []
    for names, described in _images(read_index(files.document(INDEX), f"{INDEX} of {files.name}").manifests, wanted):
        manifest = _manifest_for(files, described, wanted, 0)
        if manifest is not None:
            images.append(_fetch_image(files, sink, names, manifest, tags))
    if not images:
        raise NotFound(
            f"{files.name} has no image for {wanted}", fix="Choose another --platform, or get it for this one."
        )
    return tuple(images)


def _images(manifests: Sequence[Descriptor], wanted: Platform) -> list[tuple[tuple[str, ...], Descriptor]]:
    """Return the layout's images: one for each name, and those without. Platforms of one image share its name."""
    groups: dict[tuple[str, ...], list[Descriptor]] = {}
    for one in manifests:
        if _REFERENCE_TYPE not in one.annotations:
            groups.setdefault(_names(one), []).append(one)
    images = []
    for names, group in groups.items():
        if names or any(one.platform for one in group):
            chosen = choose_platform(group, wanted)
            images += [(names, chosen)] if chosen else []
        else:
            images += [(names, one) for one in group]
    return images


def _names(descriptor: Descriptor) -> tuple[str, ...]:
    """Return the full name. A ref.name that is a tag alone ("latest"), as umoci writes it, names no image."""
    full = descriptor.annotations.get(_FULL_NAME, "")
    reference = descriptor.annotations.get(_REF_NAME, "")
    if not full and (":" in reference or "/" in reference):
        full = reference
    return (full,) if full else ()


def _manifest_for(files: Files, descriptor: Descriptor, wanted: Platform, depth: int) -> Descriptor | None:
    """Go down from an index to the manifest for the platform; None when there is none."""
    if not is_index(descriptor):
        return descriptor
    if depth >= MAX_NESTING:
        raise ImageError(f"the indexes of {files.name} are nested deeper than {MAX_NESTING} levels", fix=_CHANGED)
    index = read_index(_verified(files, descriptor), f"the index {descriptor.digest}")
    chosen = choose_platform([one for one in index.manifests if _REFERENCE_TYPE not in one.annotations], wanted)
    return None if chosen is None else _manifest_for(files, chosen, wanted, depth + 1)


def _fetch_image(
    files: Files, sink: ContentSink, names: tuple[str, ...], descriptor: Descriptor, tags: dict[str, tuple[str, ...]]
) -> FetchedImage:
    manifest = read_manifest(_verified(files, descriptor), f"the manifest {descriptor.digest}")
    for number, layer in enumerate(manifest.layers):
        _put(files, sink, layer, f"layer {number + 1} of {len(manifest.layers)} ({layer.digest})")
    _put(files, sink, manifest.config, f"the configuration {manifest.config.digest}")
    _put(files, sink, descriptor, f"the manifest {descriptor.digest}")
    return FetchedImage(names or tags.get(manifest.config.digest, ()), descriptor.digest)


def _put(files: Files, sink: ContentSink, descriptor: Descriptor, what: str) -> None:
    if not files.has(_path(descriptor)):
        raise ImageError(f"{files.name} does not hold {what}", fix=_CHANGED)
    if not sink.has(descriptor.digest, descriptor.size):
        read = files.open(_path(descriptor)).read
        sink.put(read, digest=descriptor.digest, size=descriptor.size, what=what)


def _verified(files: Files, descriptor: Descriptor) -> bytes:
    data = files.document(_path(descriptor))
    if "sha256:" + hashlib.sha256(data).hexdigest() != descriptor.digest:
        raise ImageError(f"{_path(descriptor)} of {files.name} is not what its name says", fix=_CHANGED)
    return data


def _path(descriptor: Descriptor) -> str:
    return "blobs/" + descriptor.digest.replace(":", "/")


def _docker_tags(files: Files) -> dict[str, tuple[str, ...]]:
    """Return the names that a ``manifest.json`` beside the layout gives to configurations, by digest."""
    if not files.has(_MANIFEST):
        return {}
    what = f"{_MANIFEST} of {files.name}"
    listed = read_json(files.document(_MANIFEST), what)
    found = {}
    for one in Fields({"images": listed}, what).each("images", 1000):
        digest = "sha256:" + one.text("Config").rpartition("/")[2].removesuffix(".json")
        found[digest] = one.texts("RepoTags") or ()
    return found
