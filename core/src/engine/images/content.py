"""The content store: blobs by their SHA-256, written beside their place, verified, synced and renamed.

``root/blobs/sha256/<hex>`` holds finished blobs, ``root/ingest/`` those being written. An ingest is a file locked by
its writer: one whose lock is free belongs to a process that died, and is removed by `ContentStore.remove_abandoned`.
``root/partial/<hex>`` holds those whose digest is known beforehand and that can be continued: locked in the same way,
and kept for a day when nobody writes.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from time import time

from engine.errors import EngineError, ImageError, NotFound, StateError
from engine.images.leases import Leases
from engine.locks import hold, hold_new, remove_abandoned
from engine.spec.document import MAX_DOCUMENT, is_digest
from engine.tuples import NamedTuple

_DAMAGED = "Load or pull the image again: a blob that is written anew replaces the damaged one."
_NO_ROOM = "Free space, or choose a --root on another disk."
_CONTINUED_WITHIN = 86400.0
"""Seconds for which a blob that was cut off waits for the rest."""
_CHUNK = 1024 * 1024
_GET_AGAIN = "The image was cut short or changed on its way: get it again."


class BlobInfo(NamedTuple):
    """A finished blob and how many bytes it has."""

    digest: str
    size: int


class Ingest:
    """A blob being written. Made by `ContentStore.ingest`; without `commit` nothing of it stays."""

    def __init__(self, store: ContentStore, descriptor: int, path: Path) -> None:
        self._store = store
        self._descriptor = descriptor
        self._path = path
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes. `OSError` on a full disk."""
        self._hash.update(data)
        self.size += len(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def recall(self) -> None:
        """Take up what is in the file already."""
        while data := os.read(self._descriptor, _CHUNK):
            self._hash.update(data)
            self.size += len(data)

    def abandon(self) -> None:
        """Remove the file."""
        self._path.unlink(missing_ok=True)

    def restart(self) -> None:
        """Forget everything that was written."""
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def digest(self) -> str:
        """The digest of what has been written so far."""
        return "sha256:" + self._hash.hexdigest()

    def commit(self, *, digest: str | None = None, size: int | None = None, what: str = "a blob") -> BlobInfo:
        """Make the blob durable and visible, and return it; one of the same digest, damaged perhaps, is replaced.

        Raises `ImageError` when it has not the ``digest`` or the ``size`` that was promised; nothing is kept then.
        """
        actual = self.digest
        if size is not None and size != self.size:
            amount = "more than" if self.size > size else f"{self.size} bytes instead of"
            raise ImageError(f"{what} has {amount} {size}", fix=_GET_AGAIN)
        if digest is not None and digest != actual:
            raise ImageError(f"{what} should have the digest {digest} and has {actual}", fix=_GET_AGAIN)
        os.fsync(self._descriptor)
        place = self._store.path(actual)
        self._path.rename(place)
        os.fchmod(self._descriptor, 0o400)  # not before: what was killed in between could not be opened to go on
        _sync_directory(place.parent)
        return BlobInfo(actual, self.size)


class ContentStore:
    """Blobs under one root directory, which is made with mode 0700. Any number of processes may use it at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.leases = Leases(root)
        self._blobs = root / "blobs" / "sha256"
        self._ingests = root / "ingest"
        self._partial = root / "partial"
        self.locks = root / "locks"
        for directory in (self._blobs, self._ingests, self.locks):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        """Return where the blob of that digest is or would be."""
        if not is_digest(digest):
            raise StateError(f"{digest!r} is not a sha256 digest")
        return self._blobs / digest.removeprefix("sha256:")

    @contextmanager
    def ingest(self) -> Iterator[Ingest]:
        """Give an `Ingest` to write to; what the body did not commit is removed at its end."""
        descriptor, path = hold_new(self._ingests)
        try:
            yield Ingest(self, descriptor, path)
        finally:
            path.unlink(missing_ok=True)
            os.close(descriptor)

    @contextmanager
    def continued(self, digest: str) -> Iterator[Ingest]:
        """Give an `Ingest` that has what an earlier one of the same digest had when it was cut off.

        Waits for whoever writes it. What the body did not commit stays for the next one, until `discard`.
        """
        self._partial.mkdir(mode=0o700, exist_ok=True)
        path = self._partial / self.path(digest).name
        descriptor = hold(path)
        try:
            ingest = Ingest(self, descriptor, path)
            ingest.recall()
            yield ingest
        finally:
            os.close(descriptor)

    def discard(self, digest: str) -> None:
        """Remove what `continued` keeps of a blob, unless it is being written."""
        remove_abandoned(self._partial / self.path(digest).name)

    def add(self, data: bytes) -> BlobInfo:
        """Store a small blob and return it."""
        with self.ingest() as ingest:
            ingest.write(data)
            return ingest.commit()

    def info(self, digest: str) -> BlobInfo | None:
        """Return the blob's digest and size, or None when it is not here."""
        try:
            return BlobInfo(digest, self.path(digest).stat().st_size)
        except FileNotFoundError:
            return None

    def open(self, digest: str, size: int | None = None) -> FileIO:
        """Open a blob for reading, unbuffered. Its content is for the reader to verify; see `read` for small ones.

        Raises `NotFound`, and `StateError` when it has not ``size`` bytes.
        """
        try:
            file = self.path(digest).open("rb", buffering=0)
        except FileNotFoundError:
            raise NotFound(f"the blob {digest} is not in the content store", fix=_DAMAGED) from None
        actual = os.fstat(file.fileno()).st_size
        if size is not None and actual != size:
            file.close()
            raise StateError(f"the blob {digest} has {actual} bytes instead of {size}", fix=_DAMAGED)
        return file

    def read(self, digest: str) -> bytes:
        """Return a whole document, verified. Raises `NotFound`, and `StateError` when it is damaged or no document."""
        with self.open(digest) as file:
            data = file.read(MAX_DOCUMENT + 1) or b""
        if "sha256:" + hashlib.sha256(data).hexdigest() != digest:
            raise StateError(f"the blob {digest} is damaged on disk", fix=_DAMAGED)
        return data

    def verify(self, digest: str) -> bool:
        """Return whether the content of a blob is what its name says. Raises `NotFound`."""
        with self.open(digest) as file:
            return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest() == digest

    def blobs(self) -> Iterator[BlobInfo]:
        """Yield every finished blob."""
        with os.scandir(self._blobs) as entries:
            for entry in entries:
                found = self.info(f"sha256:{entry.name}")
                if found is not None:  # else another command has removed it just now
                    yield found

    def remove(self, digest: str) -> None:
        """Remove a blob; does nothing when it is gone. Whoever has it open reads on."""
        self.path(digest).unlink(missing_ok=True)

    def remove_abandoned(self, *, unfinished: bool = False) -> int:
        """Remove what killed processes left in ``ingest/`` and ``locks/``; return how many files there were.

        With them go blobs that were cut off and waited too long for the rest, or with ``unfinished`` at all.
        """
        abandoned = [path for place in (self._ingests, self.locks) for path in place.iterdir()]
        return sum(map(remove_abandoned, (*abandoned, *self._unfinished(0 if unfinished else _CONTINUED_WITHIN))))

    def _unfinished(self, age: float) -> Iterator[Path]:
        with suppress(FileNotFoundError), os.scandir(self._partial) as entries:
            for entry in entries:
                if time() - entry.stat().st_mtime >= age:
                    yield Path(entry.path)


@contextmanager
def full_disk(purpose: str) -> Iterator[None]:
    """Turn a full disk in the body into an `EngineError`; ``purpose`` completes "there is no room left …"."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise EngineError(f"there is no room left {purpose}", fix=_NO_ROOM) from None


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
