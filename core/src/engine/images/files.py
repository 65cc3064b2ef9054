"""Files below a directory's descriptor as the entries of an archive. Nothing there can lead the reader elsewhere.

What is read may belong to a running container whose root renames and links meanwhile: a directory is opened below the
root's descriptor with links refused (openat2(2)), a file from its directory's descriptor, and its kind is looked at
before it is opened. So a race shows or hides a file, and never leads out. Called by the command's process, as root.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from engine.contracts.common import IdMap
from engine.errors import EngineError
from engine.images import owners
from engine.images.attributes import carried
from engine.linux.paths import RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, fd_path, openat2
from engine.spec.tarheader import BLOCKDEV, CHAR, DIRECTORY, FIFO, LINK, REGULAR, SYMLINK, TarEntry
from engine.spec.tarwriter import header, padding
from engine.tuples import NamedTuple

_STRICT = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
_CHUNK = 1024 * 1024
_KINDS = {
    stat.S_IFREG: REGULAR, stat.S_IFDIR: DIRECTORY, stat.S_IFLNK: SYMLINK, stat.S_IFCHR: CHAR, stat.S_IFBLK: BLOCKDEV,
    stat.S_IFIFO: FIFO,
}  # fmt: skip
_VANISHED = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


class Found(NamedTuple):
    """One file: its entry, and for a regular one whose data belongs to the entry an open descriptor, else -1.

    The descriptor is the reader's, and closed when the next file is asked for.
    """

    entry: TarEntry
    fd: int

    def data(self) -> Iterator[bytes]:
        """Yield the data, exactly as long as the entry says: what the file lost meanwhile is zeros."""
        left = self.entry.stored
        while left:
            piece = os.read(self.fd, min(left, _CHUNK)) or bytes(min(left, _CHUNK))
            left -= len(piece)
            yield piece

    def archived(self) -> Iterator[bytes]:
        """Yield the file as a piece of a tar archive."""
        yield header(self.entry)
        yield from self.data()
        yield padding(self.entry.stored)


class FileReader:
    """Reads files below ``root_fd``, which stays the caller's. Paths are below the root, without a leading slash.

    With ``name``, the root itself has that name in the archive, and what is below it begins so. A file with several
    links is one entry and then links to it. Sockets are left out, as in every archive. ``ids`` is the identity map of a
    running container whose files these are: entries have the ids inside.
    """

    def __init__(self, root_fd: int, name: str = "", *, ids: IdMap | None = None) -> None:
        self._root_fd = root_fd
        self._ids = ids
        self._name = name
        self._links: dict[tuple[int, int], bytes] = {}

    def one(self, path: str) -> Iterator[Found]:
        """Yield the file at ``path`` ("" is the root), or nothing when it has vanished or is a socket."""
        above, _, name = path.rpartition("/")
        try:
            directory = self._open_directory(above)
        except OSError as error:
            if error.errno in _VANISHED:
                return
            raise _too_deep(error, path) from error
        try:
            yield from self._look(directory, name or ".", path)
        finally:
            os.close(directory)

    def all(self, path: str) -> Iterator[Found]:
        """Yield the file at ``path`` and, of a directory, everything in it: each directory right before what is in it.

        Without recursion: a container decides how deep its directories are.
        """
        pending = [path]
        while pending:
            here = pending.pop()
            for found in self.one(here):
                yield found
                if found.entry.kind == DIRECTORY:
                    pending += [f"{here}/{name}" if here else name for name in self._names(here)]

    def _names(self, path: str) -> list[str]:
        """Return what is in a directory, the last name first; nothing when it has vanished."""
        try:
            directory = self._open_directory(path)
        except OSError as error:
            if error.errno in _VANISHED:
                return []
            raise _too_deep(error, path) from error
        try:
            return sorted(os.listdir(directory), reverse=True)
        finally:
            os.close(directory)

    def _open_directory(self, path: str) -> int:
        return openat2(self._root_fd, path or ".", os.O_RDONLY | os.O_DIRECTORY, resolve=_STRICT)

    def _look(self, directory: int, name: str, path: str) -> Iterator[Found]:
        try:
            handle = openat2(directory, name, os.O_PATH | os.O_NOFOLLOW, resolve=RESOLVE_BENEATH)
        except FileNotFoundError:
            return
        try:
            yield from self.held(handle, path)
        finally:
            os.close(handle)

    def held(self, handle: int, path: str = "") -> Iterator[Found]:
        """Yield the file that an O_PATH descriptor holds, as if it were at ``path``; nothing for a socket."""
        entry = self._entry(handle, path)
        if entry is None or entry.kind != REGULAR:
            yield from [] if entry is None else [Found(entry, -1)]
            return
        fd = os.open(fd_path(handle), os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            yield Found(entry, fd)
        finally:
            os.close(fd)

    def _entry(self, handle: int, path: str) -> TarEntry | None:
        status = os.fstat(handle)
        kind = _KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            return None
        name = self._named(path)
        size = status.st_size if kind == REGULAR else 0
        device = status.st_rdev if kind in (CHAR, BLOCKDEV) else 0
        uid, gid = owners.inside(self._ids, status.st_uid, status.st_gid)
        entry = TarEntry(
            name + b"/" if kind == DIRECTORY else name, kind, stat.S_IMODE(status.st_mode), uid, gid,
            size, size, status.st_mtime_ns, major=os.major(device), minor=os.minor(device),
            link=os.fsencode(os.readlink("", dir_fd=handle)) if kind == SYMLINK else b"",
            xattrs=self._xattrs(handle) if kind in (REGULAR, DIRECTORY) else (),
        )  # fmt: skip
        if kind == DIRECTORY or status.st_nlink == 1:
            return entry
        first = self._links.setdefault((status.st_dev, status.st_ino), name)
        return entry if first == name else entry._replace(kind=LINK, link=first, size=0, stored=0, xattrs=())

    def _xattrs(self, handle: int) -> tuple[tuple[bytes, bytes], ...]:
        found = _xattrs(handle)
        return tuple((name, owners.attribute_inside(self._ids, name, value)) for name, value in found)

    def _named(self, path: str) -> bytes:
        return os.fsencode("/".join(part for part in (self._name, path) if part) or ".")


def _xattrs(handle: int) -> tuple[tuple[bytes, bytes], ...]:
    """Return the attributes that an archive holds, sorted. One that is removed meanwhile is left out."""
    try:
        names = [name for name in map(os.fsencode, os.listxattr(fd_path(handle))) if carried(name)]
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        return ()
    return tuple((name, value) for name in sorted(names) if (value := _value(handle, name)) is not None)


def _value(handle: int, name: bytes) -> bytes | None:
    try:
        return os.getxattr(fd_path(handle), name)
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise
        return None


def _too_deep(error: OSError, path: str) -> Exception:
    if error.errno != errno.ENAMETOOLONG:
        return error
    return EngineError(
        f"a directory lies too deep to be archived: {path[:60]}…", fix="Move it further up, or remove it."
    )
