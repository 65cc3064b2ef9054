"""Does btrfs work here? Tried: a subvolume and a snapshot below the root, deleted again."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from engine.contracts.common import Probe
from engine.contracts.snapshots import SnapshotStore
from engine.linux import mountinfo
from engine.linux.syscalls import explain
from engine_storage_btrfs import subvolumes

_PREFERENCE = 40
"""Below overlay, whose containers share the page cache of their image."""


def probe(store: SnapshotStore) -> Probe:
    """Try in a directory below the root that is removed again. What the kernel refuses is put in words."""
    root = store.root
    try:
        root.mkdir(0o700, parents=True, exist_ok=True)
        root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # Before anything is made: whoever may not search the trees may not delete subvolumes either.
            subvolumes.list_nested(root_fd)
        finally:
            os.close(root_fd)
        with store.scratch(f"probe-{os.getpid()}") as place:
            _try(place)
    except OSError as error:
        return Probe(False, _reason(error, root))
    return Probe(True, f"{root} lies on btrfs, and subvolumes can be made there", _PREFERENCE)


def _try(place: Path) -> None:
    """Make a subvolume and a snapshot of it, named as those of a snapshot, so that they are deleted as such."""
    place_fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        subvolumes.create(place_fd, "base")
        base_fd = os.open("base", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=place_fd)
        try:
            subvolumes.snapshot(base_fd, place_fd, "fs", read_only=True)
        finally:
            os.close(base_fd)
    finally:
        os.close(place_fd)


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
