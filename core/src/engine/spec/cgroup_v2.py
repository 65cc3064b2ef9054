"""OCI limits as writes to cgroup v2 files (Documentation/admin-guide/cgroup-v2.rst), and what v2 has no file for."""

from __future__ import annotations

from math import ceil, floor, log2, log10, sqrt

from engine.errors import InvalidInput, Unsupported
from engine.spec.cgroup_limits import UNLIMITED, Limit, below_use, count_or_max, idle, size
from engine.spec.cgroup_machine import DEFAULT_PERIOD
from engine.spec.runtime import Cpu, Memory


def weight_of_shares(shares: int) -> int:
    """Return the v2 weight (1 to 10,000) of v1 shares (2 to 262,144).

    The published conversion of 2025, ``10^((l² + 125 l) / 612 - 7/34)`` with l the binary logarithm: it maps the
    minimum, the default and the maximum of one onto those of the other (2 → 1, 1024 → 100, 262144 → 10000). The
    straight line used before made the default of containers 39, less than that of everything beside them.
    """
    logarithm = log2(min(max(shares, 2), 262_144))
    return min(ceil(10 ** ((logarithm * logarithm + 125 * logarithm) / 612 - 7 / 34)), 10_000)


def shares_of_weight(weight: int) -> int:
    """Return the v1 shares of a v2 weight: the way back of `weight_of_shares`, solved for the binary logarithm.

    Of all shares that become this weight it is one: converting it again gives the weight.
    """
    logarithm = (sqrt(125 * 125 + 4 * 612 * (log10(min(max(weight, 1), 10_000)) + 7 / 34)) - 125) / 2
    return min(max(floor(2**logarithm), 2), 262_144)


def cpu(limits: Cpu, quota_now: int = UNLIMITED, period_now: int = DEFAULT_PERIOD) -> list[Limit]:
    """Return the writes of the cpu controller; cpu.max takes quota and period in one write.

    ``quota_now`` and ``period_now`` stand in for the one that is not given (an update); quota -1 is unlimited. Idleness
    is as on v1. Raises `Unsupported` for realtime budgets, which v2 does not have.
    """
    _refuse_realtime(limits)
    writes = [] if limits.get("idle") else idle(limits)
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
    return writes + (idle(limits) if limits.get("idle") else [])


def memory(limits: Memory, limit_now: int = UNLIMITED, used: int = 0, swapped: int = 0) -> list[Limit]:
    """Return the writes of the memory controller.

    ``limit_now`` is the group's present memory.max, for an update that gives memory and swap together but no limit;
    ``used`` and ``swapped`` are the memory and the swap that it has in use. Raises `Unsupported` for what v2 does not
    have, and `Conflict` for a limit below what is in use when ``checkBeforeUpdate`` asks for that: v1 refuses it, v2
    would kill.
    """
    _refuse_v1_only(limits)
    if limits.get("checkBeforeUpdate"):
        _refuse_below_use(limits, used, swapped)
    writes = []
    limit, swap, reservation = limits.get("limit") or 0, limits.get("swap") or 0, limits.get("reservation") or 0
    if limit:
        writes.append(Limit("memory.limit", "memory", "memory.max", count_or_max(limit), f"memory limit {size(limit)}"))
    if swap:
        alone = swap_alone(swap, limit or limit_now)
        text = "max" if alone == UNLIMITED else str(alone)
        writes.append(Limit("memory.swap", "memory", "memory.swap.max", text, f"swap limit {size(alone)}"))
    if reservation:
        # No soft limit on v1 is no protection here: the whole of memory.low is the other end.
        text = str(max(reservation, 0))
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


def _refuse_below_use(limits: Memory, used: int, swapped: int) -> None:
    for name, limit, have in (
        ("memory.limit", limits.get("limit") or 0, used),
        ("memory.swap", limits.get("swap") or 0, used + swapped),
    ):
        if 0 < limit < have:
            raise below_use(name, limit, have)


def _refuse_realtime(limits: Cpu) -> None:
    if limits.get("realtimeRuntime") or limits.get("realtimePeriod"):
        raise Unsupported(
            "cgroup v2 has no realtime budget of a group (cpu.realtimeRuntime)",
            fix="Leave it out; kernel.sched_rt_runtime_us is the machine's.",
        )


def _refuse_v1_only(limits: Memory) -> None:
    if limits.get("kernelTCP"):
        raise Unsupported(
            "cgroup v2 has no limit of TCP buffers alone (memory.kernelTCP): they count as the group's memory",
            fix="Leave it out, and give a memory limit.",
        )
    if limits.get("swappiness") is not None:
        raise Unsupported("cgroup v2 has no memory.swappiness of a group", fix="Leave it out, or set vm.swappiness.")
    if limits.get("disableOOMKiller"):
        raise Unsupported("cgroup v2 cannot switch the oom killer off (memory.disableOOMKiller)", fix="Leave it out.")
