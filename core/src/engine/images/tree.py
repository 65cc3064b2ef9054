"""A directory tree being written from a hostile archive: every step goes from a descriptor to one name in it.

No path of the archive reaches the kernel as a whole. A directory is opened component by component with ``O_NOFOLLOW``
from the descriptor of the one before; a symbolic link on the way is read and resolved here, inside the root, and only
when this archive made it. Nobody else may write in the tree meanwhile (it is an active snapshot), so what was looked at
is what is used. Needs root, or a user namespace's, for owners and devices.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

from engine.tuples import NamedTuple

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_OPEN = 256
"""Descriptors of directories kept open; the soft limit of a process is 1024 on most machines."""
_MAX_LINKS = 40
"""As many as the kernel follows (path_resolution(7))."""
MAX_PATH = 4096
IMPLIED_MODE = 0o755


class LayerFault(Exception):
    """The archive asks for what must not or cannot be made; the text completes "the layer …"."""


class Directory(NamedTuple):
    """An open directory, and its real path below the root (no links in it), ``b""`` for the root."""

    fd: int
    path: bytes


class Tree:
    """The tree below ``root_fd``, which stays the caller's. Use as a context manager: it closes what it opened.

    ``made`` is None when everything in the tree was made by this archive (it was empty at the start). Otherwise it
    collects the real paths that the archive made, to tell them from those of the parent layer. ``implied`` is the
    attribute for directories that the archive has no entry for (`engine.contracts.storage.UnpackTarget`). A `Directory`
    that a method returns is valid until the next call that names another one.
    """

    def __init__(self, root_fd: int, *, empty: bool, implied: str = "") -> None:
        self._root = Directory(root_fd, b"")
        self._open: dict[bytes, Directory] = {b"": self._root}
        self.made: set[bytes] | None = None if empty else set()
        self._implied_mark = implied
        self._implied_paths: set[bytes] = set()

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, *exc: object) -> None:
        self._drop(lambda *_: True)

    def is_made(self, path: bytes) -> bool:
        """Return whether this archive made what is at the real path."""
        return self.made is None or path in self.made

    def mark(self, path: bytes) -> None:
        """Note that this archive made what is at the real path."""
        if self.made is not None:
            self.made.add(path)

    def directory(self, path: bytes, *, create: bool = True) -> Directory:
        """Return the directory at ``path``, which `normal` returned, made where it is missing.

        A file or link of the parent layer in its way is replaced; one of this archive is an `LayerFault`. Without
        ``create``: `FileNotFoundError` or `NotADirectoryError`.
        """
        known = self._open.get(path)
        if known is not None:
            return known
        above, rest = path, []
        while above not in self._open:
            above, _, name = above.rpartition(b"/")
            rest.append(name)
        found = self._walk(self._open[above], rest, create)
        self._open[path] = found
        return found

    def new_directory(self, parent: Directory, name: bytes) -> Directory:
        """Make the directory ``name``, which does not exist, and return it open."""
        os.mkdir(name, IMPLIED_MODE, dir_fd=parent.fd)
        return self._keep(parent, name, os.open(name, _OPEN_DIRECTORY, dir_fd=parent.fd))

    def existing(self, parent: Directory, name: bytes) -> Directory | None:
        """Return the directory ``name`` of ``parent`` open, None when that is something else or nothing."""
        path = joined(parent.path, name)
        known = self._open.get(path)
        if known is not None and known.path == path:
            return known
        try:
            fd = os.open(name, _OPEN_DIRECTORY, dir_fd=parent.fd)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return None
            raise
        return self._keep(parent, name, fd)

    def remove(self, parent: Directory, name: bytes) -> None:
        """Remove what is at ``name`` with everything below it; does nothing when it is gone."""
        path = joined(parent.path, name)
        try:
            os.unlink(name, dir_fd=parent.fd)
        except FileNotFoundError:
            return
        except IsADirectoryError:
            below = path + b"/"
            self._drop(lambda _, directory: directory.path == path or directory.path.startswith(below))
            self._implied_paths = {one for one in self._implied_paths if one != path and not one.startswith(below)}
            _remove_directory(parent.fd, name)
        else:
            self._drop(lambda key, directory: key != directory.path)

    def has_entry(self, directory: Directory) -> None:
        """Note that the archive has an entry for a directory that was implied until now."""
        if directory.path in self._implied_paths:
            self._implied_paths.discard(directory.path)
            os.removexattr(directory.fd, self._implied_mark)

    def is_whiteout(self, mode: int, device: int) -> bool:
        """Return whether a file is a whiteout that this archive's own layer put there (kernel: overlayfs)."""
        return self.made is None and stat.S_ISCHR(mode) and device == 0

    def _walk(self, here: Directory, pending: list[bytes], create: bool) -> Directory:
        """Go from ``here`` along the names in ``pending``, the next one last."""
        links = 0
        while pending:
            name = pending.pop()
            if name == b"..":
                here = self.directory(here.path.rpartition(b"/")[0])
            elif name not in (b"", b"."):
                found = self._enter(here, name, create)
                if isinstance(found, Directory):
                    here = found
                    continue
                links += 1
                if links > _MAX_LINKS:
                    raise LayerFault(f"has too many links at {shown(joined(here.path, name))}")
                here = self._root if found.startswith(b"/") else here
                pending += found.split(b"/")[::-1]
        return here

    def _enter(self, here: Directory, name: bytes, create: bool) -> Directory | bytes:
        """Return the directory ``name``, or the target of the link that this archive put there."""
        found = self.existing(here, name)
        if found is not None:
            return found
        path = joined(here.path, name)
        try:
            status = os.stat(name, dir_fd=here.fd, follow_symlinks=False)
        except FileNotFoundError:
            if not create:
                raise
            return self._implied(here, name)
        if stat.S_ISLNK(status.st_mode) and self.is_made(path):
            return os.readlink(name, dir_fd=here.fd)
        if not create:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), shown(path))
        if self.is_made(path) and not self.is_whiteout(status.st_mode, status.st_rdev):
            raise LayerFault(f"has {shown(path)} as a file and as a directory")
        self.remove(here, name)
        return self._implied(here, name)

    def _implied(self, here: Directory, name: bytes) -> Directory:
        made = self.new_directory(here, name)
        os.fchmod(made.fd, IMPLIED_MODE)
        if self._implied_mark:
            os.setxattr(made.fd, self._implied_mark, b"")
            self._implied_paths.add(made.path)
        return made

    def _keep(self, parent: Directory, name: bytes, fd: int) -> Directory:
        path = joined(parent.path, name)
        if len(path) > MAX_PATH:
            os.close(fd)
            raise LayerFault(f"has a path longer than {MAX_PATH} bytes: {shown(path[:60])}…")
        if len(self._open) >= _MAX_OPEN:
            self._drop(lambda _, directory: directory.fd != parent.fd)
        directory = self._open[path] = Directory(fd, path)
        self.mark(path)
        return directory

    def _drop(self, unwanted: Callable[[bytes, Directory], bool]) -> None:
        """Close the directories that the function chooses; never the root, which is not ours."""
        gone = [key for key, directory in self._open.items() if key and unwanted(key, directory)]
        descriptors = {self._open.pop(key).fd for key in gone}
        for fd in descriptors - {directory.fd for directory in self._open.values()}:
            os.close(fd)


def normal(name: bytes) -> bytes:
    """Return an archive's name without leading, double and trailing slashes and ``.``; ``b""`` is the root.

    ``..`` is an `LayerFault`, in whatever place: no archiver writes it, and every escape by name starts so.
    """
    if len(name) > MAX_PATH:
        raise LayerFault(f"has a name longer than {MAX_PATH} bytes: {shown(name[:60])}…")
    if b"/." not in name and b"//" not in name and name[:1] not in (b"/", b"."):
        return name[:-1] if name[-1:] == b"/" else name
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise LayerFault(f"has the name {shown(name)}, which leads out of the image")
    return b"/".join(parts)


def joined(directory: bytes, name: bytes) -> bytes:
    """Return the path of ``name`` in ``directory``, which is ``b""`` for the root."""
    return directory + b"/" + name if directory else name


def shown(path: bytes) -> str:
    """Return a path for an error message: quoted, whatever bytes it has."""
    return repr(path.decode("utf-8", "backslashreplace"))


def _remove_directory(parent_fd: int, name: bytes) -> None:
    """Remove a directory of any depth with two descriptors: down to the first subdirectory, and up by ``..``."""
    fd = os.open(name, _OPEN_DIRECTORY, dir_fd=parent_fd)
    above = [name]
    try:
        while above:
            inner = _empty(fd)
            if inner is not None:
                following = os.open(inner, _OPEN_DIRECTORY, dir_fd=fd)
                above.append(inner)
            else:
                following = os.open("..", _OPEN_DIRECTORY, dir_fd=fd)
                os.rmdir(above.pop(), dir_fd=following)
            os.close(fd)
            fd = following
    finally:
        os.close(fd)


def _empty(fd: int) -> bytes | None:
    """Remove the files of a directory until a subdirectory comes, and return that; None when the directory is empty."""
    with os.scandir(fd) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                return os.fsencode(entry.name)
            os.unlink(entry.name, dir_fd=fd)
    return None
