"""OCI limits as writes to cgroup v1 files (Documentation/admin-guide/cgroup-v1, scheduler/sched-bwc.rst).

The order of the writes is the order in which a fresh group accepts them.
"""

from __future__ import annotations

from engine.spec.cgroup_limits import UNLIMITED, Limit, idle, size
from engine.spec.runtime import Cpu, Memory


def cpu(limits: Cpu, realtime_now: int = 0) -> list[Limit]:
    """Return the writes of the cpu controller: weight, then period before quota before burst.

    An idle group has no weight (sched(7), SCHED_IDLE): it stops being idle before it gets one, and is made so after.
    ``realtime_now`` is the group's present realtime runtime, see `_realtime`.
    """
    writes = [] if limits.get("idle") else idle(limits)
    if shares := limits.get("shares"):
        writes.append(Limit("cpu.shares", "cpu", "cpu.shares", str(shares), f"cpu shares {shares}"))
    if period := limits.get("period"):
        writes.append(Limit("cpu.period", "cpu", "cpu.cfs_period_us", str(period), f"cpu period {period} µs"))
    if quota := limits.get("quota"):
        words = "unlimited" if quota == UNLIMITED else f"{quota} µs"
        writes.append(Limit("cpu.quota", "cpu", "cpu.cfs_quota_us", str(quota), f"cpu quota {words}"))
    if (burst := limits.get("burst")) is not None:
        writes.append(Limit("cpu.burst", "cpu", "cpu.cfs_burst_us", str(burst), f"cpu burst {burst} µs"))
    return writes + (idle(limits) if limits.get("idle") else []) + _realtime(limits, realtime_now)


def _realtime(limits: Cpu, runtime_now: int) -> list[Limit]:
    """Return the writes of the realtime budget; the runtime may at no moment be more than the period."""
    runtime, period = limits.get("realtimeRuntime"), limits.get("realtimePeriod")
    writes = []
    if period:
        meaning = f"realtime period {period} µs"
        writes.append(Limit("cpu.realtimePeriod", "cpu", "cpu.rt_period_us", str(period), meaning))
    if runtime is not None:
        meaning = f"realtime runtime {runtime} µs"
        writes.append(Limit("cpu.realtimeRuntime", "cpu", "cpu.rt_runtime_us", str(runtime), meaning))
    return writes[::-1] if period and runtime_now > period else writes


def memory(limits: Memory) -> list[Limit]:
    """Return the writes of the memory controller: the limit before memory and swap together, which may not be lower.

    `widening_first` reorders for groups that have limits already.
    """
    writes = []
    for key, file, words in (
        ("limit", "memory.limit_in_bytes", "memory limit"),
        ("swap", "memory.memsw.limit_in_bytes", "limit of memory and swap together"),
        ("reservation", "memory.soft_limit_in_bytes", "memory reservation"),
        ("kernelTCP", "memory.kmem.tcp.limit_in_bytes", "memory of TCP buffers"),
    ):
        value = limits.get(key)
        if isinstance(value, int) and value:
            writes.append(Limit(f"memory.{key}", "memory", file, str(value), f"{words} {size(value)}"))
    swappiness = limits.get("swappiness")
    if swappiness is not None:
        writes.append(
            Limit("memory.swappiness", "memory", "memory.swappiness", str(swappiness), f"swappiness {swappiness}")
        )
    disabled = limits.get("disableOOMKiller")
    if disabled is not None:
        words = "off: tasks wait for memory" if disabled else "on"
        writes.append(
            Limit("memory.disableOOMKiller", "memory", "memory.oom_control", str(int(disabled)), f"oom killer {words}")
        )
    return writes


def widening_first(writes: list[Limit], memsw_now: int) -> list[Limit]:
    """Return the same writes with ``memory.swap`` before ``memory.limit`` when it grows.

    The kernel keeps limit ≤ memsw at every moment (memcontrol-v1), so a group that has both grows from the outside in
    and shrinks from the inside out. ``memsw_now`` is the present memory.memsw.limit_in_bytes.
    """
    swap = next((one for one in writes if one.name == "memory.swap"), None)
    if swap is None or not (int(swap.value) == UNLIMITED or int(swap.value) > memsw_now):
        return writes
    return [swap, *(one for one in writes if one is not swap)]
