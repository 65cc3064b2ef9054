"""Mount a storage driver's answer as the root file system, in the shim's own mount namespace."""

from __future__ import annotations

import errno
import os

from engine.actions.base import Slots, action
from engine.actions.namespaces import Maps, namespace_of
from engine.linux import mounts
from engine.linux.overlay import new_overlay
from engine.tuples import NamedTuple

MountRow = tuple[str, str, tuple[tuple[str, str], ...], tuple[str, ...], Maps | None]
"""fstype, source, options, attributes, identity map: `engine.contracts.storage.Mount` as plain data.

The map is rows for users and rows for groups, or None. It holds for a bind mount itself, and for an overlay's layers.
"""

_ATTRIBUTES = {
    "ro": mounts.MOUNT_ATTR_RDONLY,
    "nosuid": mounts.MOUNT_ATTR_NOSUID,
    "nodev": mounts.MOUNT_ATTR_NODEV,
    "noexec": mounts.MOUNT_ATTR_NOEXEC,
}


@action("mount")
class MountRootfs(NamedTuple):
    """Mount each row onto ``target`` (a directory of the engine's own), in order; set the slot ``rootfs``.

    The mounts live in the mount namespace of the caller (the shim) and end with its last process: nothing to undo.
    """

    target: str
    rows: tuple[MountRow, ...]

    def describe(self) -> str:
        """Return the sentence."""
        kinds = ", then ".join(f"{row[0]} ({row[1]}{', its ids mapped' if row[4] else ''})" for row in self.rows)
        return f"mount the root filesystem at {self.target}: {kinds}"

    def run(self, slots: Slots) -> None:
        """Mount, and open the result with O_PATH."""
        for row in self.rows:
            fd = mounted(*row[:4]) if row[4] is None else self._mapped(row, row[4], slots)
            try:
                mounts.attach(fd, mounts.AT_FDCWD, self.target)
            finally:
                os.close(fd)
        slots["rootfs"] = os.open(self.target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def _mapped(self, row: MountRow, maps: Maps, slots: Slots) -> int:
        """Return the mount of a row with an identity map; see `mounted`."""
        from engine.linux import idmapped  # for the containers that have one

        fstype, source, options, attributes, _maps = row
        attrs, namespace = _bits(attributes), namespace_of(maps, slots)
        if fstype == "bind":
            return idmapped.bind(source, namespace, attrs=attrs)
        if fstype != "overlay":
            raise OSError(errno.EINVAL, "of a storage driver's mounts only a bind and an overlay can be mapped", fstype)
        layers = _layers(options)
        return idmapped.overlay(
            layers.lowers, layers.upper, layers.work, layers.rest, attrs, source,
            maps=maps, namespace=namespace, place=self.target,
        )  # fmt: skip


def mounted(fstype: str, source: str, options: tuple[tuple[str, str], ...], attributes: tuple[str, ...]) -> int:
    """Return the descriptor of one row's mount, attached nowhere: it is gone when that is closed. It maps no ids."""
    attrs = _bits(attributes)
    if fstype == "bind":
        return mounts.bind_fd(mounts.AT_FDCWD, source, attr_set=attrs)
    if fstype == "overlay":
        layers = _layers(options)
        return new_overlay(layers.lowers, layers.upper, layers.work, layers.rest, attrs, source)
    return mounts.new_mount(fstype, {key: value or None for key, value in options}, attrs, source)


class _Layers(NamedTuple):
    """An overlay's directories, the topmost lower one first, and its other options."""

    lowers: list[str]
    upper: str | None
    work: str | None
    rest: dict[str, str | None]


def _layers(options: tuple[tuple[str, str], ...]) -> _Layers:
    lowers = [value for key, value in options if key == "lowerdir+"]
    rest = {key: value or None for key, value in options if key != "lowerdir+"}
    return _Layers(lowers, rest.pop("upperdir", None), rest.pop("workdir", None), rest)


def _bits(attributes: tuple[str, ...]) -> int:
    bits = 0
    for word in attributes:
        bits |= _ATTRIBUTES[word]
    return bits
