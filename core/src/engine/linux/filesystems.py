"""Calls on a whole filesystem, and on a file by its handle instead of a path."""

from __future__ import annotations

import ctypes
import struct

from engine.linux.syscalls import check, function

_syncfs = function("syncfs", ctypes.c_int)
_open_by_handle_at = function("open_by_handle_at", ctypes.c_int, ctypes.c_char_p, ctypes.c_int)


def syncfs(fd: int) -> None:
    """Write everything of the filesystem that ``fd`` lies on to its disk (syncfs(2)). OSError when a write failed."""
    check(_syncfs(fd), fd)


def open_by_handle(mount_fd: int, kind: int, handle: bytes, flags: int) -> int:
    """Open the file that a filesystem knows by ``handle`` of type ``kind`` (open_by_handle_at(2)).

    ``mount_fd`` is any open file of that filesystem. Needs CAP_DAC_READ_SEARCH in the first user namespace; ESTALE when
    the file is gone. What a handle is made of is the filesystem's own business (include/linux/exportfs.h).
    """
    return check(_open_by_handle_at(mount_fd, struct.pack("=Ii", len(handle), kind) + handle, flags), mount_fd)
