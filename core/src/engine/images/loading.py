"""Images into the store: from a transport's source, or from a root filesystem's tarball.

Blobs come first, under a lease; then everything is checked; last, in one transaction, the image and its names are
recorded. What fails on the way is collected again before the error reaches the user.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from time import time_ns
from typing import BinaryIO

from engine.contracts.observer import Topic
from engine.contracts.transport import Blob, FetchedImage, Source, Transport
from engine.errors import ImageError, InvalidInput
from engine.events.publishing import Kept
from engine.images import changes as dockerfile
from engine.images.compression import ahead, is_compressed, uncompressed
from engine.images.content import ContentStore, full_disk
from engine.images.garbage import collect
from engine.images.image import Image, manifest_of, read_image, summary
from engine.images.leases import Lease
from engine.images.progress import Progress, silent
from engine.images.reference import Reference, parse
from engine.images.sink import CONTINUED, StoreSink
from engine.images.telling import tell_kept, to_tell
from engine.images.unpacking import Unpacker
from engine.metadata import images
from engine.metadata.images import ImageRow
from engine.metadata.transactions import transaction
from engine.spec.descriptor import (
    CONFIG,
    LAYER,
    Descriptor,
    Manifest,
    Platform,
    choose_platform,
    machine_platform,
    read_manifest,
)
from engine.spec.image import History, ImageConfig, RunConfig, read_config
from engine.spec.tar import TarReader
from engine.spec.tarheader import TarError
from engine.tuples import NamedTuple

_GET_AGAIN = "Get the image again: it was cut short, changed on its way, or written by a broken tool."


class Loaded(NamedTuple):
    """One image that was loaded, the names (familiar) that pointed at another image before, and in a registry the
    digest that its name stood for."""

    image: Image
    moved: tuple[str, ...] = ()
    digest: str = ""


class Loader(NamedTuple):
    """What loading works with. ``unpacker``, if given, unpacks each image before it is recorded: that verifies all.

    ``topic``, if given, is what happens to each image that is recorded; ``root`` is then the engine's.
    """

    content: ContentStore
    connection: sqlite3.Connection
    unpacker: Unpacker | None = None
    progress: Progress = silent
    topic: Topic | None = None
    root: Path = Path()

    def fetch(self, transport: Transport, source: Source, platform: Platform | None) -> tuple[Loaded, ...]:
        """Take in the source's images for the platform (None: this machine's). Errors as `Transport.fetch`."""
        wanted = platform or machine_platform()
        with self._all_or_nothing(continued=source.remote is not None) as (lease, sink):
            fetched = transport.fetch(source, sink, str(wanted))
            sink.settle()
            checked = [(self._check(one, wanted), _references(one, source), one.digest) for one in fetched]
            return tuple(self._record(one, names, lease)._replace(digest=digest) for one, names, digest in checked)

    def import_layer(
        self, file: BinaryIO, name: str, reference: Reference | None, changes: Sequence[str], message: str
    ) -> Loaded:
        """Make an image of one layer, the tarball in ``file`` (compressed or not); ``name`` is the tarball's."""
        config = dockerfile.apply(RunConfig(), changes)
        with self._all_or_nothing() as (lease, sink):
            layer = sink.put(file.read, what=name)
            diff_id, suffix = self._diff_id(layer, name)
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            history = (History(created=now, comment=message or f"Imported from {name}"),)
            document = ImageConfig(machine_platform(), config, (diff_id,), now, history=history).to_bytes()
            kept = _put(sink, document)
            manifest = Manifest(Descriptor(CONFIG, *kept), (Descriptor(LAYER + suffix, *layer),))
            digest = _put(sink, manifest.to_bytes()).digest
            return self._record(digest, (reference,) if reference else (), lease)

    def add_layer(
        self, base: Image, layer: Iterable[bytes], config: RunConfig, step: History, reference: Reference | None
    ) -> Loaded:
        """Make an image of another one and one more layer, an uncompressed archive; ``step`` is its line of history.

        It is unpacked when a container is first made of it. Raises `StateError` when the base is damaged, `EngineError`
        on a full disk, and what ``layer`` raises.
        """
        with self._all_or_nothing() as (lease, sink):
            lease.protect(base.manifest, *base.snapshots)
            below = manifest_of(self.content, base).layers
            lease.protect(*(one.digest for one in below))
            with full_disk("to keep the layer"), self.content.ingest() as ingest:
                for chunk in layer:
                    ingest.write(chunk)
                    self.progress("the layer", ingest.size)
                self.progress("the layer", ingest.size, ingest.size)
                lease.protect(ingest.digest)
                made = ingest.commit()
            document = base.config._replace(
                config=config,
                diff_ids=(*base.config.diff_ids, made.digest),
                created=step.created,
                author=step.author,
                history=(*base.config.history, step),
            )
            kept = _put(sink, document.to_bytes())
            manifest = Manifest(Descriptor(CONFIG, *kept), (*below, Descriptor(LAYER, *made)))
            digest = _put(sink, manifest.to_bytes()).digest
            return self._record(digest, (reference,) if reference else (), lease)

    @contextmanager
    def _all_or_nothing(self, *, continued: bool = False) -> Iterator[tuple[Lease, StoreSink]]:
        """Remove on an error what was taken in.

        With ``continued``, what was cut off stays for the next attempt, or until somebody else collects garbage.
        """
        try:
            with (
                self.content.leases.take() as lease,
                StoreSink(self.content, lease, self.progress, self.unpacker) as sink,
            ):
                yield lease, sink
        except BaseException as error:
            if continued and isinstance(error, CONTINUED):
                raise
            drivers = {self.unpacker.name: self.unpacker.driver} if self.unpacker else {}
            collect(self.content, self.connection, drivers)
            raise

    def _check(self, fetched: FetchedImage, wanted: Platform) -> str:
        """Return the manifest's digest when all it names is here and agrees, `ImageError` otherwise."""
        what = f"the manifest {fetched.manifest}"
        manifest = read_manifest(self.content.read(fetched.manifest), what)
        config = read_config(self.content.read(manifest.config.digest), f"the configuration {manifest.config.digest}")
        if choose_platform([manifest.config._replace(platform=config.platform)], wanted) is None:
            raise ImageError(f"the image is for {config.platform}, not for {wanted}", fix="Choose another --platform.")
        if len(manifest.layers) != len(config.diff_ids):
            raise ImageError(
                f"{what} has {len(manifest.layers)} layers and its configuration {len(config.diff_ids)}", fix=_GET_AGAIN
            )
        for layer, diff_id in zip(manifest.layers, config.diff_ids, strict=True):
            with self.content.open(layer.digest, layer.size) as file:
                if layer.digest != diff_id and not is_compressed(file):
                    raise ImageError(
                        f"the layer {layer.digest} should be {diff_id} uncompressed, and is not", fix=_GET_AGAIN
                    )
        return fetched.manifest

    def _record(self, digest: str, names: Sequence[Reference], lease: Lease) -> Loaded:
        manifest = read_manifest(self.content.read(digest), f"the manifest {digest}")
        blobs = [manifest.config, *manifest.layers]
        size = sum({blob.digest: blob.size for blob in blobs}.values())
        row = ImageRow(manifest.config.digest, digest, size, "", time_ns())
        image = read_image(self.content, row)
        if self.unpacker is not None:
            self.unpacker.unpack(image, lease)
        needs = [digest, *(blob.digest for blob in blobs), *image.snapshots]
        moved = []
        with transaction(self.connection):
            images.put(self.connection, row._replace(created=image.config.created), needs)
            for name in names:
                before = images.point(self.connection, name.canonical, row.id)
                if before not in (None, row.id):
                    moved.append(name.familiar)
            stored = images.by_id(self.connection, row.id)
            kept = self._to_tell(stored or row, names)
        tell_kept(self.root, self.connection, *kept)
        return Loaded(read_image(self.content, stored or row), tuple(moved))

    def _to_tell(self, row: ImageRow, names: Sequence[Reference]) -> tuple[Kept, ...]:
        if self.topic is None:
            return ()
        pulled = names[0].familiar if self.topic is Topic.PULL else ""
        names_told = (pulled,) if pulled else summary(row).names
        return (to_tell(self.connection, self.topic, pulled or row.id, names_told),)

    def _diff_id(self, layer: Blob, name: str) -> tuple[str, str]:
        """Return the digest of the uncompressed layer and the media type's suffix; the tarball is read to its end."""
        digest = hashlib.sha256()
        with self.content.open(layer.digest) as file:
            suffix = _suffix(os.pread(file.fileno(), 4, 0))
            with uncompressed(file, name) as plain, ahead(_hashed(plain, digest)) as hashed:
                chunks = self._told(hashed, file, layer.size, f"checking {name}")
                reader = TarReader(lambda _: next(chunks, b""))
                try:
                    entries = sum(1 for _ in reader)
                    reader.drain()
                except TarError as error:
                    raise ImageError(f"{name} {error}", fix="Name the tarball of a root filesystem.") from None
        if not entries:
            raise ImageError(f"{name} holds no files", fix="Name the tarball of a root filesystem.")
        return f"sha256:{digest.hexdigest()}", suffix

    def _told(self, chunks: Iterator[bytes], file: BinaryIO, size: int, what: str) -> Iterator[bytes]:
        """Yield the chunks, and tell how much of the file that they come from was read."""
        for chunk in chunks:
            self.progress(what, min(os.lseek(file.fileno(), 0, os.SEEK_CUR), size - 1), size)
            yield chunk
        self.progress(what, size, size)


def _references(fetched: FetchedImage, source: Source) -> tuple[Reference, ...]:
    """Return an archive's own names; or the name that was asked for in a registry, and the digest it stood for."""
    if source.remote is not None:
        asked = Reference(*source.remote)
        stable = asked._replace(tag="", digest=fetched.digest or fetched.manifest)
        return (asked, stable) if asked.tag else (stable,)
    try:
        return tuple(parse(name) for name in fetched.names)
    except InvalidInput as error:
        raise ImageError(f"{source.name} has an image of an impossible name: {error.what}", fix=_GET_AGAIN) from error


def _put(sink: StoreSink, data: bytes) -> Blob:
    return sink.put(BytesIO(data).read, size=len(data))


def _hashed(chunks: Iterator[bytes], digest: hashlib._Hash) -> Iterator[bytes]:
    for chunk in chunks:
        digest.update(chunk)
        yield chunk


def _suffix(head: bytes) -> str:
    return "+gzip" if head.startswith(b"\x1f\x8b") else "+zstd" if head.startswith(b"\x28\xb5\x2f\xfd") else ""
