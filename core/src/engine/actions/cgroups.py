"""Actions on cgroup directories. The journalled one outlives every process, so it is undone by kill and rmdir."""

from __future__ import annotations

import os
from typing import NamedTuple

from engine.actions.base import Slots, action
from engine.linux import cgroups


@action("cgroup", journalled=True)
class MakeCgroup(NamedTuple):
    """Make one cgroup directory, and its parents below the mount point (cgroups(7)).

    ``inherit`` names files copied from the parent when they are empty (``cpuset.cpus`` and ``cpuset.mems`` on v1: no
    task may join before they hold something). Undo kills what is inside and removes this directory, not the parents.
    """

    path: str
    inherit: tuple[str, ...] = ()

    def describe(self) -> str:
        """Return the sentence."""
        return f"make cgroup {self.path}"

    def run(self, slots: Slots) -> None:
        """Make it; an existing directory is somebody's container and an error."""
        cgroups.make(self.path, self.inherit)

    def undo(self, slots: Slots) -> None:
        """Kill every process inside, wait for them, remove the directory; nothing to do when it is gone."""
        group = cgroups.Group.of_directory(self.path)
        cgroups.kill(group)
        cgroups.remove(group)


@action("cgroup")
class WriteCgroup(NamedTuple):
    """Write one value to a cgroup file; ``meaning`` is the limit in words ("memory limit 64 MiB")."""

    path: str
    value: str
    meaning: str

    def describe(self) -> str:
        """Return the sentence."""
        return f"set {self.meaning}: write {self.value!r} to {self.path}"

    def run(self, slots: Slots) -> None:
        """Write it in one call, as the kernel's parsers expect."""
        cgroups.write_file(self.path, self.value)


@action("cgroup")
class OpenCgroup(NamedTuple):
    """Open a v2 directory into the slot ``cgroup``, to clone into (clone(2), CLONE_INTO_CGROUP)."""

    path: str

    def describe(self) -> str:
        """Return the sentence."""
        return f"open cgroup {self.path} to clone into"

    def run(self, slots: Slots) -> None:
        """Set the slot; the descriptor is closed by whoever owns the slots."""
        slots["cgroup"] = os.open(self.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


@action("cgroup")
class JoinCgroup(NamedTuple):
    """Move the process in slot ``pid`` into a cgroup after the clone (v1, and v2 without CLONE_INTO_CGROUP)."""

    path: str

    def describe(self) -> str:
        """Return the sentence."""
        return f"move the container's first process into cgroup {self.path}"

    def run(self, slots: Slots) -> None:
        """Write the pid to ``cgroup.procs``."""
        cgroups.write_file(f"{self.path}/cgroup.procs", str(slots["pid"]))
