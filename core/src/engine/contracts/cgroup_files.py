"""What drivers share whose limits end in the kernel's files: reading them back, and changing them all or none.

For plugins of the kind ``cgroup``, and for third parties' as well; nothing here is part of the contract. Runs in the
command's process, with the permissions of the files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from engine.actions import execute
from engine.actions.base import Action, Phase, Step
from engine.actions.cgroups import RestrictDevices, WriteCgroup
from engine.contracts import cgroup_memory
from engine.contracts.cgroup import Capability, Statistics
from engine.errors import EngineError, InvalidInput, KernelError, NotFound
from engine.linux import block, bpf, cgroup_counters
from engine.linux.cgroups import Group, parse_flat_keyed, read_value
from engine.spec import cgroup_devices
from engine.spec.cgroup_limits import UNLIMITED, Limit
from engine.spec.cgroup_machine import BFQ, IOCOST, Machine, Present, Version

_V1_MEMSW = "memory.memsw.limit_in_bytes"
_CONTROLLERS: Mapping[Capability, tuple[str, ...]] = {
    Capability.CPU: ("cpu",), Capability.CPUSET: ("cpuset",), Capability.MEMORY: ("memory",),
    Capability.PIDS: ("pids",), Capability.IO: ("io", "blkio"), Capability.HUGETLB: ("hugetlb",),
    Capability.RDMA: ("rdma",), Capability.NET_CLS: ("net_cls",), Capability.NET_PRIO: ("net_prio",),
}  # fmt: skip
"""What needs one of these controllers and nothing else."""
_V1_MEMORY = (Capability.SWAPPINESS, Capability.OOM_CONTROL, Capability.KERNEL_TCP)


def machine(version: Version, v1: Mapping[str, str], v2: str) -> Machine:
    """Return what translation needs to know of this machine. ``v1`` (by controller) and ``v2`` are mount points.

    Reads sysfs and the top of the hierarchies.
    """
    weights = dict.fromkeys(block.with_scheduler("bfq"), BFQ) if version("blkio") or version("io") else {}
    if version("io") == 2:
        weights |= dict.fromkeys(block.with_cost_model(v2), IOCOST)
    realtime = "cpu" in v1 and os.path.exists(f"{v1['cpu']}/cpu.rt_runtime_us")
    pages = block.huge_page_sizes() if version("hugetlb") else ()
    return Machine(version, bool(v2), realtime, weights, pages)


def limits_of(here: Machine, v1: Mapping[str, str]) -> set[Capability]:
    """Return what can be limited on a machine by its controllers' files."""
    found = {one for one, names in _CONTROLLERS.items() if any(map(here.version, names))}
    if not here.page_sizes:
        found.discard(Capability.HUGETLB)
    memory = here.version("memory")
    if memory == 1:
        found.update(_V1_MEMORY)
    # v1 shows it at the top (a kernel may be booted with swapaccount=0); v2 has it with the memory controller.
    if memory == 2 or (memory == 1 and os.path.exists(f"{v1['memory']}/{_V1_MEMSW}")):
        found.add(Capability.SWAP)
    for one, there in (
        (Capability.REALTIME, here.realtime),
        (Capability.IO_WEIGHT, here.weights),
        (Capability.UNIFIED, here.unified),
    ):
        if there:
            found.add(one)
    return found


def directory(group: Group, controller: str) -> str:
    """Return the group's directory in the hierarchy that has the controller."""
    return group.v1.get(controller) or group.v2


def write(group: Group, limit: Limit) -> Action:
    """Return the limit as an action on the group."""
    return WriteCgroup(f"{directory(group, limit.controller)}/{limit.file}", limit.value, limit.meaning)


def filter_devices(group: Group, policy: cgroup_devices.Policy) -> Action:
    """Return the device policy as a filter on the group's v2 directory."""
    return RestrictDevices(group.v2, policy.allow, tuple((*device, access) for device, access in policy.exceptions))


def present(group: Group, version: Version) -> Present:
    """Return what a running group has, as far as the writes of an update depend on it. Raises `OSError`."""
    now = Present()
    if version("cpu") == 2:
        quota, period = read_value(group.v2, "cpu.max").split()
        now = now._replace(quota=UNLIMITED if quota == "max" else int(quota), period=int(period))
    elif "cpu" in group.v1 and os.path.exists(f"{group.v1['cpu']}/cpu.rt_runtime_us"):
        now = now._replace(realtime=int(read_value(group.v1["cpu"], "cpu.rt_runtime_us")))
    if version("memory") == 2:
        limit = read_value(group.v2, "memory.max")
        used, swapped = cgroup_memory.use(group)
        now = now._replace(memory=UNLIMITED if limit == "max" else int(limit), used=used, swapped=swapped)
    elif version("memory") == 1 and os.path.exists(f"{group.v1['memory']}/{_V1_MEMSW}"):
        now = now._replace(memsw=int(read_value(group.v1["memory"], _V1_MEMSW)))
    return now


def device_writes(group: Group, policy: cgroup_devices.Policy) -> list[Limit]:
    """Return the writes that turn the v1 device rules of a running group into ``policy``."""
    now = cgroup_devices.of_v1_list(read_value(group.v1["devices"], "devices.list"))
    return cgroup_devices.v1_difference(policy, now)


def apply(group: Group, limits: Sequence[Limit], then: Callable[[], object] | None = None, *, plugin: str) -> None:
    """Write the limits in order, then call ``then``; on a failure write what was there before, backwards.

    Raises `KernelError` naming the limit that was refused, and those that could not be put back; `Conflict` for memory
    below what is in use.
    """
    undo: list[Step] = []
    try:
        for limit in limits:
            before = _before(group, limit)
            _change(group, limit, plugin)
            undo[:0] = [_step(write(group, one), plugin) for one in before]
        if then is not None:
            then()
    except EngineError as error:
        if lost := _put_back(undo):
            error.what += f"; these are changed and could not be put back: {'; '.join(lost)}"
        raise


def _change(group: Group, limit: Limit, plugin: str) -> None:
    try:
        run(write(group, limit), plugin)
    except KernelError as error:
        where = directory(group, limit.controller)
        raise (cgroup_memory.refusal(where, limit.file, limit.value, plugin=plugin) or error) from error


def run(action: Action, plugin: str) -> None:
    """Run one action on a group that exists. Raises `KernelError` with the action's sentence."""
    execute.run([_step(action, plugin)], {})


def read_back(group: Group, limits: Sequence[Limit], *, devices: bool) -> dict[str, str]:
    """Return what the kernel holds for each limit, by its name; with ``devices``, the device rules too."""
    found: dict[str, str] = {}
    for limit in limits:
        text = read_value(directory(group, limit.controller), limit.file)
        if limit.key:
            text = "; ".join(filter(None, (found.get(limit.name), line_of(text, limit.key) or limit.lifted)))
        found[limit.name] = text
    if devices:
        found["devices"] = _device_rules(group)
    return found


def statistics(group: Group, *, plugin: str) -> Statistics:
    """Return the group's counters. Raises `NotFound` when it is gone."""
    try:
        return Statistics(**cgroup_counters.counters(group), pressure=cgroup_counters.pressures(group))
    except FileNotFoundError as error:
        raise missing(error.filename, plugin) from error


def must_exist(group: Group, *, plugin: str) -> None:
    """Raise `NotFound` unless every directory of the group is there."""
    for path in group.directories:
        if not os.path.isdir(path):
            raise missing(path, plugin)


def missing(path: str, plugin: str) -> NotFound:
    """Return the error for a group that is not there."""
    return NotFound(f"the cgroup {path} does not exist", fix="Is the container running?", plugin=plugin)


def check_options(options: Mapping[str, str], known: Sequence[str], *, plugin: str) -> None:
    """Raise `InvalidInput` for an option that the driver does not have."""
    for name in options:
        if name not in known:
            raise InvalidInput(
                f"the cgroup driver {plugin} has no option {name!r}",
                fix=f"Its options are: {', '.join(known)}." if known else "It has none: leave it out.",
                plugin=plugin,
            )


def _device_rules(group: Group) -> str:
    """Return the v1 list, or the ids of the filters on the v2 directory."""
    if "devices" in group.v1:
        return read_value(group.v1["devices"], "devices.list")
    fd = os.open(group.v2, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return ", ".join(f"eBPF program {number}" for number in bpf.attached(fd))
    finally:
        os.close(fd)


def _before(group: Group, limit: Limit) -> list[Limit]:
    """Return the writes that bring back what this one is about to change."""
    where = directory(group, limit.controller)
    if limit.controller == "devices":
        return cgroup_devices.v1(cgroup_devices.of_v1_list(read_value(where, "devices.list")))
    value = read_value(where, limit.file)
    if limit.key:
        value = line_of(value, limit.key) or limit.lifted
    if limit.file == "memory.oom_control":
        value = str(parse_flat_keyed(value)["oom_kill_disable"])
    return [limit._replace(value=value, meaning=f"{limit.name} as before")]


def line_of(text: str, key: str) -> str:
    """Return the line of a file with one for each device that begins with this word; "" when it has none."""
    return next((line for line in text.splitlines() if line.split()[:1] == [key]), "")


def _put_back(steps: Sequence[Step]) -> list[str]:
    lost = []
    for step in steps:
        try:
            execute.run([step], {})
        except EngineError as error:
            lost.append(str(error))
    return lost


def _step(action: Action, plugin: str) -> Step:
    return Step(Phase.PARENT_AFTER, action, plugin)
