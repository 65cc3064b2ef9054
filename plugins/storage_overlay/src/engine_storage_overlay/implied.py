"""Directories that a layer's archive only implies: what they look like is up to the layers below.

An archive may have ``tmp/file`` and nothing for ``tmp``. In a stack of layers the directory made for it covers the one
below, so with an owner and a mode made up it would, say, take the sticky bit off /tmp. Whoever unpacks marks it
(`engine.contracts.storage.UnpackTarget.implied`), and when the layer is committed and its parents are known, it gets
what they have.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from engine_storage_overlay.attributes import copy_attributes, mark
from engine_storage_overlay.stack import Stack, join, open_below

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def adopt(layer: Path, lowers: list[Path], *, userxattr: bool) -> None:
    """Give each marked directory of ``layer`` the owner, mode and attributes that it has below; take the marks off."""
    attribute = mark(userxattr=userxattr)
    prefix = "user.overlay." if userxattr else "trusted.overlay."
    layer_fd = os.open(layer, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with Stack([os.fspath(lower) for lower in lowers], prefix) as stack:
            pending = [""]
            while pending:
                path = pending.pop()
                with open_below(layer_fd, path, _DIRECTORY) as fd:
                    if fd is None:
                        continue
                    if _take_off(fd, attribute):
                        _look_like_below(stack, path, fd)
                    pending += _directories(fd, path)
    finally:
        os.close(layer_fd)


def _look_like_below(stack: Stack, path: str, fd: int) -> None:
    parts = stack.root
    for name in path.split("/") if path else ():
        found = stack.lookup(parts, name)
        if found is None or not found.is_dir:
            return
        parts = found.parts
    if parts:
        with stack.opened(parts[0]) as below:
            if below is not None:
                copy_attributes(below, fd)


def _take_off(fd: int, attribute: str) -> bool:
    """Remove the mark; return whether there was one."""
    try:
        os.removexattr(fd, attribute)
    except OSError as error:
        if error.errno in {errno.ENODATA, errno.EOPNOTSUPP}:
            return False
        raise
    return True


def _directories(fd: int, path: str) -> list[str]:
    with os.scandir(fd) as entries:
        return [join(path, entry.name) for entry in entries if entry.is_dir(follow_symlinks=False)]
