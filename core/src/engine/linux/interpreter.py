"""The running interpreter on a read-only mount of its own, for starting a process that a container will look into.

A container reaches the program that a process executes through ``/proc/PID/exe``: when its command is a script whose
first line is ``#!/proc/self/exe``, the kernel executes the engine's own interpreter inside of it, and what runs there
could write to the file as the host's root (CVE-2019-5736). Executed through a detached read-only mount, the file is
read-only by that way for good: the mount belongs to no namespace, so nobody can remount it, and it goes with its last
process.

This is on the way of every start, before anything else is imported: ctypes alone, 2 ms, and not the whole of
`engine.linux`. Needs CAP_SYS_ADMIN and Linux 5.12.
"""

from __future__ import annotations

import ctypes
import os
import sys

_OPEN_TREE, _MOUNT_SETATTR = 428, 442
_AT_FDCWD, _AT_EMPTY_PATH, _OPEN_TREE_CLONE = -100, 0x1000, 1
_MOUNT_ATTR_RDONLY = 1


def read_only(program: str = sys.executable) -> int:
    """Return a close-on-exec descriptor of the interpreter's program, to be executed by its /proc/self/fd path."""
    call = ctypes.CDLL(None, use_errno=True).syscall
    path = os.fsencode(os.path.realpath(program))
    fd = call(_OPEN_TREE, _AT_FDCWD, ctypes.c_char_p(path), _OPEN_TREE_CLONE | os.O_CLOEXEC)
    if fd < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), os.fsdecode(path))
    attributes = _MOUNT_ATTR_RDONLY.to_bytes(8, "little") + bytes(24)
    if call(_MOUNT_SETATTR, fd, b"", _AT_EMPTY_PATH, attributes, ctypes.c_size_t(len(attributes))) < 0:
        number = ctypes.get_errno()
        os.close(fd)
        raise OSError(number, os.strerror(number), os.fsdecode(path))
    return int(fd)
