"""The driver: plans from a layout and a translation, reads what the kernel holds, changes a running group.

On v2 (and the v2 tree of a hybrid machine) the container is cloned into its directory; into v1 hierarchies it writes
itself. See `engine_cgroup_fs.layout` for where groups are.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from engine.actions import cgroups as actions
from engine.actions.base import Action, Phase, Step
from engine.contracts import cgroup_files, cgroup_memory, cgroup_parents
from engine.contracts.cgroup import Capability, CgroupConfig, CgroupDriver, CgroupPlan, Statistics
from engine.contracts.common import Probe
from engine.errors import Unsupported
from engine.linux import cgroups
from engine.linux.cgroups import Group
from engine.spec import cgroup_devices
from engine.spec.cgroup_limits import Limit
from engine.spec.cgroup_writes import writes_for
from engine.spec.runtime import Resources
from engine_cgroup_fs import layout
from engine_cgroup_fs.layout import NAME

_PREFERENCE = 50


class CgroupFs(CgroupDriver):
    """Groups by mkdir and write. Root, or the owner of a delegated v2 tree named by the parent."""

    def __init__(self, config: CgroupConfig) -> None:
        cgroup_files.check_options(config.options, (), plugin=NAME)
        self._parent = config.parent
        self._found = cgroups.discover()
        self._layout = layout.of_machine(self._found, config.mark)
        self._machine = cgroup_files.machine(self._layout.version, self._layout.v1, self._layout.v2)
        self.capabilities = self._capabilities()

    def probe(self) -> Probe:
        """Usable where a hierarchy is mounted that this process may write."""
        mounts = list(dict.fromkeys([*filter(None, [self._layout.v2]), *self._layout.v1.values()]))
        if not mounts:
            return Probe(False, "no cgroup hierarchy is mounted: mount one with mount -t cgroup2 none /sys/fs/cgroup")
        closed = [mount for mount in mounts if not os.access(self._top(mount), os.W_OK)]
        if closed:
            return Probe(False, f"{', '.join(closed)} cannot be written: run as root, with the hierarchy mounted rw")
        kinds = ", ".join(sorted(capability.value for capability in self.capabilities))
        return Probe(True, f"{self._found.mode} hierarchy with {kinds}", _PREFERENCE)

    def plan(self, name: str, resources: Resources, *, parent: str = "") -> CgroupPlan:
        """Return directories, limits, and the way in. Raises as the contract says."""
        chosen = parent or self._parent
        group = self._layout.group(name, chosen)
        limits = writes_for(resources, self._machine, driver=NAME)
        self._check_parents(group, limits)
        before: list[Action] = [actions.MakeCgroup(group.v2, tuple(group.v1.items()))]
        before += self._enabling(group, limits)
        before += _realtime(group, resources)
        before += [cgroup_files.write(group, limit) for limit in limits]
        before += self._devices(group, resources)
        open_steps, inside = actions.entrance(group, NAME)
        entrances = len(dict.fromkeys(group.v1.values()))
        after = [actions.CloseEntrances(entrances)] if entrances else []
        return CgroupPlan(
            group=group,
            before=(*(Step(Phase.PARENT_BEFORE, one, NAME) for one in before), *open_steps),
            unit=None,
            after=tuple(Step(Phase.PARENT_AFTER, one, NAME) for one in after),
            oci_path=self._layout.path(name, chosen),
            inside=inside,
        )

    def group(self, name: str, *, parent: str = "") -> Group:
        """Return where the group is."""
        return self._layout.group(name, parent or self._parent)

    def run_unit(self, arguments: Mapping[str, Any], pid: int) -> None:
        """Refuse: this driver has no units."""
        raise Unsupported(f"the cgroup driver {NAME} makes no units", plugin=NAME)

    def update(self, name: str, resources: Resources, *, parent: str = "") -> None:
        """Write the new limits in the order a running group takes; put the old ones back when one is refused."""
        group = self.group(name, parent=parent)
        cgroup_files.must_exist(group, plugin=NAME)
        cgroup_memory.make_room(group, resources, self._layout.version)
        now = cgroup_files.present(group, self._layout.version)
        limits = writes_for(resources, self._machine, now, driver=NAME)
        for action in (*self._enabling(group, limits), *_realtime(group, resources)):
            cgroup_files.run(action, NAME)
        rules = resources.get("devices")
        if rules and "devices" in group.v1:
            limits += cgroup_files.device_writes(group, cgroup_devices.policy(rules))
        last = self._devices(group, resources) if "devices" not in group.v1 else []

        def filter_devices() -> None:
            for action in last:
                cgroup_files.run(action, NAME)

        cgroup_files.apply(group, limits, filter_devices, plugin=NAME)

    def read_back(self, group: Group, resources: Resources) -> dict[str, str]:
        """Return the text of the file behind each limit."""
        cgroup_files.must_exist(group, plugin=NAME)
        limits = writes_for(resources, self._machine, driver=NAME)
        return cgroup_files.read_back(group, limits, devices=bool(resources.get("devices")))

    def statistics(self, group: Group) -> Statistics:
        """Return the counters now."""
        return cgroup_files.statistics(group, plugin=NAME)

    def _top(self, mount: str) -> str:
        """Return where groups are made: the configured parent if it is there, else the top."""
        parent = os.path.normpath(f"{mount}/{self._parent}")
        return parent if os.path.isdir(parent) else mount

    def _check_parents(self, group: Group, limits: Sequence[Limit]) -> None:
        if group.v2:
            cgroup_parents.must_be_domain(self._layout.v2, group.v2, plugin=NAME)
            cgroup_parents.must_give(self._layout.v2, group.v2, self._wanted(limits), plugin=NAME)

    def _wanted(self, limits: Sequence[Limit]) -> list[str]:
        """Return the controllers that a v2 group gets: the usual ones, and those that a limit needs."""
        return self._layout.enabled({limit.controller for limit in limits})

    def _enabling(self, group: Group, limits: Sequence[Limit]) -> list[Action]:
        """Return the writes that give a v2 group its controllers."""
        wanted = self._wanted(limits)
        enable = " ".join(f"+{controller}" for controller in wanted)
        paths = self._layout.above(group) if wanted else []
        meaning = "the controllers of the groups below"
        return [actions.WriteCgroup(f"{path}/cgroup.subtree_control", enable, meaning) for path in paths]

    def _devices(self, group: Group, resources: Resources) -> list[Action]:
        rules = resources.get("devices")
        if not rules:
            return []
        policy = cgroup_devices.policy(rules)
        if "devices" in group.v1:
            return [cgroup_files.write(group, limit) for limit in cgroup_devices.v1(policy)]
        if group.v2:
            return [cgroup_files.filter_devices(group, policy)]
        raise Unsupported(
            "devices cannot be restricted: neither the v1 controller devices nor cgroup v2 is mounted",
            fix="Mount cgroup v2 with mount -t cgroup2 none DIRECTORY.",
            plugin=NAME,
        )

    def _capabilities(self) -> frozenset[Capability]:
        found = cgroup_files.limits_of(self._machine, self._layout.v1)
        if self._layout.v2 or self._layout.v1:
            found.add(Capability.STATISTICS)
        if self._layout.v2 or "devices" in self._layout.v1:
            found.add(Capability.DEVICES)
        if self._layout.v2 or "freezer" in self._layout.v1:
            found.add(Capability.FREEZE)
        return frozenset(found)


def _realtime(group: Group, resources: Resources) -> list[Action]:
    cpu = resources.get("cpu") or {}
    runtime = cpu.get("realtimeRuntime")
    return [actions.AllowRealtime(group.v1["cpu"], runtime, cpu.get("realtimePeriod") or 1_000_000)] if runtime else []
