"""Mount a storage driver's answer as the root file system, in the shim's own mount namespace."""

from __future__ import annotations

import os
from typing import NamedTuple

from engine.actions.base import Slots, action
from engine.linux import mounts

MountRow = tuple[str, str, tuple[tuple[str, str], ...], tuple[str, ...]]
"""fstype, source, options, attributes: `engine.contracts.storage.Mount` as plain data."""


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
        for fstype, source, options, attributes in self.rows:
            if fstype == "bind":
                fd = mounts.bind_fd(-100, source, recursive=False, attributes=attributes)
            else:
                fd = mounts.new_mount(fstype, options, attributes, source)
            try:
                mounts.attach(fd, -100, self.target)
            finally:
                os.close(fd)
        slots["rootfs"] = os.open(self.target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
