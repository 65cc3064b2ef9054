"""Descriptors, indexes and manifests: what points at what (image-spec: descriptor.md, image-index.md, manifest.md).

Docker's older media types are read as their OCI twins. Read by the command's process and by transport plugins; standard
library only. All parsing of documents raises `engine.errors.ImageError`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from engine.errors import ImageError, InvalidInput
from engine.spec.document import REFUSED, Fields, read_object, write_json
from engine.tuples import NamedTuple

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"

MAX_MANIFESTS = 1000
MAX_LAYERS = 500
"""More than any storage driver stacks: overlayfs stops at 500 lower layers (fs/overlayfs/params.h, OVL_MAX_STACK)."""
MAX_NESTING = 4
"""How deep an index may hold an index."""

_TWINS = {
    "application/vnd.docker.distribution.manifest.list.v2+json": INDEX,
    "application/vnd.docker.distribution.manifest.v2+json": MANIFEST,
    "application/vnd.docker.container.image.v1+json": CONFIG,
    "application/vnd.docker.image.rootfs.diff.tar": LAYER,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": f"{LAYER}+gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd": f"{LAYER}+zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip": f"{LAYER}+gzip",
}
_LAYERS = {
    LAYER, f"{LAYER}+gzip", f"{LAYER}+zstd",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
}  # fmt: skip
_MACHINES = {
    "x86_64": ("amd64", ""), "i686": ("386", ""), "aarch64": ("arm64", "v8"), "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"), "ppc64le": ("ppc64le", ""), "s390x": ("s390x", ""), "riscv64": ("riscv64", ""),
    "loongarch64": ("loong64", ""),
}  # fmt: skip


class Platform(NamedTuple):
    """An operating system and a processor, in Go's names ("linux", "amd64"); ``variant`` is "" or like "v8"."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in self if part)


class Descriptor(NamedTuple):
    """A blob by its digest, with what it is and how many bytes it has."""

    media_type: str
    digest: str
    size: int
    platform: Platform | None = None
    annotations: Mapping[str, str] = {}  # never changed

    def to_plain(self) -> dict[str, Any]:
        """Return the descriptor as the JSON object of the image-spec."""
        plain: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.platform:
            plain["platform"] = {key: value for key, value in self.platform._asdict().items() if value}
        if self.annotations:
            plain["annotations"] = dict(self.annotations)
        return plain


class Index(NamedTuple):
    """A list of manifests, one a platform, or one an image of an archive."""

    manifests: tuple[Descriptor, ...]


class Manifest(NamedTuple):
    """One image for one platform: its configuration and its layers, the lowest first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]

    def to_bytes(self) -> bytes:
        """Return the manifest's canonical serialisation."""
        layers = [layer.to_plain() for layer in self.layers]
        return write_json(
            {"schemaVersion": 2, "mediaType": MANIFEST, "config": self.config.to_plain(), "layers": layers}
        )


def machine_platform() -> Platform:
    """Return the platform of the running kernel; ``uname -m`` as the architecture where it is not a known one."""
    machine = os.uname().machine
    return Platform("linux", *_MACHINES.get(machine, (machine, "")))


def parse_platform(text: str, flag: str = "--platform") -> Platform:
    """Return the platform that a flag names as OS/ARCH[/VARIANT]. Raises `InvalidInput`."""
    parts = text.split("/")
    if len(parts) not in {2, 3} or not all(parts):
        raise InvalidInput(
            f"{flag} {text!r} is not of the form OS/ARCH[/VARIANT]", fix="Write for example linux/arm64."
        )
    return Platform(*parts)


def read_descriptor(fields: Fields) -> Descriptor:
    """Return the descriptor that a JSON object holds, Docker's media types replaced by their OCI twins."""
    media_type = fields.text("mediaType", "")
    platform = fields.fields("platform")
    return Descriptor(
        _TWINS.get(media_type, media_type),
        fields.digest("digest"),
        fields.count("size"),
        read_platform(platform) if platform.data else None,
        fields.mapping("annotations"),
    )


def read_platform(fields: Fields) -> Platform:
    """Return the platform that a descriptor's or a configuration's JSON object holds."""
    return Platform(fields.text("os", ""), fields.text("architecture", ""), fields.text("variant", ""))


def read_index(data: bytes, what: str) -> Index:
    """Return the index in ``data``; ``what`` names it in errors."""
    fields = read_object(data, what)
    return Index(tuple(read_descriptor(one) for one in fields.each("manifests", MAX_MANIFESTS)))


def read_manifest(data: bytes, what: str) -> Manifest:
    """Return the manifest in ``data``; `ImageError` also when it is an artifact and no image."""
    fields = read_object(data, what)
    if "config" not in fields.data:
        old = " of the old schema 1" if "fsLayers" in fields.data else ""
        raise ImageError(f"{what} is no image manifest{old}: it has no configuration", fix=REFUSED)
    config = read_descriptor(fields.fields("config"))
    if config.media_type != CONFIG:
        raise ImageError(f"{what} is an artifact of type {config.media_type!r}, not an image", fix="Name an image.")
    layers = tuple(read_descriptor(one) for one in fields.each("layers", MAX_LAYERS))
    for layer in layers:
        if layer.media_type not in _LAYERS:
            raise ImageError(f"{what} has a layer of the unknown type {layer.media_type!r}", fix=REFUSED)
    return Manifest(config, layers)


def is_index(descriptor: Descriptor) -> bool:
    """Return whether the descriptor points at an index."""
    return descriptor.media_type == INDEX


def choose_platform(manifests: Sequence[Descriptor], wanted: Platform) -> Descriptor | None:
    """Return the first manifest for ``wanted``, else one of the same processor whose variant is not stated; else None.

    A descriptor without a platform is taken to be for this one: archives of one image seldom state it.
    """
    best: Descriptor | None = None
    for one in manifests:
        platform = one.platform or wanted
        if platform[:2] != wanted[:2]:
            continue
        if platform.variant == wanted.variant:
            return one
        if best is None and not (platform.variant and wanted.variant):
            best = one
    return best
