"""The action that shows a container its own cgroups. CHILD_BEFORE_PIVOT, after the process is in them.

Each hierarchy of the host is shown as a bind of the process's own directory in it, never as a new mount: mounting a v1
controller that is not mounted rebinds it for the whole machine, and a bind works without a cgroup namespace as well.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Sequence

from engine.actions.base import Slots, Step, action
from engine.actions.mounts import attach, attribute_bits
from engine.linux import mounts
from engine.tuples import NamedTuple

HierarchyRow = tuple[str, str, str, str]
"""Directory below the target ("" is the target itself), mount point on the host, root of that mount, controllers as in
/proc/PID/cgroup ("" is v2)."""


@action("mount")
class MountCgroups(NamedTuple):
    """Bind the caller's own directory of each hierarchy below ``target``; ``links`` are aliases for joint ones."""

    target: str
    hierarchies: tuple[HierarchyRow, ...]
    links: tuple[tuple[str, str], ...]
    attributes: tuple[str, ...]

    def describe(self) -> str:
        """Return the sentence."""
        return f"show the container its own cgroups at {self.target} ({', '.join(self.attributes)})"

    def run(self, slots: Slots) -> None:
        """Attach what `open_own` opened."""
        bits, clear = attribute_bits(self.attributes)
        alone = len(self.hierarchies) == 1 and not self.hierarchies[0][0]
        top = slots[_slot(self.hierarchies[0])] if alone else mounts.new_mount("tmpfs", {"mode": "755"}, 0, "tmpfs")
        try:
            attach(slots["rootfs"], top, self.target, directory=True, strict=True)
            for row in () if alone else self.hierarchies:
                os.mkdir(row[0], 0o755, dir_fd=top)
                mounts.move_mount(slots[_slot(row)], top, row[0])
            for name, target in self.links:
                os.symlink(target, name, dir_fd=top)
            mounts.mount_setattr(top, "", bits, clear, mounts.MS_PRIVATE, recursive=True)
        finally:
            os.close(top)


def open_own(steps: Iterable[Step], slots: Slots) -> None:
    """Open binds of the caller's own directories for a later `MountCgroups`, before a cgroup namespace hides where they
    are; a bind that is not attached ends with its descriptor."""
    for step in steps:
        if isinstance(step.action, MountCgroups):
            with open("/proc/self/cgroup", "rb", buffering=0) as file:
                lines = os.fsdecode(file.read()).splitlines()
            for row in step.action.hierarchies:
                slots[_slot(row)] = mounts.bind_fd(mounts.AT_FDCWD, _own(row, lines))


def _own(row: HierarchyRow, lines: Sequence[str]) -> str:
    _name, mount_point, root, controllers = row
    for line in lines:
        _number, found, path = line.split(":", 2)
        if found == controllers:
            inside = path.removeprefix(root.rstrip("/"))
            return f"{mount_point}/{inside}"
    raise OSError(errno.ENOENT, f"the process is in no cgroup of {controllers or 'v2'}", "/proc/self/cgroup")


def _slot(row: HierarchyRow) -> str:
    return f"cgroup of {row[3] or 'v2'}"
