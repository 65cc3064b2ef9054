"""The driver: plans a scope, makes it around the container's first process, changes it, and checks what came of it.

The container's first process is made where the engine is, waits, and is moved into the scope by systemd itself
(``unit`` of the plan). What systemd does not manage on v1 the process enters by itself. When the last process is gone
systemd removes the scope and forgets it, also when it failed (CollectMode=inactive-or-failed).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.actions import cgroups as actions
from engine.actions.base import Action, Phase, Step
from engine.contracts import cgroup_files, cgroup_memory, cgroup_parents
from engine.contracts.cgroup import Capability, CgroupConfig, CgroupDriver, CgroupPlan, Statistics, UnitCall
from engine.contracts.common import Probe
from engine.errors import EngineError, InvalidInput, Unsupported
from engine.linux import cgroups
from engine.linux.cgroups import Group
from engine.spec import cgroup_devices
from engine.spec.cgroup_limits import Limit
from engine.spec.cgroup_machine import Present
from engine.spec.cgroup_writes import writes_for
from engine.spec.runtime import Resources
from engine_cgroup_systemd import layout, names, verify
from engine_cgroup_systemd.devices import drivers
from engine_cgroup_systemd.names import NAME
from engine_cgroup_systemd.properties import device_properties, properties
from engine_cgroup_systemd.values import Property

if TYPE_CHECKING:
    from engine_cgroup_systemd.bus import Systemd

_PREFERENCE = 40
"""Below cgroupfs: a scope costs some 25 ms, a directory one."""
_SERVICE = "engine.service"
"""The unit that docs/containers.md gives: it starts after a boot what is to run, and ends everything before one."""
_TIMEOUT = 10.0
_OPTIONS = ("bus", "timeout")


class CgroupSystemd(CgroupDriver):
    """Scopes of the system's systemd, or of the user's own (option ``bus``: ``system`` or ``user``)."""

    def __init__(self, config: CgroupConfig) -> None:
        cgroup_files.check_options(config.options, _OPTIONS, plugin=NAME)
        self._user = _user(config.options.get("bus") or ("user" if os.geteuid() else "system"))
        self._parent = config.parent
        self._mark = config.mark
        self._address = layout.bus_address(self._user)
        self._timeout = _seconds(config.options.get("timeout", ""))
        self._layout = layout.of_machine(cgroups.discover(), config.mark, user=self._user)
        here = cgroup_files.machine(self._layout.version, self._layout.v1, self._layout.v2)
        # systemd gives its slices no realtime budget, so a scope in them can have none.
        self._machine = here._replace(realtime=False, missing="systemd here does not hand on the controller")
        self.capabilities = self._capabilities()

    def probe(self) -> Probe:
        """Usable where systemd booted and its bus takes connections; a systemd that hangs is found when it is asked."""
        if not os.path.isdir("/run/systemd/system"):
            return Probe(False, "systemd is not the init of this machine: use --cgroup-driver cgroupfs")
        where = self._address.removeprefix("unix:path=")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as connection:
            try:
                connection.connect(where)
            except OSError as error:
                return Probe(False, f"no D-Bus answers at {where} ({error.strerror}): start dbus")
        kinds = ", ".join(sorted(capability.value for capability in self.capabilities))
        return Probe(True, f"scopes of the {'user' if self._user else 'system'}'s systemd with {kinds}", _PREFERENCE)

    def plan(self, name: str, resources: Resources, *, parent: str = "") -> CgroupPlan:
        """Return own directories, the call that makes the scope, and what is written when it is there."""
        slice_name, unit = self._slice(parent), names.scope(self._mark, name)
        group = self._layout.group(name, slice_name, devices=bool(resources.get("devices")))
        limits = writes_for(resources, self._machine, driver=NAME)
        wanted = self._properties(resources)
        if group.v2:
            cgroup_parents.must_be_domain(self._layout.v2, group.v2, plugin=NAME)
            # A delegated scope gets all that there are. systemd would only say that its job has failed.
            cgroup_parents.must_give(self._layout.v2, group.v2, self._layout.v2_controllers, plugin=NAME)
        before, after = self._steps(group, limits, wanted, unit)
        after += tuple(Step(Phase.PARENT_AFTER, one, NAME) for one in self._device_filters(group, resources))
        entrances, inside = actions.entrance(Group(self._layout.own_part(group), ""), NAME)
        arguments = {
            "unit": unit,
            "properties": [[*one[:-1], list(one.limits)] for one in (*_fixed(unit, slice_name), *wanted)],
            "directories": list(group.directories),
            "expected": [list(one) for one in verify.expected(group, limits, wanted)],
        }
        return CgroupPlan(
            group=group,
            before=(*before, *entrances),
            unit=UnitCall(f"have systemd make {unit} in {slice_name} with {_words(wanted)}", arguments),
            after=after,
            oci_path=f"{slice_name}:engine-{self._mark}:{name}",
            oci_systemd=True,
            inside=inside,
        )

    def group(self, name: str, *, parent: str = "") -> Group:
        """Return where the scope is; the v1 devices directory belongs to it if systemd made one."""
        slice_name = self._slice(parent)
        group = self._layout.group(name, slice_name, devices=True)
        devices = os.path.isdir(group.v1.get("devices", ""))
        return self._layout.group(name, slice_name, devices=devices)

    def run_unit(self, arguments: Mapping[str, Any], pid: int) -> None:
        """Make the scope around ``pid``, and look whether the kernel holds what systemd was asked for."""
        rows = arguments["properties"]
        wanted = [Property(name, signature, value, tuple(limits)) for name, signature, value, limits in rows]
        self._systemd().start_scope(arguments["unit"], pid, wanted)
        verify.check_made(arguments["directories"])
        verify.check([verify.Expected(*row) for row in arguments["expected"]])

    def update(self, name: str, resources: Resources, *, parent: str = "") -> None:
        """Set the properties, write what has none; put both back when the kernel does not hold one of them."""
        group, unit = self.group(name, parent=parent), names.scope(self._mark, name)
        cgroup_files.must_exist(group, plugin=NAME)
        cgroup_memory.make_room(group, resources, self._layout.version)
        now = cgroup_files.present(group, self._layout.version)
        limits = writes_for(resources, self._machine, now, driver=NAME)
        wanted = self._properties(resources, now)
        early, late = _around(limits, wanted)
        filters = self._device_filters(group, resources)

        def filter_devices() -> None:
            for one in filters:
                cgroup_files.run(one, NAME)

        def change() -> None:
            before = self._systemd().properties(unit, _once(wanted)) if wanted else []
            try:
                if wanted:
                    self._systemd().set_properties(unit, wanted)
                    verify.check(verify.expected(group, limits, wanted))
                cgroup_files.apply(group, late, filter_devices, plugin=NAME)
            except EngineError:
                if before:
                    self._systemd().set_properties(unit, _restoring(before))
                raise

        cgroup_files.apply(group, early, change, plugin=NAME)

    def read_back(self, group: Group, resources: Resources) -> dict[str, str]:
        """Return the text of the file behind each limit."""
        cgroup_files.must_exist(group, plugin=NAME)
        limits = writes_for(resources, self._machine, driver=NAME)
        return cgroup_files.read_back(group, limits, devices=bool(resources.get("devices")))

    def statistics(self, group: Group) -> Statistics:
        """Return the counters now."""
        return cgroup_files.statistics(group, plugin=NAME)

    def _systemd(self) -> Systemd:
        from engine_cgroup_systemd.bus import Systemd

        return Systemd(self._address, self._timeout)

    def _slice(self, parent: str) -> str:
        return names.checked_slice(parent or self._parent or ("app.slice" if self._user else "system.slice"))

    def _properties(self, resources: Resources, now: Present | None = None) -> list[Property]:
        found = properties(resources, self._machine, now)
        rules = resources.get("devices")
        if rules and not self._user:
            with open("/proc/devices", encoding="ascii") as file:
                known = drivers(file.read())
            found += device_properties(cgroup_devices.policy(rules), known)
        return found

    def _device_filters(self, group: Group, resources: Resources) -> list[Action]:
        """Return the filter of devices that a user's own systemd cannot set: root may, on the delegated v2 scope."""
        rules = resources.get("devices")
        if not rules or not self._user:
            return []
        if reason := self._no_filter():
            raise Unsupported(
                f"devices cannot be restricted (linux.resources.devices): a user's own systemd does not, and {reason}",
                fix="Run as root with the option bus=system (the default), or use --cgroup-driver cgroupfs as root.",
                plugin=NAME,
            )
        return [cgroup_files.filter_devices(group, cgroup_devices.policy(rules))]

    def _no_filter(self) -> str:
        """Return why this process can put no filter of devices on a scope of a user's own systemd; "" if it can."""
        if os.geteuid():
            return "only root may attach a filter itself (bpf(2))"
        return "" if self._layout.v2 else "there is no cgroup v2 here, to which root could attach a filter itself"

    def _steps(
        self, group: Group, limits: list[Limit], wanted: list[Property], unit: str
    ) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
        """Return the directories and limits that are this driver's own, and those written when the scope is there."""
        own = self._layout.own_part(group)
        before: list[Action] = [actions.MakeCgroup("", tuple(own.items()))] if own else []
        before.append(actions.AdoptScope(unit, self._user, group.v2, tuple(group.v1.items())))
        after: list[Action] = []
        for limit in _without(limits, wanted):
            (before if limit.controller in own else after).append(cgroup_files.write(group, limit))
        if own:
            after.append(actions.CloseEntrances(len(set(own.values()))))  # controllers may share a mount
        return (
            tuple(Step(Phase.PARENT_BEFORE, one, NAME) for one in before),
            tuple(Step(Phase.PARENT_AFTER, one, NAME) for one in after),
        )

    def _capabilities(self) -> frozenset[Capability]:
        found = cgroup_files.limits_of(self._machine, self._layout.v1)
        found.add(Capability.STATISTICS)
        if not self._user or not self._no_filter():
            found.add(Capability.DEVICES)
        if self._layout.v2 or "freezer" in self._layout.own:
            found.add(Capability.FREEZE)
        return frozenset(found)


def _fixed(unit: str, slice_name: str) -> list[Property]:
    """Return what every scope gets. It is delegated: what is below it is the container's, not systemd's.

    What comes later is stopped first: at shutdown, containers get their own stop signal from that service, and only
    what is left then SIGTERM from systemd, which sends it to every process of a scope.
    """
    rows = (
        ("Description", "s", f"engine container {unit.removesuffix('.scope').rpartition('-')[2]}"),
        ("Slice", "s", slice_name),
        ("Delegate", "b", True),
        ("CollectMode", "s", "inactive-or-failed"),
        ("Before", "as", [_SERVICE]),
        ("CPUAccounting", "b", True),
        ("MemoryAccounting", "b", True),
        ("TasksAccounting", "b", True),
        ("IOAccounting", "b", True),
    )
    return [Property(name, signature, value, ()) for name, signature, value in rows]


def _without(limits: list[Limit], wanted: list[Property]) -> list[Limit]:
    """Return the limits that no property holds."""
    held = {name for one in wanted for name in one.limits}
    return [limit for limit in limits if limit.name not in held]


def _around(limits: list[Limit], wanted: list[Property]) -> tuple[list[Limit], list[Limit]]:
    """Return what no property holds, split into what must be written before the properties and what after.

    The translation orders the limits of a running group; v1's limit of memory and swap together, for one, has to grow
    before the memory limit does.
    """
    loose = _without(limits, wanted)
    last_held = {limit.controller: position for position, limit in enumerate(limits) if limit not in loose}
    early = [limit for limit in loose if limits.index(limit) < last_held.get(limit.controller, 0)]
    return early, [limit for limit in loose if limit not in early]


def _once(wanted: list[Property]) -> list[Property]:
    return list({one.name: one for one in wanted}.values())


def _restoring(before: list[Property]) -> list[Property]:
    """Return what sets the properties back; a list of devices is emptied first, for systemd appends to it."""
    empty = [one._replace(value=[]) for one in before if one.name == "DeviceAllow"]
    return [*empty, *before]


def _words(wanted: list[Property]) -> str:
    return ", ".join(f"{one.name}={one.value}" for one in wanted) or "no limits"


def _user(bus: str) -> bool:
    if bus not in ("system", "user"):
        raise InvalidInput(f"{bus!r} is no bus of systemd", fix="The option bus is system or user.", plugin=NAME)
    return bus == "user"


def _seconds(text: str) -> float:
    try:
        seconds = float(text or _TIMEOUT)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 3600:
        raise InvalidInput(f"{text!r} is no time limit", fix="Give the option timeout in seconds.", plugin=NAME)
    return seconds
