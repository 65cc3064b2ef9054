"""Which hierarchies systemd manages here, and where it puts a scope in them.

systemd has one tree. On v2 that is the v2 hierarchy; on v1 and hybrid it is ``name=systemd`` (and the v2 tree beside it
in hybrid), repeated in each v1 hierarchy of a controller that it manages. The others it never touches: there the driver
makes the same path itself. They are cpuset, hugetlb and the like, the freezer where there is no v2 tree, and cpuacct
where it is not mounted together with cpu, as systemd takes for granted.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from engine.linux.cgroups import Group, Hierarchies, read_value
from engine.linux.hierarchies import parse_membership
from engine.tuples import NamedTuple
from engine_cgroup_systemd import names

TRACKING = "name=systemd"
"""The v1 hierarchy without controllers in which systemd tracks processes."""
_MANAGED_V1 = (TRACKING, "cpu", "cpuacct", "blkio", "memory", "pids", "devices")
_OWN_V1 = ("cpuset", "freezer", "hugetlb", "rdma", "net_cls", "net_prio", "perf_event")
_V2 = ("cpu", "cpuset", "io", "memory", "pids")
"""What systemd manages on v2. It enables no other controller for a unit: there is no limit of huge pages there."""


class Layout(NamedTuple):
    """``managed`` and ``own``: v1 controller to mount point, of systemd and of this driver; ``v2`` mount point or "".

    ``root`` is the cgroup of the systemd that is asked: "" for PID 1, the user's service for a user's own.
    """

    managed: Mapping[str, str]
    own: Mapping[str, str]
    v2: str
    v2_controllers: tuple[str, ...]
    root: str
    mark: str

    def version(self, controller: str) -> int:
        """Return 1 or 2, the version of the hierarchy that has the controller, or 0 if none has."""
        if controller in self.managed or controller in self.own:
            return 1
        return 2 if controller in self.v2_controllers else 0

    @property
    def v1(self) -> dict[str, str]:
        """The mount points of the v1 controllers in use, whoever makes the directories there."""
        return {**self.managed, **self.own}

    def path(self, name: str, slice_name: str) -> str:
        """Return the cgroup path of a container's scope."""
        return self.root + names.slice_path(slice_name) + "/" + names.scope(self.mark, name)

    def group(self, name: str, slice_name: str, *, devices: bool) -> Group:
        """Return the scope's directories; in the v1 devices hierarchy it has one when it has ``devices`` rules."""
        path = self.path(name, slice_name)
        v1 = {controller: mount + path for controller, mount in self.v1.items()}
        if not devices:
            v1.pop("devices", None)
        return Group(v1, self.v2 and self.v2 + path)

    def own_part(self, group: Group) -> dict[str, str]:
        """Return the directories of the group that the driver makes and enters itself."""
        return {controller: group.v1[controller] for controller in self.own}


def of_machine(hierarchies: Hierarchies, mark: str, *, user: bool) -> Layout:
    """Return the layout for what is mounted; reads a file or two."""
    v1 = {name: hierarchy.mount_point for name, hierarchy in hierarchies.v1.items()}
    root, v2 = manager_root(user), hierarchies.v2_mount
    own = {name: v1[name] for name in _OWN_V1 if name in v1 and not (name == "freezer" and v2)}
    managed = {name: v1[name] for name in _MANAGED_V1 if name in v1}
    if "cpuacct" in managed and managed["cpuacct"] != managed.get("cpu"):
        own["cpuacct"] = managed.pop("cpuacct")
    if user:
        own, managed = {}, {TRACKING: v1[TRACKING]} if TRACKING in v1 else {}
    available = read_value(v2 + root, "cgroup.controllers").split() if v2 and os.path.isdir(v2 + root) else []
    return Layout(managed, own, v2, tuple(name for name in _V2 if name in available), root, mark)


def bus_address(user: bool) -> str:
    """Return where the bus is: the system's, or with ``user`` the one of this user's own systemd."""
    if user:
        return f"unix:path={os.environ.get('XDG_RUNTIME_DIR') or f'/run/user/{os.geteuid()}'}/bus"
    return os.environ.get("DBUS_SYSTEM_BUS_ADDRESS") or "unix:path=/run/dbus/system_bus_socket"


def manager_root(user: bool) -> str:
    """Return the cgroup of PID 1's tree ("" but in a container without a cgroup namespace), or the user's service."""
    if user:
        uid = os.geteuid()
        return f"/user.slice/user-{uid}.slice/user@{uid}.service"
    with open("/proc/1/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        groups = parse_membership(file.read())
    for controllers, path in groups:
        if controllers == {TRACKING} or not controllers:
            return path.removesuffix("/").removesuffix("/init.scope") if path.endswith("/init.scope") else ""
    return ""
