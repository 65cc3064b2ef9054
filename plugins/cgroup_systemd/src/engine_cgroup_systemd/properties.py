"""OCI limits as properties of a unit (systemd.resource-control(5), org.freedesktop.systemd1(5)). Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

from engine.spec import cgroup_v2
from engine.spec.cgroup_devices import Policy
from engine.spec.cgroup_limits import UNLIMITED
from engine.spec.cgroup_writes import Present, Version
from engine.spec.runtime import Cpu, Memory, Resources
from engine_cgroup_systemd.devices import Drivers, allowed

INFINITY = 2**64 - 1
"""systemd's "no limit"."""
SECOND = 1_000_000
_PERCENT = SECOND // 100


class Property(NamedTuple):
    """One property: name, D-Bus signature, value as plain data, and the limits (their OCI names) that it holds."""

    name: str
    signature: str
    value: Any
    limits: tuple[str, ...]


def properties(resources: Resources, version: Version, now: Present | None = None) -> list[Property]:
    """Return what of ``resources`` systemd has a property for. Device rules: see `device_properties`.

    ``now`` is what a running unit has, for an update. The values were checked by `engine.spec.cgroup_writes` before.
    """
    present = now or Present()
    cpu, memory, pids = resources.get("cpu") or {}, resources.get("memory") or {}, resources.get("pids")
    found = _cpu(cpu, version("cpu"), present)
    if version("cpuset") == 2:
        found += _cpuset(cpu)
    found += _memory(memory, version("memory"), present)
    if pids is not None:
        found.append(Property("TasksMax", "t", pids["limit"] if pids["limit"] > 0 else INFINITY, ("pids.limit",)))
    return found


def device_properties(policy: Policy, known: Drivers) -> list[Property]:
    """Return the properties of a device policy; the empty list before the rows makes systemd forget the ones it had."""
    word, rows = allowed(policy, known)
    found = [Property("DevicePolicy", "s", word, ("devices",)), Property("DeviceAllow", "a(ss)", [], ("devices",))]
    if rows:
        found.append(Property("DeviceAllow", "a(ss)", [list(row) for row in rows], ("devices",)))
    return found


def quota_per_second(quota: int, period: int) -> int:
    """Return CPUQuotaPerSecUSec for a quota in a period, rounded up to one percent of a processor.

    systemd writes the value down as a percentage, so a finer one would change when it reloads its units.
    """
    if quota == UNLIMITED:
        return INFINITY
    return -(-quota * SECOND // period // _PERCENT) * _PERCENT


def cpu_mask(members: str) -> list[int]:
    """Return a list such as ``0-2,4`` as the bytes of a bit mask, lowest first (AllowedCPUs=, AllowedMemoryNodes=)."""
    mask = 0
    for part in members.split(","):
        first, _, last = part.partition("-")
        for number in range(int(first), int(last or first) + 1):
            mask |= 1 << number
    return list(mask.to_bytes((mask.bit_length() + 7) // 8, "little"))


def _cpu(cpu: Cpu, version: int, present: Present) -> list[Property]:
    found = []
    if shares := cpu.get("shares"):
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
