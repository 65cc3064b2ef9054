"""OCI limits as properties of a unit (systemd.resource-control(5), org.freedesktop.systemd1(5)). Pure."""

from __future__ import annotations

from engine.spec import cgroup_v2
from engine.spec.cgroup_devices import Policy
from engine.spec.cgroup_limits import UNLIMITED
from engine.spec.cgroup_machine import Machine, Present
from engine.spec.runtime import Cpu, Memory, Resources
from engine_cgroup_systemd import block_io, unified
from engine_cgroup_systemd.devices import Drivers, allowed
from engine_cgroup_systemd.values import INFINITY, Property, cpu_mask, quota_per_second


def properties(resources: Resources, here: Machine, now: Present | None = None) -> list[Property]:
    """Return what of ``resources`` systemd has a property for. Device rules: see `device_properties`.

    ``now`` is what a running unit has, for an update. The values were checked by `engine.spec.cgroup_writes` before.
    Raises `Unsupported` for a file of v2 that is systemd's own and that it has no property for.
    """
    present, version = now or Present(), here.version
    cpu, memory, pids = resources.get("cpu") or {}, resources.get("memory") or {}, resources.get("pids")
    found = _cpu(cpu, version("cpu"), present)
    if version("cpuset") == 2:
        found += _cpuset(cpu)
    found += _memory(memory, version("memory"), present)
    if pids is not None:
        found.append(Property("TasksMax", "t", pids["limit"] if pids["limit"] > 0 else INFINITY, ("pids.limit",)))
    if version("io") == 2:
        found += block_io.properties(resources.get("blockIO") or {}, here)
    return found + unified.properties(resources.get("unified") or {})


def device_properties(policy: Policy, known: Drivers) -> list[Property]:
    """Return the properties of a device policy; the empty list before the rows makes systemd forget the ones it had."""
    word, rows = allowed(policy, known)
    found = [Property("DevicePolicy", "s", word, ("devices",)), Property("DeviceAllow", "a(ss)", [], ("devices",))]
    if rows:
        found.append(Property("DeviceAllow", "a(ss)", [list(row) for row in rows], ("devices",)))
    return found


def _cpu(cpu: Cpu, version: int, present: Present) -> list[Property]:
    found = []
    if version == 2 and cpu.get("idle") is not None:
        # A weight of 0 is systemd's word for idle; any other ends it (systemd 252).
        weight = 0 if cpu["idle"] else cgroup_v2.weight_of_shares(cpu.get("shares") or 1024)
        found.append(Property("CPUWeight", "t", weight, ("cpu.idle", "cpu.shares")))
    elif shares := cpu.get("shares"):
        if version == 1:
            found.append(Property("CPUShares", "t", shares, ("cpu.shares",)))
        else:
            found.append(Property("CPUWeight", "t", cgroup_v2.weight_of_shares(shares), ("cpu.shares",)))
    quota, period = cpu.get("quota"), cpu.get("period")
    if period:
        found.append(Property("CPUQuotaPeriodUSec", "t", period, ("cpu.period",)))
    if quota or (period and present.quota != UNLIMITED):
        per_second = quota_per_second(quota or present.quota, period or present.period)
        found.append(Property("CPUQuotaPerSecUSec", "t", per_second, ("cpu.quota",)))
    return found


def _cpuset(cpu: Cpu) -> list[Property]:
    rows = (("AllowedCPUs", "cpu.cpus", cpu.get("cpus")), ("AllowedMemoryNodes", "cpu.mems", cpu.get("mems")))
    return [Property(name, "ay", cpu_mask(members), (limit,)) for name, limit, members in rows if members]


def _memory(memory: Memory, version: int, present: Present) -> list[Property]:
    """MemoryMax is held on v1 as well; swap and reservation have properties on v2 alone."""
    found = []
    limit, swap, reservation = memory.get("limit") or 0, memory.get("swap") or 0, memory.get("reservation") or 0
    if limit:
        found.append(Property("MemoryMax", "t", _bytes(limit), ("memory.limit",)))
    if version == 2 and swap:
        alone = cgroup_v2.swap_alone(swap, limit or present.memory)
        found.append(Property("MemorySwapMax", "t", _bytes(alone), ("memory.swap",)))
    if version == 2 and reservation:
        found.append(Property("MemoryLow", "t", _bytes(reservation), ("memory.reservation",)))
    return found


def _bytes(count: int) -> int:
    return INFINITY if count == UNLIMITED else count
