"""Changing the limits of a running group, all or none."""

from __future__ import annotations

import os

from engine.actions import execute
from engine.actions.base import Action, Phase, Step
from engine.actions.cgroups import WriteCgroup
from engine.errors import EngineError
from engine.linux import bpf, cgroups
from engine.linux.cgroups import Group
from engine.spec import cgroup_devices
from engine.spec.cgroup_limits import UNLIMITED, Limit
from engine_cgroup_fs.layout import NAME
from engine_cgroup_fs.translate import Present, Version


def present(group: Group, version: Version) -> Present:
    """Return what the group has now, as far as the translation asks. Raises `OSError`."""
    now = Present()
    if version("cpu") == 2:
        quota, period = cgroups.read_value(group.v2, "cpu.max").split()
        now = now._replace(quota=UNLIMITED if quota == "max" else int(quota), period=int(period))
    if version("memory") == 2:
        limit = cgroups.read_value(group.v2, "memory.max")
        now = now._replace(memory=UNLIMITED if limit == "max" else int(limit))
    elif version("memory") == 1 and os.path.exists(f"{group.v1['memory']}/memory.memsw.limit_in_bytes"):
        now = now._replace(memsw=int(cgroups.read_value(group.v1["memory"], "memory.memsw.limit_in_bytes")))
    return now


def apply(group: Group, writes: list[Limit], last: Action | None) -> None:
    """Write the limits in order, then run ``last``; on a failure write what was there before, backwards.

    Raises `KernelError` naming the limit that was refused, and the ones that could not be put back.
    """
    undo: list[Step] = []
    try:
        for limit in writes:
            before = _before(group, limit)
            execute.run([_step(group, limit)], {})
            undo[:0] = [_step(group, one) for one in before]
        if last is not None:
            execute.run([Step(Phase.PARENT_AFTER, last, NAME)], {})
    except EngineError as error:
        lost = _put_back(undo)
        if lost:
            error.what += f"; these are changed and could not be put back: {'; '.join(lost)}"
        raise


def device_rules(group: Group) -> str:
    """Return what the kernel shows of the device rules: the v1 list, or the ids of the filters on v2."""
    if "devices" in group.v1:
        return cgroups.read_value(group.v1["devices"], "devices.list")
    fd = os.open(group.v2, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return ", ".join(f"eBPF program {number}" for number in bpf.attached(fd))
    finally:
        os.close(fd)


def _before(group: Group, limit: Limit) -> list[Limit]:
    """Return the writes that bring back what this one is about to change."""
    directory = group.v1.get(limit.controller) or group.v2
    if limit.controller == "devices":
        now = cgroup_devices.of_v1_list(cgroups.read_value(directory, "devices.list"))
        return cgroup_devices.v1(now)
    value = cgroups.read_value(directory, limit.file)
    if limit.file == "memory.oom_control":
        value = str(cgroups.parse_flat_keyed(value)["oom_kill_disable"])
    return [limit._replace(value=value, meaning=f"{limit.name} as before")]


def _put_back(steps: list[Step]) -> list[str]:
    lost = []
    for step in steps:
        try:
            execute.run([step], {})
        except EngineError as error:
            lost.append(str(error))
    return lost


def _step(group: Group, limit: Limit) -> Step:
    path = f"{group.v1.get(limit.controller) or group.v2}/{limit.file}"
    return Step(Phase.PARENT_AFTER, WriteCgroup(path, limit.value, limit.meaning), NAME)
