"""Owner, mode and extended attributes of a layer's directories."""

from __future__ import annotations

import os


def mark(*, userxattr: bool) -> str:
    """Return the attribute that marks an implied directory. Not one of overlay's own, which the kernel keeps hidden."""
    return "user.engine.implied" if userxattr else "trusted.engine.implied"


def copy_attributes(source_fd: int, target_fd: int) -> None:
    """Give a directory the owner, mode and extended attributes of another, overlay's own attributes left out."""
    status = os.fstat(source_fd)
    os.fchown(target_fd, status.st_uid, status.st_gid)
    os.fchmod(target_fd, status.st_mode & 0o7777)
    for name in os.listxattr(source_fd):
        if not name.startswith(("trusted.", "user.overlay.")):
            os.setxattr(target_fd, name, os.getxattr(source_fd, name))
