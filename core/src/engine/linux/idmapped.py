"""Mounts whose files belong to other ids than on disk: binds, and overlays of such layers (mount_setattr(2)).

The kernel maps a mount by a user namespace: what belongs to 0 on disk belongs there to the id that the namespace's 0 is
outside, and what is written is stored mapped back. Files of ids that the map does not have belong to nobody, and cannot
be created. An overlay itself cannot be mapped, its layers can (Linux 5.19, filesystems/overlayfs).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence

from engine.errors import Unsupported
from engine.linux import mounts
from engine.linux.fsids import FileSystemIds
from engine.linux.overlay import new_overlay
from engine.linux.paths import fd_path

Maps = tuple[tuple[tuple[int, int, int], ...], tuple[tuple[int, int, int], ...]]
"""Rows of /proc/PID/uid_map and of gid_map (user_namespaces(7))."""


def is_identity(maps: Maps) -> bool:
    """Return whether every id that the maps have is itself, so that nothing needs to be mapped."""
    return all(inside == outside for rows in maps for inside, outside, _length in rows)


def root_of(maps: Maps) -> tuple[int, int]:
    """Return the user and the group outside that are 0 inside. KeyError where the maps have none."""
    return _outside(maps[0]), _outside(maps[1])


def _outside(rows: Sequence[tuple[int, int, int]]) -> int:
    for inside, outside, length in rows:
        if inside <= 0 < inside + length:
            return outside - inside
    raise KeyError(0)


def bind(source: str, namespace: int, *, recursive: bool = False, below: bool = False, attrs: int = 0) -> int:
    """Return a bind mount of ``source`` mapped by a user namespace's descriptor, attached nowhere yet.

    ``recursive`` takes the mounts below along, ``below`` maps those too. Raises `Unsupported` for a file system that
    cannot map ids (an overlay, proc, most of the network's) and a mount that is mapped already, OSError for the rest.
    """
    fd = mounts.bind_fd(mounts.AT_FDCWD, source, recursive)
    try:
        mounts.mount_setattr(fd, "", attrs | mounts.MOUNT_ATTR_IDMAP, userns_fd=namespace, recursive=below)
    except OSError as error:
        os.close(fd)
        if error.errno != errno.EINVAL:
            raise OSError(error.errno, error.strerror, source) from None
        raise Unsupported(
            f"the ids of the files in {source} cannot be mapped: the file system there does not allow it",
            fix="Put them on one that does, such as ext4, xfs, btrfs or tmpfs, or do without a map (--userns host).",
        ) from None
    return fd


def overlay(
    lowers: Sequence[str],
    upper: str | None,
    work: str | None,
    options: Mapping[str, str | None],
    attrs: int,
    source: str,
    *,
    maps: Maps,
    namespace: int,
    place: str,
) -> int:
    """Return an overlay over mapped layers, attached nowhere yet; the rest as `engine.linux.overlay.new_overlay`.

    Before Linux 6.15 a layer must be attached in the caller's mount namespace. So each is, upon ``place``, for as long
    as this takes; the overlay keeps copies. It is mounted as the maps' root, since the kernel makes whiteouts and its
    own directory in ``work`` with the ids of whoever mounted it.
    """
    opened: list[int] = []
    try:
        for path in lowers:
            opened.append(_attached(path, namespace, place))
        mapped = [fd_path(fd) for fd in opened]
        if upper is not None and work is not None:
            # They have to be on one mount.
            above = os.path.commonpath((upper, work))
            opened.append(_attached(above, namespace, place))
            here = fd_path(opened[-1])
            upper, work = (f"{here}/{os.path.relpath(path, above)}" for path in (upper, work))
        with FileSystemIds(*root_of(maps)):
            return new_overlay(mapped, upper, work, options, attrs, source)
    finally:
        for fd in opened:
            mounts.umount(place)
            os.close(fd)


def _attached(path: str, namespace: int, place: str) -> int:
    fd = bind(path, namespace)
    try:
        mounts.attach(fd, mounts.AT_FDCWD, place)
    except OSError:
        os.close(fd)
        raise
    return fd
