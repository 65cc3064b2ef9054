"""Two trees compared, a snapshot and what it was made from: what `docker diff` shows.

Untouched files are told by inode number and change time, which a snapshot keeps and no program can set back; only what
differs there is looked at closely, down to the content where the other times were put back.

The tree may belong to a running container: everything is opened below the descriptor of its root with links refused,
so a race shows or hides a path and never leads elsewhere. Paths longer than PATH_MAX are not shown.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from engine.contracts.storage import Change, ChangeKind
from engine.linux.paths import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, fd_path, openat2
from engine.tuples import NamedTuple

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})
_CHUNK = 1 << 20

Entries = dict[str, os.stat_result]


class Difference(NamedTuple):
    """One change, and what is there now (None: nothing)."""

    change: Change
    status: os.stat_result | None


class _Level:
    """One directory on the way down: what is left to compare in it, and whether it was reported itself."""

    def __init__(self, path: str, status: os.stat_result | None, before: Entries, now: Entries) -> None:
        self.path = path
        self.status = status
        self.before = before
        self.now = now
        self.reported = False
        self.names = iter(sorted(before.keys() | now.keys()))


def compare(now_fd: int, before_fd: int | None) -> Iterator[Difference]:
    """Yield how the tree ``now_fd`` differs from ``before_fd`` (None: from nothing), a directory before its entries."""
    trees = _Trees(now_fd, before_fd)
    levels = [trees.level("", None, was_directory=True)]
    levels[0].reported = True
    while levels:
        level = levels[-1]
        name = next(level.names, None)
        if name is None:
            levels.pop()
            continue
        path = f"{level.path}/{name}" if level.path else name
        before, now = level.before.get(name), level.now.get(name)
        kind = trees.kind(path, before, now)
        if kind is not None:
            yield from _report(levels)
            yield Difference(Change(kind, f"/{path}"), now)
        if now is not None and stat.S_ISDIR(now.st_mode):
            was_directory = before is not None and stat.S_ISDIR(before.st_mode)
            levels.append(trees.level(path, now, was_directory=was_directory))
            levels[-1].reported = kind is not None


def _report(levels: list[_Level]) -> Iterator[Difference]:
    """Yield the directories on the way to a change that were not reported yet: their entries changed."""
    for level in levels:
        if not level.reported:
            level.reported = True
            yield Difference(Change(ChangeKind.CHANGED, f"/{level.path}"), level.status)


class _Trees:
    """The two trees, by the descriptors of their roots."""

    def __init__(self, now_fd: int, before_fd: int | None) -> None:
        self._now_fd = now_fd
        self._before_fd = before_fd

    def level(self, path: str, status: os.stat_result | None, *, was_directory: bool) -> _Level:
        """Return a directory to be compared."""
        before = _entries(self._before_fd, path) if was_directory and self._before_fd is not None else {}
        return _Level(path, status, before, _entries(self._now_fd, path))

    def kind(self, path: str, before: os.stat_result | None, now: os.stat_result | None) -> ChangeKind | None:
        """Return what happened to one path; None when nothing did."""
        if before is None:
            return ChangeKind.ADDED
        if now is None:
            return ChangeKind.DELETED
        if _untouched(before) == _untouched(now):
            return None
        if _attributes(before) != _attributes(now) or self._differs(path, now.st_mode):
            return ChangeKind.CHANGED
        return None

    def _differs(self, path: str, mode: int) -> bool:
        """Look closely at a file of which only the change time differs: extended attributes and content."""
        if self._before_fd is None or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            return False
        with _opened(self._now_fd, path, os.O_PATH) as now, _opened(self._before_fd, path, os.O_PATH) as before:
            if now is None or before is None:
                return True
            if _xattrs(now) != _xattrs(before):
                return True
            # Looked at again: a container may have put a device there meanwhile.
            return stat.S_ISREG(os.fstat(now).st_mode) and not _same_content(now, before)


def _untouched(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_ctime_ns, status.st_size, *_attributes(status))


def _attributes(status: os.stat_result) -> tuple[int, ...]:
    owner = (status.st_mode, status.st_uid, status.st_gid)
    return (status.st_ino, status.st_mtime_ns, status.st_rdev, *owner)


def _entries(root_fd: int, path: str) -> Entries:
    found: Entries = {}
    with _opened(root_fd, path, _DIRECTORY) as fd:
        if fd is None:
            return found
        with os.scandir(fd) as listing:
            for entry in listing:
                try:
                    found[entry.name] = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
    return found


@contextmanager
def _opened(root_fd: int, path: str, flags: int) -> Iterator[int | None]:
    """Open ``path`` below a root for the body, no link followed; None when nothing is there (any more)."""
    try:
        fd = openat2(root_fd, path or ".", flags | os.O_NOFOLLOW, resolve=RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
    except OSError as error:
        if error.errno not in _ABSENT:
            raise
        yield None
        return
    try:
        yield fd
    finally:
        os.close(fd)


def _xattrs(fd: int) -> dict[str, bytes]:
    path = fd_path(fd)
    return {name: os.getxattr(path, name) for name in os.listxattr(path)}


def _same_content(one_fd: int, other_fd: int) -> bool:
    with open(fd_path(one_fd), "rb", buffering=0) as one, open(fd_path(other_fd), "rb", buffering=0) as other:
        while True:
            chunk = one.read(_CHUNK)
            if chunk != other.read(_CHUNK):
                return False
            if not chunk:
                return True
