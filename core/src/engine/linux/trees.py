"""Removing a directory tree that a container filled, by descriptors: no link is followed, no depth is too deep.

A hostile tree may be nested deeper than a path or the table of descriptors reaches, and may hold files that are
immutable (chattr(1)). The caller needs write permission everywhere (root, or a user namespace's), and for immutable
files CAP_LINUX_IMMUTABLE.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import sys

from engine.linux.paths import RESOLVE_BENEATH, RESOLVE_NO_XDEV, openat2
from engine.tuples import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_DEEPEST = 64
"""Levels held open at once, two descriptors each; a deeper directory is first moved up to the top."""
_FS_IOC_GETFLAGS, _FS_IOC_SETFLAGS = 0x80086601, 0x40086602
_FS_IMMUTABLE_FL, _FS_APPEND_FL = 0x10, 0x20


def remove_tree(directory_fd: int, name: str) -> None:
    """Remove ``name`` in a directory, whatever it is, with all below it; nothing happens when it does not exist.

    A mount point inside is an `OSError` (EBUSY), and so is whatever else the kernel refuses.
    """
    try:
        os.unlink(name, dir_fd=directory_fd)
    except FileNotFoundError:
        return
    except IsADirectoryError:
        _remove_directory(directory_fd, name)
    except PermissionError:
        _insist(directory_fd, name)
        remove_tree(directory_fd, name)


class _Level:
    """One open directory on the way down, and where its listing stands."""

    def __init__(self, parent_fd: int, name: str) -> None:
        self.parent_fd = parent_fd
        self.name = name
        self.fd = _open_directory(parent_fd, name)
        self.directories = self._emptied()

    def _emptied(self) -> Iterator[str]:
        """Remove every file, and yield the name of each directory."""
        with os.scandir(self.fd) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield entry.name
                else:
                    _unlink(self.fd, entry.name)

    def finish(self) -> bool:
        """Remove the directory itself; return False when it has gained entries and must be gone through again."""
        try:
            _rmdir(self.parent_fd, self.name)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
            self.directories = self._emptied()
            return False
        return True


def _open_directory(parent_fd: int, name: str) -> int:
    """Open a directory to be emptied; a mount point is none, since what is mounted there belongs to somebody else."""
    try:
        return openat2(parent_fd, name, _DIRECTORY, resolve=RESOLVE_NO_XDEV | RESOLVE_BENEATH)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        raise OSError(errno.EBUSY, "something is mounted on it", name) from None


def _remove_directory(directory_fd: int, name: str) -> None:
    levels = [_Level(directory_fd, name)]
    moved = 0
    try:
        while levels:
            level = levels[-1]
            below = next(level.directories, None)
            if below is None:
                if level.finish():
                    os.close(levels.pop().fd)
            elif len(levels) < _DEEPEST:
                levels.append(_Level(level.fd, below))
            else:
                moved = _move_up(level.fd, below, levels[0].fd, moved)
    finally:
        for level in levels:
            os.close(level.fd)


def _move_up(source_fd: int, name: str, top_fd: int, moved: int) -> int:
    """Move a directory to the top under a name that is free; return the number that the name was made of."""
    while True:
        moved += 1
        try:
            os.rename(name, f"moved-{moved}", src_dir_fd=source_fd, dst_dir_fd=top_fd)
        except OSError as error:
            if error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
                continue
            if error.errno not in {errno.EPERM, errno.EACCES}:
                raise
            _insist(source_fd, name)
        else:
            return moved


def _unlink(directory_fd: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=directory_fd)
    except FileNotFoundError:
        return
    except PermissionError:
        _insist(directory_fd, name)
        os.unlink(name, dir_fd=directory_fd)


def _rmdir(directory_fd: int, name: str) -> None:
    try:
        os.rmdir(name, dir_fd=directory_fd)
    except PermissionError:
        _insist(directory_fd, name)
        os.rmdir(name, dir_fd=directory_fd)


def _insist(directory_fd: int, name: str) -> None:
    """Clear what keeps ``name`` from being removed: the immutable and append-only flags, its own and the directory's.

    Raises PermissionError when nothing of that kind was set, so trying again is worth it whenever this returns.
    """
    cleared = _make_mutable(directory_fd)
    mode = os.stat(name, dir_fd=directory_fd, follow_symlinks=False).st_mode
    # Nothing else can have the flags, and opening a device or a fifo may do something.
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory_fd)
        try:
            cleared = _make_mutable(fd) or cleared
        finally:
            os.close(fd)
    if not cleared:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), name)


def _make_mutable(fd: int) -> bool:
    """Clear the flags of an open file or directory; return whether one was set."""
    flags = bytearray(8)
    try:
        fcntl.ioctl(fd, _FS_IOC_GETFLAGS, flags)
        present = int.from_bytes(flags[:4], sys.byteorder)
        if not present & (_FS_IMMUTABLE_FL | _FS_APPEND_FL):
            return False
        kept = present & ~(_FS_IMMUTABLE_FL | _FS_APPEND_FL)
        fcntl.ioctl(fd, _FS_IOC_SETFLAGS, kept.to_bytes(4, sys.byteorder))
    except OSError as error:
        if error.errno in {errno.ENOTTY, errno.EOPNOTSUPP}:
            return False
        raise
    return True
