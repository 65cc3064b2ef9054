"""OCI limits as writes to cgroup v2 files (Documentation/admin-guide/cgroup-v2.rst), and what v2 has no file for."""

from __future__ import annotations

from math import ceil, log2

from engine.errors import InvalidInput, Unsupported
from engine.spec.cgroup_limits import UNLIMITED, Limit, count_or_max, size
from engine.spec.runtime import Cpu, Memory

DEFAULT_PERIOD = 100_000
"""Microseconds; what the kernel gives a fresh group."""


def weight_of_shares(shares: int) -> int:
    """Return the v2 weight (1 to 10,000) of v1 shares (2 to 262,144).

    The published conversion of 2025, ``10^((l² + 125 l) / 612 - 7/34)`` with l the binary logarithm: it maps the
    minimum, the default and the maximum of one onto those of the other (2 → 1, 1024 → 100, 262144 → 10000). The
    straight line used before made the default of containers 39, less than that of everything beside them.
    """
    logarithm = log2(min(max(shares, 2), 262_144))
    return min(ceil(10 ** ((logarithm * logarithm + 125 * logarithm) / 612 - 7 / 34)), 10_000)


def cpu(limits: Cpu, quota_now: int = UNLIMITED, period_now: int = DEFAULT_PERIOD) -> list[Limit]:
    """Return the writes of the cpu controller; cpu.max takes quota and period in one write.

    ``quota_now`` and ``period_now`` stand in for the one that is not given (an update); quota -1 is unlimited.
    """
    writes = []
    if shares := limits.get("shares"):
        weight = weight_of_shares(shares)
        writes.append(
            Limit("cpu.shares", "cpu", "cpu.weight", str(weight), f"cpu weight {weight} (from shares {shares})")
        )
    if limits.get("quota") or limits.get("period"):
        name = "cpu.quota" if limits.get("quota") else "cpu.period"
        quota, period = limits.get("quota") or quota_now, limits.get("period") or period_now
        words = "unlimited" if quota == UNLIMITED else f"{quota} µs in {period} µs"
        writes.append(Limit(name, "cpu", "cpu.max", f"{count_or_max(quota)} {period}", f"cpu time {words}"))
    if (burst := limits.get("burst")) is not None:
        writes.append(Limit("cpu.burst", "cpu", "cpu.max.burst", str(burst), f"cpu burst {burst} µs"))
    return writes


def cpuset(limits: Cpu) -> list[Limit]:
    """Return the writes of the cpuset controller."""
    return [
        Limit(f"cpu.{key}", "cpuset", f"cpuset.{key}", text, f"{words} {text}")
        for key, text, words in (("cpus", limits.get("cpus"), "cpus"), ("mems", limits.get("mems"), "memory nodes"))
        if text
    ]


def memory(limits: Memory, limit_now: int = UNLIMITED) -> list[Limit]:
    """Return the writes of the memory controller.

    ``limit_now`` is the group's present memory.max, for an update that gives memory and swap together but no limit.
    Raises `Unsupported` for swappiness and for switching the oom killer off, which v2 does not have.
    """
    _refuse_v1_only(limits)
    writes = []
    limit, swap, reservation = limits.get("limit") or 0, limits.get("swap") or 0, limits.get("reservation") or 0
    if limit:
        writes.append(Limit("memory.limit", "memory", "memory.max", count_or_max(limit), f"memory limit {size(limit)}"))
    if swap:
        alone = swap_alone(swap, limit or limit_now)
        text = "max" if alone == UNLIMITED else str(alone)
        writes.append(Limit("memory.swap", "memory", "memory.swap.max", text, f"swap limit {size(alone)}"))
    if reservation:
        text = count_or_max(reservation)
        writes.append(
            Limit("memory.reservation", "memory", "memory.low", text, f"memory reservation {size(reservation)}")
        )
    return writes


def swap_alone(swap: int, limit: int) -> int:
    """Return the limit of swap alone, in bytes or -1, from memory and swap together and the memory limit."""
    if swap == UNLIMITED:
        return UNLIMITED
    if limit == UNLIMITED or swap < limit:
        raise InvalidInput(
            f"memory.swap is {size(swap)} of memory and swap together, but the memory limit is {size(limit)}",
            fix="Give a memory limit that is no larger, in the same request.",
        )
    return swap - limit


def _refuse_v1_only(limits: Memory) -> None:
    if limits.get("swappiness") is not None:
        raise Unsupported("cgroup v2 has no memory.swappiness of a group", fix="Leave it out, or set vm.swappiness.")
    if limits.get("disableOOMKiller"):
        raise Unsupported("cgroup v2 cannot switch the oom killer off (memory.disableOOMKiller)", fix="Leave it out.")
