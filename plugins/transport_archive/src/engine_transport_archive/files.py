"""The files of a source by name: those of a tar archive, or those below a directory. Nothing is ever extracted.

Names are looked up, never opened: in an archive they are keys of a table, below a directory the kernel resolves them
inside it (openat2(2) with RESOLVE_IN_ROOT).
"""

from __future__ import annotations

import os
import posixpath
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from engine.errors import ImageError
from engine.linux.paths import open_in_root
from engine.spec.document import MAX_DOCUMENT
from engine.spec.tar import TarReader
from engine.spec.tarheader import LINK, REGULAR, SYMLINK, TarEntry, TarError
from engine.tuples import NamedTuple

_MAX_ENTRIES = 100_000
"""Files of an archive of images: some hundreds; the limit keeps the table in memory small."""
_MAX_LINKS = 8
_CUT_SHORT = "Get the archive again: it was cut short or changed on its way."

Read = Callable[[int], bytes]


class Member(NamedTuple):
    """One open file: how to read it, and its size."""

    read: Read
    size: int


class Files(ABC):
    """A source's files; ``name`` is the source's, for messages."""

    name: str

    @abstractmethod
    def has(self, name: str) -> bool:
        """Return whether there is a regular file of that name."""

    @abstractmethod
    def open(self, name: str) -> Member:
        """Open a file; it is valid until the next one is opened. Raises `ImageError` when it is missing."""

    def document(self, name: str) -> bytes:
        """Return a JSON document. Raises `ImageError` when it is missing or larger than any document."""
        member = self.open(name)
        if member.size > MAX_DOCUMENT:
            raise ImageError(f"{name} of {self.name} is larger than {MAX_DOCUMENT} bytes", fix=_CUT_SHORT)
        data = b""
        while chunk := member.read(MAX_DOCUMENT):
            data += chunk
        return data

    def missing(self, name: str) -> ImageError:
        """Return the error for a file that should be there."""
        return ImageError(f"{self.name} has no file {name!r}, though it should", fix=_CUT_SHORT)


class TarFiles(Files):
    """A tar archive that can seek: one pass over the headers makes the table."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.name = name
        self._file = file
        self._entries: dict[str, TarEntry] = {}
        try:
            self._index()
        except TarError as error:
            raise ImageError(f"{name} {error}", fix=_CUT_SHORT) from None

    def has(self, name: str) -> bool:
        """Return whether the archive has such a file, or a link to one."""
        return self._find(name) is not None

    def open(self, name: str) -> Member:
        """Open a member; all share one file position."""
        entry = self._find(name)
        if entry is None:
            raise self.missing(name)
        self._file.seek(entry.offset)
        return Member(_limited(self._file.read, entry.size), entry.size)

    def _index(self) -> None:
        end = self._file.seek(0, os.SEEK_END)
        self._file.seek(0)

        def skip(count: int) -> None:
            if self._file.seek(count, os.SEEK_CUR) > end:
                raise TarError("is cut short")

        for entry in TarReader(self._file.read, skip):
            if entry.regions is not None:
                raise TarError("has a sparse file, which no archive of images has")
            if len(self._entries) >= _MAX_ENTRIES:
                raise TarError(f"has more than {_MAX_ENTRIES} files")
            self._entries[_key(os.fsdecode(entry.name))] = entry
            if entry.offset + entry.stored > end:
                raise TarError("is cut short")

    def _find(self, name: str) -> TarEntry | None:
        """Return the regular file, through the links that older versions of Docker wrote for layers kept once."""
        name = _key(name)
        for _ in range(_MAX_LINKS):
            entry = self._entries.get(name)
            if entry is None or entry.kind == REGULAR:
                return entry
            target = os.fsdecode(entry.link)
            if entry.kind == SYMLINK:
                name = _key(posixpath.join(posixpath.dirname(name), target))
            elif entry.kind == LINK:
                name = _key(target)
            else:
                return None
        return None


class DirectoryFiles(Files):
    """A directory. Use as a context manager."""

    def __init__(self, path: str) -> None:
        self.name = path
        self._file: BinaryIO | None = None
        self._root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> DirectoryFiles:
        return self

    def __exit__(self, *exc: object) -> None:
        self._close()
        os.close(self._root)

    def has(self, name: str) -> bool:
        """Return whether there is such a regular file; looking opens nothing."""
        try:
            with self._descriptor(name, os.O_PATH) as fd:
                return stat.S_ISREG(os.fstat(fd).st_mode)
        except OSError:
            return False

    def open(self, name: str) -> Member:
        """Open a regular file; a fifo or a device is taken for a missing one."""
        if not self.has(name):
            raise self.missing(name)
        self._close()
        self._file = os.fdopen(open_in_root(self._root, name, os.O_RDONLY), "rb", buffering=0)
        return Member(self._file.read, os.fstat(self._file.fileno()).st_size)

    @contextmanager
    def _descriptor(self, name: str, flags: int) -> Iterator[int]:
        fd = open_in_root(self._root, name, flags)
        try:
            yield fd
        finally:
            os.close(fd)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _key(name: str) -> str:
    return posixpath.normpath("/" + name).lstrip("/")


def _limited(read: Read, size: int) -> Read:
    left = size

    def limited(count: int) -> bytes:
        nonlocal left
        data = read(min(count, left))
        left -= len(data)
        return data

    return limited
