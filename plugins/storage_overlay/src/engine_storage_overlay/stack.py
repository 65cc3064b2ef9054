"""The lower layers of an overlay, looked up as the kernel does (filesystems/overlayfs.rst, fs/overlayfs/namei.c).

Whiteouts and opaque directories end a search downwards, a redirect sends it elsewhere. Nothing is followed: each lookup
is one openat2(2) below the root of a layer with links refused. The layers are immutable, or the machine's own
directory, of which a copy of the mount is taken, so that what is mounted over it is not in the way, as in the overlay.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from engine.linux.mounts import AT_FDCWD, open_tree
from engine.linux.paths import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2
from engine.tuples import NamedTuple

_BELOW = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})
"""Not there, or behind a link; a path longer than the kernel takes is treated as not there as well."""
_NO_NAME = frozenset({"", ".", ".."})


class Part(NamedTuple):
    """One directory of one layer: its part of a merged directory. ``path`` is relative to the layer, "" its root."""

    layer: int
    path: str


Parts = tuple[Part, ...]


class Found(NamedTuple):
    """What a name means in a merged directory: ``parts`` from the top down when ``is_dir``, else the one file."""

    is_dir: bool
    parts: Parts


class Marks(NamedTuple):
    """Overlay's extended attributes of a directory."""

    opaque: bool
    redirect: str


class Stack:
    """Open layers, the topmost first. A context manager: the descriptors are closed at its end.

    ``private``: the layers may have other things mounted in them, so a copy of their mount is opened (CAP_SYS_ADMIN).
    ``prefix`` is that of the extended attributes, ``trusted.overlay.`` or ``user.overlay.``.
    """

    def __init__(self, layers: list[str], prefix: str, *, private: bool = False) -> None:
        self._prefix = prefix
        self._roots: list[int] = []
        try:
            for layer in layers:
                self._roots.append(_open_root(layer, private=private))
        except OSError:
            self._close()
            raise
        self.root: Parts = tuple(Part(index, "") for index in range(len(layers)))

    def __enter__(self) -> Stack:
        return self

    def __exit__(self, *exc: object) -> None:
        self._close()

    def _close(self) -> None:
        while self._roots:
            os.close(self._roots.pop())

    def lookup(self, parts: Parts, name: str) -> Found | None:
        """Return what ``name`` is in the merged directory made of ``parts``; None when it is not there."""
        found: list[Part] = []
        for index, part in enumerate(parts):
            here = Part(part.layer, join(part.path, name))
            status = self._status(here)
            if status is None:
                continue
            if not stat.S_ISDIR(status.st_mode):
                if found or is_whiteout(status):
                    break
                return Found(False, (here,))
            found.append(here)
            marks = self.marks(here)
            if marks.opaque:
                break
            if marks.redirect:
                below = self.redirected(parts[index + 1 :], marks.redirect, after=part.layer)
                return Found(True, (*found, *below))
        return Found(True, tuple(found)) if found else None

    def redirected(self, siblings: Parts, redirect: str, *, after: int) -> Parts:
        """Return where a redirect leads: to a sibling, or along a path from the root of each layer below ``after``."""
        if not redirect.startswith("/"):
            found = None if redirect in _NO_NAME or "/" in redirect else self.lookup(siblings, redirect)
            return found.parts if found and found.is_dir else ()
        parts = tuple(part for part in self.root if part.layer > after)
        for name in redirect.strip("/").split("/"):
            found = None if name in _NO_NAME else self.lookup(parts, name)
            if found is None or not found.is_dir:
                return ()
            parts = found.parts
        return parts

    def names(self, parts: Parts) -> set[str]:
        """Return the names in a merged directory (whiteouts among them: look each up)."""
        names: set[str] = set()
        for part in parts:
            with self.opened(part) as fd:
                names.update(() if fd is None else os.listdir(fd))
        return names

    def marks(self, part: Part) -> Marks:
        """Return the marks of one directory."""
        with self.opened(part) as fd:
            return Marks(False, "") if fd is None else read_marks(fd, self._prefix)

    def opened(self, part: Part) -> AbstractContextManager[int | None]:
        """Open one directory for the body of a ``with``; None when nothing is there."""
        return open_below(self._roots[part.layer], part.path, _DIRECTORY)

    def _status(self, part: Part) -> os.stat_result | None:
        with open_below(self._roots[part.layer], part.path, os.O_PATH | os.O_NOFOLLOW) as fd:
            return None if fd is None else os.fstat(fd)


@contextmanager
def open_below(root_fd: int, path: str, flags: int) -> Iterator[int | None]:
    """Open ``path`` below a directory for the body, no link followed; None when nothing is there (any more)."""
    try:
        fd = openat2(root_fd, path or ".", flags, resolve=_BELOW)
    except OSError as error:
        if error.errno not in _ABSENT:
            raise
        yield None
        return
    try:
        yield fd
    finally:
        os.close(fd)


def read_marks(fd: int, prefix: str) -> Marks:
    """Return the marks of an open directory."""
    opaque = _attribute(fd, f"{prefix}opaque")
    return Marks(opaque == b"y", os.fsdecode(_attribute(fd, f"{prefix}redirect")))


def is_whiteout(status: os.stat_result) -> bool:
    """Return whether a file says that its name is deleted: a character device 0/0."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def join(path: str, name: str) -> str:
    """Return the path of an entry of a directory, both relative to a root."""
    return f"{path}/{name}" if path else name


def _attribute(fd: int, name: str) -> bytes:
    try:
        return os.getxattr(fd, name)
    except OSError as error:
        if error.errno in {errno.ENODATA, errno.EOPNOTSUPP}:
            return b""
        raise


def _open_root(layer: str, *, private: bool) -> int:
    if not private:
        return os.open(layer, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return open_tree(AT_FDCWD, layer)
