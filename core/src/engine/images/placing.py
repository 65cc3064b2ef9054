"""Entries of an archive placed below a directory's descriptor, beside whatever else goes on there. No link is followed.

The directory may belong to a running container, or the entries come from one, and either may be hostile: a link where a
directory is expected is an error, so nothing lands elsewhere. A file is written under a new name and renamed: what is
there already is replaced and never opened, so neither a device nor a file of /proc is written into. Called by the
command's process, as root.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterable

from engine.contracts.common import IdMap
from engine.errors import Conflict, ImageError
from engine.images import owners
from engine.images.attributes import carried
from engine.linux.paths import RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, openat2
from engine.spec.tarheader import BLOCKDEV, CHAR, DIRECTORY, FIFO, LINK, REGULAR, SYMLINK, TarEntry
from engine.tuples import NamedTuple

_STRICT = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
_OPEN = os.O_RDONLY | os.O_DIRECTORY
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DEVICES = {CHAR: stat.S_IFCHR, BLOCKDEV: stat.S_IFBLK}


class Owner(NamedTuple):
    """Whose the files are to be."""

    uid: int
    gid: int


class Placer:
    """Places entries below ``directory_fd``, which stays the caller's; `finish` sets the directories' times.

    ``owner`` None keeps the entries' owners. ``plain`` is for places outside of containers: devices are left out, which
    `skipped` then names, and so are set-user-ID bits and extended attributes. Directories that are there already stay
    as they are. A sparse entry is placed with its data alone read, the holes kept. ``ids`` is the identity map of a
    running container whose directory it is: owners are those inside. Then the caller must act on files as its root
    (`engine.linux.fsids`), since nobody else may make any.
    """

    def __init__(self, directory_fd: int, *, owner: Owner | None, plain: bool, ids: IdMap | None = None) -> None:
        self._directory = directory_fd
        self._owner = owner
        self._plain = plain
        self._ids = ids
        self._times: dict[bytes, int] = {}
        self.skipped: list[str] = []

    def place(self, entry: TarEntry, data: Iterable[bytes | memoryview]) -> None:
        """Write one entry. Raises `Conflict` where something else is in the way, `ImageError` for a name that leads
        out, `OSError` as the kernel does."""
        path = _normal(entry.name)
        if not path:
            return
        above, _, name = path.rpartition(b"/")
        if self._plain and entry.kind in _DEVICES:
            self.skipped.append(os.fsdecode(path))
            return
        parent = self._parent(above)
        try:
            if entry.kind == DIRECTORY:
                self._make_directory(entry, parent, name, path)
            else:
                self._make_file(entry, data, parent, name)
        except (NotADirectoryError, FileExistsError, IsADirectoryError) as error:
            raise _in_the_way(path) from error
        finally:
            os.close(parent)

    def finish(self) -> None:
        """Set the times of the directories that were made, now that nothing is written into them any more."""
        for path, mtime in sorted(self._times.items(), reverse=True):
            try:
                fd = openat2(self._directory, os.fsdecode(path), _OPEN, resolve=_STRICT)
            except FileNotFoundError:  # whoever works there too has moved it away
                continue
            try:
                os.utime(fd, ns=(mtime, mtime))
            finally:
                os.close(fd)

    def _parent(self, path: bytes) -> int:
        """Open a directory below, made with what is above it where the archive had no entry for it."""
        try:
            return openat2(self._directory, os.fsdecode(path) or ".", _OPEN, resolve=_STRICT)
        except FileNotFoundError:
            above, _, name = path.rpartition(b"/")
            parent = self._parent(above)
            try:
                self._make_directory(TarEntry(path, DIRECTORY, 0o755), parent, name, b"")
                return openat2(parent, os.fsdecode(name), _OPEN, resolve=_STRICT)
            finally:
                os.close(parent)
        except OSError as error:
            if error.errno not in {errno.ENOTDIR, errno.ELOOP}:
                raise
            raise _in_the_way(path) from error

    def _make_directory(self, entry: TarEntry, parent: int, name: bytes, path: bytes) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                raise
            return
        fd = openat2(parent, os.fsdecode(name), _OPEN, resolve=_STRICT)
        try:
            self._describe(fd, entry)
        finally:
            os.close(fd)
        if path:
            self._times[path] = entry.mtime

    def _make_file(self, entry: TarEntry, data: Iterable[bytes | memoryview], parent: int, name: bytes) -> None:
        """Make it under a name that nobody has, and rename it."""
        new = f".engine-{secrets.token_hex(8)}".encode()
        try:
            if entry.kind == REGULAR:
                self._write(entry, data, parent, new)
            elif entry.kind == LINK:
                self._link(entry, parent, new)
            else:
                self._special(entry, parent, new)
            os.rename(new, name, src_dir_fd=parent, dst_dir_fd=parent)
            if entry.kind == LINK:
                _unlink(parent, new)  # rename(2) does nothing when both are the same file already
        except BaseException:
            _unlink(parent, new)
            raise

    def _write(self, entry: TarEntry, data: Iterable[bytes | memoryview], parent: int, name: bytes) -> None:
        fd = os.open(name, _CREATE, 0o600, dir_fd=parent)
        try:
            _fill(fd, entry, data)
            self._describe(fd, entry)
            os.utime(fd, ns=(entry.mtime, entry.mtime))
        finally:
            os.close(fd)

    def _describe(self, fd: int, entry: TarEntry) -> None:
        """Give an open file its owner, mode and attributes; the owner first, which takes special bits away."""
        os.fchown(fd, *self._owner_of(entry))
        os.fchmod(fd, entry.mode & (0o777 if self._plain else 0o7777))
        for key, value in () if self._plain else entry.xattrs:
            if carried(key):
                os.setxattr(fd, key, owners.attribute_outside(self._ids, key, value))

    def _owner_of(self, entry: TarEntry) -> tuple[int, int]:
        return owners.outside(self._ids, *(self._owner or (entry.uid, entry.gid)))

    def _link(self, entry: TarEntry, parent: int, name: bytes) -> None:
        above, _, target = _normal(entry.link).rpartition(b"/")
        source = openat2(self._directory, os.fsdecode(above) or ".", _OPEN, resolve=_STRICT)
        try:
            os.link(target, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(source)

    def _special(self, entry: TarEntry, parent: int, name: bytes) -> None:
        if entry.kind == SYMLINK:
            os.symlink(entry.link, name, dir_fd=parent)
        elif entry.kind == FIFO:
            os.mkfifo(name, 0o600, dir_fd=parent)
        else:
            os.mknod(name, _DEVICES[entry.kind] | 0o600, os.makedev(entry.major, entry.minor), dir_fd=parent)
        os.chown(name, *self._owner_of(entry), dir_fd=parent, follow_symlinks=False)
        if entry.kind != SYMLINK:
            handle = openat2(parent, os.fsdecode(name), os.O_PATH | os.O_NOFOLLOW, resolve=_STRICT)
            try:
                if not stat.S_ISLNK(os.fstat(handle).st_mode):
                    os.chmod(f"/proc/self/fd/{handle}", entry.mode & 0o777)
            finally:
                os.close(handle)
        os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)


def _fill(fd: int, entry: TarEntry, data: Iterable[bytes | memoryview]) -> None:
    """Write the data where the entry has it: from the start, or around a sparse file's holes."""
    left = list(entry.regions or ((0, entry.stored),))
    for piece in data:
        rest = memoryview(piece)
        while rest and left:
            offset, length = left[0]
            written = os.pwrite(fd, rest[:length], offset)
            rest = rest[written:]
            left[0] = (offset + written, length - written)
            if not left[0][1]:
                left.pop(0)
    os.ftruncate(fd, entry.size)


def _normal(name: bytes) -> bytes:
    """Return the name without leading, double and trailing slashes and ``.``; ``b""`` is the directory itself."""
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    if b".." in parts or b"\0" in name:
        raise ImageError(
            f"the archive has the name {os.fsdecode(name)!r}, which leads out of the destination",
            fix="Make the archive anew, with names below one directory.",
        )
    return b"/".join(parts)


def _unlink(parent: int, name: bytes) -> None:
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return


def _in_the_way(path: bytes) -> Conflict:
    return Conflict(
        f"there is something of another kind at {os.fsdecode(path)!r} in the destination",
        fix="A directory is not replaced by a file, nor a file or link by a directory: remove it first.",
    )
