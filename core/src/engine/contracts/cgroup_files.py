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
from engine.contracts.cgroup import Statistics
from engine.errors import EngineError, InvalidInput, NotFound
from engine.linux import bpf, cgroup_counters
from engine.linux.cgroups import Group, parse_flat_keyed, read_value
from engine.spec import cgroup_devices
from engine.spec.cgroup_limits import UNLIMITED, Limit
from engine.spec.cgroup_writes import Present, Version

_V1_MEMSW = "memory.memsw.limit_in_bytes"


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
    if version("memory") == 2:
        limit = read_value(group.v2, "memory.max")
        now = now._replace(memory=UNLIMITED if limit == "max" else int(limit))
    elif version("memory") == 1 and os.path.exists(f"{group.v1['memory']}/{_V1_MEMSW}"):
        now = now._replace(memsw=int(read_value(group.v1["memory"], _V1_MEMSW)))
    return now


def device_writes(group: Group, policy: cgroup_devices.Policy) -> list[Limit]:
    """Return the writes that turn the v1 device rules of a running group into ``policy``."""
    now = cgroup_devices.of_v1_list(read_value(group.v1["devices"], "devices.list"))
    return cgroup_devices.v1_difference(policy, now)


def apply(group: Group, limits: Sequence[Limit], then: Callable[[], object] | None = None, *, plugin: str) -> None:
    """Write the limits in order, then call ``then``; on a failure write what was there before, backwards.

    Raises `KernelError` naming the limit that was refused, and those that could not be put back.
    """
    undo: list[Step] = []
    try:
        for limit in limits:
            before = _before(group, limit)
            run(write(group, limit), plugin)
            undo[:0] = [_step(write(group, one), plugin) for one in before]
        if then is not None:
            then()
    except EngineError as error:
        if lost := _put_back(undo):
            error.what += f"; these are changed and could not be put back: {'; '.join(lost)}"
        raise


def run(action: Action, plugin: str) -> None:
    """Run one action on a group that exists. Raises `KernelError` with the action's sentence."""
    execute.run([_step(action, plugin)], {})


def read_back(group: Group, limits: Sequence[Limit], *, devices: bool) -> dict[str, str]:
    """Return what the kernel holds for each limit, by its name; with ``devices``, the device rules too."""
    found = {limit.name: read_value(directory(group, limit.controller), limit.file) for limit in limits}
    if devices:
        found["devices"] = _device_rules(group)
    return found


def statistics(group: Group, *, plugin: str) -> Statistics:
    """Return the group's counters. Raises `NotFound` when it is gone."""
    try:
        return Statistics(**cgroup_counters.counters(group))
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
    if limit.file == "memory.oom_control":
        value = str(parse_flat_keyed(value)["oom_kill_disable"])
    return [limit._replace(value=value, meaning=f"{limit.name} as before")]


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
