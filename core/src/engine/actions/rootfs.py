"""Mount a storage driver's answer as the root file system, in the shim's own mount namespace."""

from __future__ import annotations

import os
from typing import NamedTuple

from engine.actions.base import Slots, action
from engine.linux import mounts
from engine.linux.overlay import new_overlay

MountRow = tuple[str, str, tuple[tuple[str, str], ...], tuple[str, ...]]
"""fstype, source, options, attributes: `engine.contracts.storage.Mount` as plain data."""

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
        kinds = ", then ".join(f"{fstype} ({source})" for fstype, source, _options, _attributes in self.rows)
        return f"mount the root filesystem at {self.target}: {kinds}"

    def run(self, slots: Slots) -> None:
        """Mount, and open the result with O_PATH."""
        for row in self.rows:
            fd = mounted(*row)
            try:
                mounts.attach(fd, mounts.AT_FDCWD, self.target)
            finally:
                os.close(fd)
        slots["rootfs"] = os.open(self.target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def mounted(fstype: str, source: str, options: tuple[tuple[str, str], ...], attributes: tuple[str, ...]) -> int:
    """Return the descriptor of one row's mount, attached nowhere: it is gone when that is closed."""
    attrs = 0
    for word in attributes:
        attrs |= _ATTRIBUTES[word]
    if fstype == "bind":
        return mounts.bind_fd(mounts.AT_FDCWD, source, attr_set=attrs)
    keyed: dict[str, list[str]] = {}
    for key, value in options:
        keyed.setdefault(key, []).append(value)
    lowers = keyed.pop("lowerdir+", [])
    rest = {key: values[-1] or None for key, values in keyed.items()}
    if fstype == "overlay":
        upper, work = rest.pop("upperdir", None), rest.pop("workdir", None)
        return new_overlay(lowers, upper, work, rest, attrs, source)
    return mounts.new_mount(fstype, rest, attrs, source)
