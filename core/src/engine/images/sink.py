"""Where transports put blobs: the content store under a lease, for the time of one `fetch`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import BinaryIO

from engine.contracts.transport import Begin, Blob, ContentSink
from engine.errors import Unreachable
from engine.images.arriving import Arriving
from engine.images.compression import CHUNK, is_compressed, uncompressed
from engine.images.content import BlobInfo, ContentStore, Ingest, full_disk
from engine.images.image import snapshot_name
from engine.images.leases import Lease
from engine.images.progress import Progress, silent
from engine.images.unpacking import Unpacker
from engine.spec.descriptor import read_manifest
from engine.spec.image import chain_ids, read_config

CONTINUED = (Unreachable, KeyboardInterrupt)
"""Errors after which the same command may go on from where it was."""


class StoreSink(ContentSink):
    """A sink over a content store. Use as a context manager: it closes the anonymous files it made.

    With an ``unpacker``, the layers of the image that it is told of (`expect`) are unpacked as they come.
    After an error that is not one of `CONTINUED`, nothing of what `resume` began is kept.
    """

    def __init__(
        self, store: ContentStore, lease: Lease, progress: Progress = silent, unpacker: Unpacker | None = None
    ) -> None:
        self._store = store
        self._unpacker = unpacker
        self._arriving: Arriving | None = None
        self._lease = lease
        self._progress = progress
        self._open = ExitStack()
        self._begun: set[str] = set()

    def __enter__(self) -> StoreSink:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._arriving is not None:
            self._arriving.stop()
        self._open.close()
        if kind is not None and not issubclass(kind, CONTINUED):
            for digest in self._begun:
                self._store.discard(digest)

    def has(self, digest: str, size: int) -> bool:
        """Return whether the blob is here, its content verified; the lease keeps it."""
        self._lease.protect(digest)
        found = self._store.info(digest)
        here = found is not None and found.size == size and self._store.verify(digest)
        if here:
            self._arrived(digest)
        return here

    def expect(self, manifest: bytes) -> None:
        """Begin to unpack the image's layers as they come; see `ContentSink.expect`."""
        if self._unpacker is None or self._arriving is not None:
            return
        read = read_manifest(manifest, "the manifest")
        config = read_config(self._store.read(read.config.digest), f"the configuration {read.config.digest}")
        if len(read.layers) != len(config.diff_ids):
            return  # the loader refuses it, when all is here
        self._lease.protect(*map(snapshot_name, chain_ids(config.diff_ids)))
        unpack = partial(self._unpacker.unpack_layer, read.layers, config.diff_ids)
        self._arriving = Arriving([layer.digest for layer in read.layers], unpack)

    def settle(self) -> None:
        """Wait until what came is unpacked. Raises as `engine.images.unpacking.Unpacker.unpack` does."""
        if self._arriving is not None:
            self._arriving.finish()

    def put(
        self, read: Callable[[int], bytes], *, digest: str | None = None, size: int | None = None, what: str = "a blob"
    ) -> Blob:
        """Take in a blob; see `ContentSink.put`."""
        with full_disk(f"to keep {what}"), self._store.ingest() as ingest:
            self._fill(ingest, read, size, what)
            self._lease.protect(ingest.digest)
            return self._kept(ingest.commit(digest=digest, size=size, what=what))

    def resume(self, begin: Begin, digest: str, size: int, *, what: str) -> Blob:
        """Take in a blob from where it was cut off; see `ContentSink.resume`."""
        self._begun.add(digest)
        with full_disk(f"to keep {what}"), self._store.continued(digest) as ingest:
            if self.has(digest, size):  # another command brought it meanwhile
                ingest.abandon()
                return Blob(digest, size)
            kept = ingest.size
            if kept < size:
                self._fill(ingest, begin(kept), size, what)
            if kept and (ingest.size, ingest.digest) != (size, digest):
                ingest.restart()
                self._fill(ingest, begin(0), size, what)
            self._lease.protect(digest)
            return self._kept(ingest.commit(digest=digest, size=size, what=what))

    def _kept(self, blob: BlobInfo) -> Blob:
        self._arrived(blob.digest)
        return Blob(*blob)

    def _arrived(self, digest: str) -> None:
        if self._arriving is not None:
            self._arriving.arrived(digest)

    def _fill(self, ingest: Ingest, read: Callable[[int], bytes], size: int | None, what: str) -> None:
        while chunk := read(CHUNK):
            if self._arriving is not None:
                self._arriving.check()
            ingest.write(chunk)
            self._progress(what, ingest.size, size or 0)
            if size is not None and ingest.size > size:
                break
        self._progress(what, ingest.size, ingest.size)

    def seekable(self, file: BinaryIO, what: str) -> BinaryIO:
        """Return the content uncompressed in a file that can seek; see `ContentSink.seekable`."""
        if file.seekable() and not is_compressed(file):
            return file
        with full_disk(f"to uncompress {what}"), uncompressed(file, what) as chunks:
            copy = self._open.enter_context(tempfile.TemporaryFile(dir=self._store.root))  # noqa: SIM115  # a stack
            done = 0
            for chunk in chunks:
                copy.write(chunk)
                done += len(chunk)
                self._progress(what, done)
        self._progress(what, done, done)
        copy.seek(0)
        return copy
