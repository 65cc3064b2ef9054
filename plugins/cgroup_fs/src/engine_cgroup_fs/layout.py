"""Where the groups of one engine root are: ``<mount point><parent>/engine-<mark>/<name>`` in every hierarchy in use.

The parent is ``/`` by default, the top of what is mounted here, and not the group of the calling process: a container
outlives the command that started it, a later command from another group must find its neighbours, the caller's group
must stay removable, and on v2 a group with processes in it cannot give its children any limit. In a cgroup namespace
the top is the namespace's own root.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Set

from engine.errors import InvalidInput
from engine.linux.cgroups import Group, Hierarchies, read_value
from engine.tuples import NamedTuple

NAME = "cgroupfs"
"""What the user types."""

_V1 = (
    "cpu", "cpuacct", "cpuset", "memory", "pids", "devices", "blkio", "hugetlb", "rdma", "net_cls", "net_prio",
    "perf_event",
)  # fmt: skip
"""The v1 controllers whose hierarchies a container joins, limited or not: its limits may be changed later, and its
statistics are wanted. The freezer is left out where the v2 tree can freeze."""
_V2 = ("cpuset", "cpu", "io", "memory", "pids")
"""The v2 controllers that are enabled for every container, where v2 has them; others when a limit needs them."""
_COMPONENT = re.compile(r"[A-Za-z0-9_.:@+-]+")


class Layout(NamedTuple):
    """The hierarchies here, as far as this driver uses them. Controllers are in at most one of both.

    ``v1`` is controller to mount point; ``v2`` the mount point or ``""``; ``v2_controllers`` what v2 can enable.
    """

    v1: Mapping[str, str]
    v2: str
    v2_controllers: tuple[str, ...]
    mark: str

    def version(self, controller: str) -> int:
        """Return 1 or 2, the version of the hierarchy that has the controller, or 0 if none has."""
        return 1 if controller in self.v1 else 2 if controller in self.v2_controllers else 0

    def path(self, name: str, parent: str) -> str:
        """Return the group's path below each mount point. Raises `InvalidInput`."""
        if not _COMPONENT.fullmatch(name) or name in (".", ".."):
            raise InvalidInput(f"{name!r} cannot name a cgroup", fix="Use letters, digits and -.", plugin=NAME)
        return f"{checked_parent(parent)}/engine-{self.mark}/{name}"

    def group(self, name: str, parent: str) -> Group:
        """Return the directories of a container's group."""
        path = self.path(name, parent)
        return Group({controller: mount + path for controller, mount in self.v1.items()}, self.v2 and self.v2 + path)

    def enabled(self, limited: Set[str]) -> list[str]:
        """Return the v2 controllers that a group gets of which these are limited."""
        return [name for name in self.v2_controllers if name in _V2 or name in limited]

    def above(self, group: Group) -> list[str]:
        """Return the v2 directories that must enable controllers for the group, from the mount point down."""
        parents = group.v2[len(self.v2) + 1 :].split("/")[:-1]
        return [self.v2 + "".join(f"/{part}" for part in parents[:depth]) for depth in range(len(parents) + 1)]


def of_machine(hierarchies: Hierarchies, mark: str) -> Layout:
    """Return the layout for what is mounted; reads one file of v2."""
    v1 = {name: hierarchies.v1[name].mount_point for name in _V1 if name in hierarchies.v1}
    v2 = hierarchies.v2_mount
    if not v2 and "freezer" in hierarchies.v1:
        v1["freezer"] = hierarchies.v1["freezer"].mount_point
    available = read_value(v2, "cgroup.controllers").split() if v2 else []
    return Layout(v1, v2, tuple(available), mark)


def checked_parent(parent: str) -> str:
    """Return the parent without a slash at its end, ``""`` for the top. Raises `InvalidInput`."""
    if parent in ("", "/"):
        return ""
    path = os.path.normpath(parent)
    parts = path.split("/")[1:]
    if not path.startswith("/") or path.startswith("//") or ".." in parent.split("/"):
        raise InvalidInput(
            f"the cgroup parent {parent!r} is not an absolute path below the mount point of a hierarchy",
            fix="Write it as /name or /name/name; slices belong to --cgroup-driver systemd.",
            plugin=NAME,
        )
    if not all(_COMPONENT.fullmatch(part) for part in parts):
        raise InvalidInput(
            f"the cgroup parent {parent!r} has a name that no cgroup should have",
            fix="Use letters, digits and _.:@+-.",
            plugin=NAME,
        )
    return path
