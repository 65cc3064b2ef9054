"""The images of one engine: what the commands `load import save pull push commit images rmi tag image` and `run` call.

Made by the command's process over the engine's root and the store's connection; nothing is held open but that. Text
that users type is a name, an ID or the beginning of one, see `Library.resolve`.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from engine.contracts.observer import Topic
from engine.errors import Conflict, InvalidInput, NotFound
from engine.images import reference
from engine.images.content import ContentStore
from engine.images.image import Image, ImageSummary, inspected, manifest_of, read_image, summary
from engine.images.progress import Progress, silent
from engine.metadata import containers, images
from engine.metadata.images import ImageRow
from engine.metadata.transactions import transaction
from engine.tuples import NamedTuple

if TYPE_CHECKING:
    from engine.contracts.storage import StorageDriver
    from engine.contracts.transport import Source, Transport
    from engine.events.publishing import Kept
    from engine.images.garbage import Collected
    from engine.images.loading import Loaded, Loader
    from engine.images.remote import Pulled, Pushed
    from engine.images.unpacking import Unpacker
    from engine.spec.descriptor import Platform
    from engine.spec.image import History, RunConfig

STANDARD_INPUT = "-"


class Removed(NamedTuple):
    """What `Library.remove` did: the names (familiar) that are gone, and the IDs of the images that are."""

    untagged: tuple[str, ...]
    deleted: tuple[str, ...]


class Library:
    """The images below ``root`` (the engine's), recorded over ``connection`` (the metadata store's)."""

    def __init__(self, root: Path, connection: sqlite3.Connection) -> None:
        self._root = root
        self.content = ContentStore(root / "content")
        self._connection = connection

    def resolve(self, text: str) -> Image:
        """Return the image of that full ID, name, or unambiguous beginning of an ID (four digits at least), in this
        order.

        Raises `NotFound`, `Conflict` for an ambiguous beginning, `InvalidInput` for what can be neither name nor ID,
        `StateError` when its configuration is damaged.
        """
        return read_image(self.content, self._find(text))

    def list(self) -> tuple[ImageSummary, ...]:
        """Return every image, the newest first."""
        return tuple(summary(row) for row in images.everything(self._connection))

    def holds(self, text: str, platform: Platform | None = None) -> bool:
        """Return whether `resolve` would find the image, for that platform where it matters. Raises as `resolve`."""
        try:
            row = self._find(text)
        except NotFound:
            return False
        return platform is None or read_image(self.content, row).suits(platform)

    def inspect(self, text: str) -> dict[str, Any]:
        """Return everything about an image, under Docker's names; errors as `resolve`."""
        image = self.resolve(text)
        top = image.snapshots[-1] if image.snapshots else ""
        return inspected(image, dict.fromkeys(images.unpacked(self._connection, top), top))

    def tag(self, text: str, target: str) -> None:
        """Give an image one more name, which another image may lose by it. Errors as `resolve`; `InvalidInput`."""
        from engine.images.telling import tell_kept, to_tell

        name = reference.parse(target)
        if name.digest:
            raise InvalidInput(f"{target!r} has a digest, which cannot be given", fix="Leave out what follows the @.")
        row = self._find(text)
        with transaction(self._connection):
            images.point(self._connection, name.canonical, row.id)
            kept = to_tell(self._connection, Topic.TAG, row.id, (name.familiar,))
        tell_kept(self._root, self._connection, kept)

    def remove(self, text: str, *, force: bool = False) -> Removed:
        """Take a name away, and with its last name the image; by ID, the image with its names.

        The digests it was pulled by go with the last tag in their repository. Raises `Conflict` when a container is
        made of it or an ID has names of several repositories: ``force`` overrules both. Blobs and snapshots go with the
        next `collect`.
        """
        from engine.images.telling import tell_kept

        row = self._find(text)
        name = self._name_of(text, row)
        going = _going_with(name, row.names) if name else row.names
        if len(going) < len(row.names):
            with transaction(self._connection):
                for one in going:
                    images.unpoint(self._connection, one)
                kept = self._to_tell(row, removed := Removed(_familiar(going), ()))
            tell_kept(self._root, self._connection, *kept)
            return removed
        if not force:
            self._refuse_used(text, row, by_id=not name)
        with transaction(self._connection):
            images.delete(self._connection, row.id)
            kept = self._to_tell(row, removed := Removed(_familiar(row.names), (row.id,)))
        tell_kept(self._root, self._connection, *kept)
        return removed

    def load(
        self,
        source: str,
        transports: Sequence[Transport],
        *,
        platform: Platform | None = None,
        storage: tuple[str, StorageDriver] | None = None,
        progress: Progress = silent,
    ) -> tuple[Loaded, ...]:
        """Take in the images of a file, a directory or (``-``) standard input with the first transport that reads it.

        With ``storage``, a driver under its name, they are unpacked too, so that every digest is verified. Raises
        `NotFound` for a missing file, `InvalidInput` when no transport reads it, and as `Transport.fetch` and
        `Unpacker.unpack` do; then nothing is kept.
        """
        with _opened(source) as opened:
            transport = next((one for one in transports if one.can_read(opened)), None)
            if transport is None:
                raise InvalidInput(
                    f"{opened.name} is no image archive that an installed transport reads",
                    fix="Name a docker-archive, OCI archive or OCI directory; `engine import` reads root filesystems.",
                )
            return self._loader(storage, progress, Topic.LOAD).fetch(transport, opened, platform)

    def pull(
        self,
        text: str,
        transports: Sequence[Transport],
        *,
        platform: Platform | None = None,
        storage: tuple[str, StorageDriver] | None = None,
        progress: Progress = silent,
    ) -> Pulled:
        """Take in an image from the registry that its name says, with the first transport that reads there.

        Raises `InvalidInput` for what is no name, and as `Transport.fetch` and `Unpacker.unpack` do. What was cut off
        is there for the next attempt.
        """
        from engine.images.remote import pull

        return pull(self._loader(storage, progress, Topic.PULL), text, transports, platform)

    def tagged(self, text: str, transports: Sequence[Transport]) -> tuple[str, ...]:
        """Return the names of all images of the repository that a name without a tag is of, from its registry.

        Raises `InvalidInput` for a name with a tag, `NotFound` for no such repository, and as `Transport.tags` does.
        """
        from engine.images.remote import tagged

        return tagged(text, transports)

    def push(self, text: str, transports: Sequence[Transport], progress: Progress = silent) -> Pushed:
        """Send the image of that name to the registry that the name says. Errors as `resolve` and `Transport.push`."""
        from engine.images.remote import push

        return push(self._loader(None, progress), text, transports)

    def import_rootfs(
        self,
        source: str,
        name: str | None = None,
        *,
        changes: Sequence[str] = (),
        message: str = "",
        storage: tuple[str, StorageDriver] | None = None,
        progress: Progress = silent,
    ) -> Loaded:
        """Make an image of a root filesystem's tarball (a file, or ``-``), compressed with gzip, zstd or not.

        ``changes`` are instructions of a Dockerfile, ``message`` goes into the history. Errors as `load`, and
        `InvalidInput` for a change or name that is none.
        """
        target = reference.parse(name) if name else None
        with _opened(source) as opened:
            if opened.file is None:
                raise InvalidInput(f"{source} is a directory", fix=f"Pack it: tar -C {source} -c . | engine import -.")
            loader = self._loader(storage, progress, Topic.IMPORT)
            return loader.import_layer(opened.file, opened.name, target, changes, message)

    def commit(
        self,
        base: Image,
        layer: Iterable[bytes],
        config: RunConfig,
        step: History,
        name: str | None = None,
        progress: Progress = silent,
    ) -> Loaded:
        """Make an image of ``base`` and one more layer, an uncompressed archive; see `Loader.add_layer`.

        Raises `InvalidInput` for a name that is none.
        """
        target = reference.parse(name) if name else None
        return self._loader(None, progress).add_layer(base, layer, config, step, target)

    def save(self, texts: Sequence[str]) -> Iterator[bytes]:
        """Return the archive of these images; see `engine.images.saving`. Errors as `resolve`, all before any byte."""
        from engine.images.saving import Wanted, archive

        wanted = []
        for text in texts:
            name = self._name_of(text, self._find(text))
            names = (reference.parse_canonical(name),) if name else ()
            wanted.append(Wanted(self.resolve(text), names))
        return archive(self.content, wanted)

    def layer_sizes(self, image: Image) -> tuple[int, ...]:
        """Return the bytes of each layer as it is stored, the lowest first. Raises `StateError`."""
        return tuple(layer.size for layer in manifest_of(self.content, image).layers)

    def ensure_unpacked(
        self, image: Image, driver: StorageDriver, name: str, progress: Progress = silent
    ) -> str | None:
        """Return the committed snapshot a container's is prepared on, unpacking what is missing; None without layers.

        Cheap when it was done before. Any number of commands may call it at a time. Errors as `Unpacker.unpack`.
        """
        return self._unpacker((name, driver), progress).unpack(image)

    def drivers_in_use(self) -> tuple[str, ...]:
        """Return the names of the storage drivers that hold layers of images: those `collect` wants."""
        return images.unpacking_drivers(self._connection)

    def collect(self, drivers: Mapping[str, StorageDriver], *, unfinished: bool = False) -> Collected:
        """Remove every blob, and in these drivers every snapshot, that nobody needs; see `engine.images.garbage`."""
        from engine.images.garbage import collect

        return collect(self.content, self._connection, drivers, unfinished=unfinished)

    def _to_tell(self, row: ImageRow, removed: Removed) -> tuple[Kept, ...]:
        from engine.images.telling import to_tell

        told = {Topic.UNTAG: removed.untagged} if removed.untagged else {}
        told |= {Topic.DELETE: ()} if removed.deleted else {}
        return tuple(to_tell(self._connection, topic, row.id, names) for topic, names in told.items())

    def _find(self, text: str) -> ImageRow:
        digits = reference.id_prefix(text)
        row = images.by_id(self._connection, f"sha256:{digits}") if digits and reference.is_full_id(text) else None
        if row is None and not (digits and reference.is_full_id(text)):
            row = self._find_name(text, digits)
        if row is None and digits:
            rows = images.by_prefix(self._connection, digits)
            if len(rows) > 1:
                raise Conflict(f"several images' IDs begin with {text!r}", fix="Give more of the ID.")
            row = rows[0] if rows else None
        if row is None:
            raise NotFound(f"there is no image {text!r}", fix="`engine images` lists them; `engine pull` brings more.")
        return row

    def _find_name(self, text: str, digits: str | None) -> ImageRow | None:
        try:
            name = reference.parse(text)
        except InvalidInput:
            if digits:
                return None
            raise
        if name.digest:
            name = name._replace(tag="")
        return images.named(self._connection, name.canonical)

    def _name_of(self, text: str, row: ImageRow) -> str:
        """Return the canonical name when the text named the image, "" when it was an ID."""
        try:
            name = reference.parse(text)
        except InvalidInput:
            return ""
        canonical = name._replace(tag="").canonical if name.digest else name.canonical
        return canonical if canonical in row.names else ""

    def _refuse_used(self, text: str, row: ImageRow, *, by_id: bool) -> None:
        users = [name for _, name in containers.using_image(self._connection, row.id)]
        if users:
            raise Conflict(
                f"the image {text} is used by the container{'s' * (len(users) > 1)} {', '.join(sorted(users))}",
                fix="Remove those first with `engine rm`, or give --force: they keep what they have.",
            )
        repositories = {reference.parse_canonical(name).repository for name in row.names}
        if by_id and len(repositories) > 1:
            raise Conflict(
                f"the image {text} has names in {len(repositories)} repositories: {', '.join(summary(row).names)}",
                fix="Remove it by its names, or give --force.",
            )

    def _loader(
        self, storage: tuple[str, StorageDriver] | None, progress: Progress, topic: Topic | None = None
    ) -> Loader:
        from engine.images.loading import Loader

        unpacker = self._unpacker(storage, progress) if storage else None
        return Loader(self.content, self._connection, unpacker, progress, topic, self._root)

    def _unpacker(self, storage: tuple[str, StorageDriver], progress: Progress) -> Unpacker:
        from engine.images.unpacking import Unpacker

        return Unpacker(*storage, self.content, self._connection, progress)


def _going_with(name: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return what goes when ``name`` does: with the last tag in its repository, the digests there."""
    gone = reference.parse_canonical(name)
    there = [one for one in map(reference.parse_canonical, names) if one.repository == gone.repository]
    if not gone.tag or any(one.tag not in ("", gone.tag) for one in there):
        return (name,)
    return tuple(one.canonical for one in there)


def _familiar(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(reference.parse_canonical(one).familiar for one in names)


@contextmanager
def _opened(name: str) -> Iterator[Source]:
    """Give the source of that name, open. What is neither a file nor a directory nor a pipe is `InvalidInput`."""
    from engine.contracts.transport import Source

    if name == STANDARD_INPUT:
        yield Source("standard input", sys.stdin.buffer)
        return
    file = _open(name)
    if file is None:
        yield Source(name, path=name)
        return
    with file:
        yield Source(name, file)


def _open(name: str) -> BinaryIO | None:
    """Open a file or pipe, return None for a directory. A device is refused before it is opened: opening may act."""
    try:
        mode = os.stat(name).st_mode
        if stat.S_ISDIR(mode):
            return None
        if not stat.S_ISREG(mode) and not stat.S_ISFIFO(mode):
            raise InvalidInput(f"{name} is neither a file nor a directory", fix="Name an archive or an OCI directory.")
        return open(name, "rb", buffering=0)
    except OSError as error:
        kind = NotFound if isinstance(error, FileNotFoundError) else InvalidInput
        raise kind(f"cannot read {name}: {error.strerror}", fix="Name a file or directory that you may read.") from None
