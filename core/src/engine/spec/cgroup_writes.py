"""From OCI limits to the writes for one machine: each controller in the version of the hierarchy that it is bound to.

Pure: the machine comes in as a function, what is present in a running group as `Present`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, cast

from engine.errors import Unsupported
from engine.spec import cgroup_limits, cgroup_v1, cgroup_v2
from engine.spec.cgroup_limits import UNLIMITED, Limit
from engine.spec.runtime import Cpu, Memory, Resources

Version = Callable[[str], int]
"""Controller to 1, 2, or 0 where no hierarchy has it."""


class Present(NamedTuple):
    """What a running group has, where the writes of an update depend on it. The defaults are a fresh group's."""

    quota: int = UNLIMITED
    period: int = cgroup_v2.DEFAULT_PERIOD
    memory: int = UNLIMITED
    memsw: int | None = None


def writes_for(resources: Resources, version: Version, present: Present | None = None, *, driver: str) -> list[Limit]:
    """Return the writes for everything but devices, in the order in which the kernel takes them.

    ``present`` is None for a group that is still to be made; ``driver`` is named in messages. Raises `Unsupported`
    naming what no hierarchy here can hold, `InvalidInput` for values no kernel would take.
    """
    cgroup_limits.check(resources, driver=driver)
    now = present or Present()
    cpu, memory, pids = resources.get("cpu") or {}, resources.get("memory") or {}, resources.get("pids")
    writes: list[Limit] = []
    if cpu_time := _cpu_time(cpu):
        held = _bound("cpu", "cpu", version, driver)
        writes += cgroup_v1.cpu(cpu_time) if held == 1 else cgroup_v2.cpu(cpu_time, now.quota, now.period)
    if cpu.get("cpus") or cpu.get("mems"):
        writes += (cgroup_v1 if _bound("cpuset", "cpu.cpus", version, driver) == 1 else cgroup_v2).cpuset(cpu)
    if any(value is not None for value in memory.values()):
        writes += _memory(memory, _bound("memory", "memory", version, driver), now)
    if pids is not None:
        _bound("pids", "pids.limit", version, driver)
        writes += cgroup_limits.pids(pids["limit"])
    return writes


def _memory(memory: Memory, version: int, now: Present) -> list[Limit]:
    if version == 2:
        return cgroup_v2.memory(memory, now.memory)
    writes = cgroup_v1.memory(memory)
    return writes if now.memsw is None else cgroup_v1.widening_first(writes, now.memsw)


def _cpu_time(cpu: Cpu) -> Cpu:
    """Return what the cpu controller holds; a burst of 0 takes one away, every other 0 means "not set"."""
    chosen = {key: value for key, value in cpu.items() if key in cgroup_limits.CPU_TIME}
    return cast("Cpu", {key: value for key, value in chosen.items() if value or (key == "burst" and value == 0)})


def _bound(controller: str, wanted: str, version: Version, driver: str) -> int:
    """Return the version of the hierarchy with the controller, or refuse ``wanted``."""
    held = version(controller)
    if not held:
        raise Unsupported(
            f"{wanted} cannot be limited: no cgroup hierarchy that is mounted here has the controller {controller}",
            fix=f"Leave the limit out, or boot with {controller} (/proc/cgroups shows what the kernel has).",
            plugin=driver,
        )
    return held
