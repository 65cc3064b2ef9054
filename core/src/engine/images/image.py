"""An image as the commands see it, and how its parts are named in the store."""

from __future__ import annotations

from typing import Any

from engine.errors import ImageError, NotFound, StateError
from engine.images.content import ContentStore
from engine.images.reference import parse_canonical
from engine.metadata.images import ImageRow
from engine.spec.descriptor import CONFIG, Descriptor, Manifest, Platform, choose_platform, read_manifest
from engine.spec.image import ImageConfig, chain_ids, read_config
from engine.tuples import NamedTuple

_AGAIN = "Remove it with `engine rmi --force`, and load or pull it again."


class Image(NamedTuple):
    """One image in the store.

    ``id`` is its configuration's digest; ``names`` (``busybox:latest``) and ``digests`` (``busybox@sha256:…``) are in
    the familiar form, sorted; ``size`` counts the bytes of its blobs; ``created`` is RFC 3339 or "".
    """

    id: str
    names: tuple[str, ...]
    digests: tuple[str, ...]
    manifest: str
    size: int
    created: str
    config: ImageConfig

    @property
    def snapshots(self) -> tuple[str, ...]:
        """The names of its layers' committed snapshots, the lowest first; the last one is a container's parent."""
        return tuple(snapshot_name(chain) for chain in chain_ids(self.config.diff_ids))

    def suits(self, platform: Platform) -> bool:
        """Return whether it is for that platform; a variant counts only where both name one."""
        itself = Descriptor(CONFIG, self.id, 0, self.config.platform)
        return choose_platform([itself], platform) is not None


class ImageSummary(NamedTuple):
    """A line of `engine images`; fields as in `Image`."""

    id: str
    names: tuple[str, ...]
    digests: tuple[str, ...]
    size: int
    created: str


def snapshot_name(chain_id: str) -> str:
    """Return the name that a layer's committed snapshot has in every storage driver."""
    return chain_id.replace(":", "-")


def summary(row: ImageRow) -> ImageSummary:
    """Return the line that lists an image."""
    names, digests = _familiar(row.names)
    return ImageSummary(row.id, names, digests, row.size, row.created)


def read_image(content: ContentStore, row: ImageRow) -> Image:
    """Return the image with its configuration, which is verified. Raises `StateError` when that is lost or damaged."""
    try:
        config = read_config(content.read(row.id), f"the configuration {row.id}")
    except (NotFound, ImageError) as error:
        raise StateError(f"the image {row.id} is damaged: {error.what}", fix=_AGAIN) from error
    names, digests = _familiar(row.names)
    return Image(row.id, names, digests, row.manifest, row.size, row.created, config)


def manifest_of(content: ContentStore, image: Image) -> Manifest:
    """Return the image's manifest, which is verified. Raises `StateError` when it is lost or damaged."""
    try:
        return read_manifest(content.read(image.manifest), f"the manifest {image.manifest}")
    except (NotFound, ImageError) as error:
        raise StateError(f"the image {image.id} is damaged: {error.what}", fix=_AGAIN) from error


def inspected(image: Image, unpacked: dict[str, str]) -> dict[str, Any]:
    """Return what `image inspect` prints, with Docker's names; ``unpacked`` maps drivers to snapshots."""
    config = image.config
    return {
        "Id": image.id,
        "RepoTags": list(image.names),
        "RepoDigests": list(image.digests),
        "Comment": config.history[-1].comment if config.history else "",
        "Created": image.created,
        "Author": config.author,
        "Config": config.config.to_plain(),
        "Architecture": config.platform.architecture,
        "Variant": config.platform.variant,
        "Os": config.platform.os,
        "Size": image.size,
        "RootFS": {"Type": "layers", "Layers": list(config.diff_ids)},
        "History": [step.to_plain() for step in config.history],
        "Manifest": image.manifest,
        "Unpacked": unpacked,
    }


def _familiar(names: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    references = [parse_canonical(name) for name in names]
    tags = sorted(one.familiar for one in references if not one.digest)
    return tuple(tags), tuple(sorted(one.familiar for one in references if one.digest))
