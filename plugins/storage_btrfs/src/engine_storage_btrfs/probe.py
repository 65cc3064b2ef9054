"""Does btrfs work here? Tried: a subvolume and a snapshot below the root, deleted again."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from engine.contracts.common import Probe
from engine.linux import mountinfo
from engine.linux.syscalls import explain
from engine.linux.trees import remove_tree
from engine_storage_btrfs import subvolumes

_PREFERENCE = 40
"""Below overlay, whose containers share the page cache of their image."""


def probe(root: Path) -> Probe:
    """Try in a directory below ``root`` that is removed again. What the kernel refuses is put in words."""
    name = f"probe-{os.getpid()}"
    try:
        root.mkdir(0o700, parents=True, exist_ok=True)
        root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        return Probe(False, f"{root} cannot be used: {error.strerror}")
    try:
        # Before anything is made: whoever may not search the trees may not delete subvolumes either.
        subvolumes.list_nested(root_fd)
        _try(root_fd, name)
    except OSError as error:
        return Probe(False, _reason(error, root))
    finally:
        os.close(root_fd)
    return Probe(True, f"{root} lies on btrfs, and subvolumes can be made there", _PREFERENCE)


def _try(root_fd: int, name: str) -> None:
    os.mkdir(name, 0o700, dir_fd=root_fd)
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root_fd)
    try:
        subvolumes.create(fd, "one")
        one = os.open("one", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
        try:
            subvolumes.snapshot(one, fd, "two", read_only=True)
        finally:
            os.close(one)
    finally:
        subvolumes.destroy(fd, "two")
        subvolumes.destroy(fd, "one")
        os.close(fd)
        remove_tree(root_fd, name)


def _reason(error: OSError, root: Path) -> str:
    entry = mountinfo.find(os.path.realpath(root), mountinfo.read())
    if error.errno in {errno.ENOTTY, errno.EOPNOTSUPP}:
        fstype = entry.fstype if entry else "another file system"
        return f"{root} lies on {fstype}, not on btrfs: make one (mkfs.btrfs DEVICE), mount it, and put --root there"
    if entry is not None and "ro" in (*entry.options, *entry.super_options):
        return f"{root} lies on a read-only file system: mount it for writing"
    if error.errno == errno.EPERM:
        return "making and deleting subvolumes is not allowed: run as root"
    return f"subvolumes cannot be made in {root}: {explain(error.errno or 0, 'open')} ({error.strerror})"
