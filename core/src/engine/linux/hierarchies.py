"""Which cgroup hierarchies are mounted here, and where this process is in each (cgroups(7)).

The mounts come from mountinfo alone: /proc/cgroups and /proc/self/cgroup also list controllers that are not mounted, a
folder below /sys/fs/cgroup may be a plain one, and mounting a v1 controller to find out would take it away from v2 for
the whole machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.linux import mountinfo
from engine.linux.mountinfo import MountEntry
from engine.tuples import NamedTuple


class Hierarchy(NamedTuple):
    """One mounted hierarchy."""

    mount_point: str
    root: str
    """The group at the mount point: ``/`` unless it is a bind mount or lies in a cgroup namespace."""
    path: str
    """The group of this process, from the root of the hierarchy (or of the cgroup namespace)."""

    @property
    def directory(self) -> str:
        """The directory of this process's own group, or "" if it is not below the mount point."""
        return self.locate(self.path)

    def locate(self, path: str) -> str:
        """Return the directory of a group, given as /proc/PID/cgroup has it, or "" if it is not below here."""
        if self.root == "/":
            return (self.mount_point + path).rstrip("/")
        if path == self.root or path.startswith(self.root + "/"):
            return (self.mount_point + path[len(self.root) :]).rstrip("/")
        return ""


class Hierarchies(NamedTuple):
    """What is mounted: ``v1`` by controller (a named hierarchy as ``name=systemd``; controllers may share one)."""

    v1: dict[str, Hierarchy]
    v2: Hierarchy | None

    @property
    def mode(self) -> str:
        """``v1``, ``v2``, ``hybrid`` (v2 beside v1 controllers) or ``none``; a named v1 hierarchy does not count."""
        controllers = any(not name.startswith("name=") for name in self.v1)
        if self.v2 is not None:
            return "hybrid" if controllers else "v2"
        return "v1" if controllers else "none"

    @property
    def v2_mount(self) -> str:
        """The mount point of the v2 hierarchy, or ""."""
        return "" if self.v2 is None else self.v2.mount_point


def discover(entries: Sequence[MountEntry] | None = None, membership: str | None = None) -> Hierarchies:
    """Return the hierarchies of this process's mount namespace.

    ``entries`` are the mounts (None: read now) and ``membership`` is the text of /proc/self/cgroup (None: read now).
    """
    entries = mountinfo.read() if entries is None else entries
    groups = parse_membership(_own_membership() if membership is None else membership)
    v1: dict[str, Hierarchy] = {}
    for controllers, path in groups:
        mounted = [e for e in mountinfo.of_type("cgroup", entries) if controllers and controllers <= {*e.super_options}]
        if mounted:
            v1 |= dict.fromkeys(sorted(controllers), _best(mounted, path))
    unified = next((path for controllers, path in groups if not controllers), "/")
    v2 = mountinfo.of_type("cgroup2", entries)
    return Hierarchies(v1, _best(v2, unified) if v2 else None)


def parse_membership(text: str) -> list[tuple[frozenset[str], str]]:
    """Return /proc/PID/cgroup as pairs of the controllers that share a hierarchy (none: v2) and the group's path."""
    lines = (line.split(":", 2) for line in text.splitlines())
    return [(frozenset(filter(None, controllers.split(","))), path) for _, controllers, path in lines]


def _own_membership() -> str:
    with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def _best(mounted: Iterable[MountEntry], path: str) -> Hierarchy:
    """Of several mounts of one hierarchy take the one that shows most of it, and this process's group if any does."""
    found = [Hierarchy(entry.mount_point, entry.root, path) for entry in mounted]
    return min(found, key=lambda hierarchy: (not hierarchy.directory, len(hierarchy.root)))
