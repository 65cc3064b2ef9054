"""Limits that no kernel would take, and keys that are none, found before anything is made. Pure.

What one hierarchy lacks is found by its own translation, not here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

from engine.errors import InvalidInput, Unsupported
from engine.spec.cgroup_limits import UNLIMITED, size
from engine.spec.runtime import BlockIO, Cpu, Memory, Network, Resources

CPU_TIME = ("shares", "quota", "period", "burst", "realtimeRuntime", "realtimePeriod", "idle")
CPU_SETS = ("cpus", "mems")
MEMORY = (
    "limit", "reservation", "swap", "kernel", "kernelTCP", "swappiness", "disableOOMKiller", "useHierarchy",
    "checkBeforeUpdate",
)  # fmt: skip
THROTTLES = (
    "throttleReadBpsDevice", "throttleWriteBpsDevice", "throttleReadIOPSDevice", "throttleWriteIOPSDevice",
)  # fmt: skip
BLOCK_IO = ("weight", "leafWeight", "weightDevice", *THROTTLES)
_PARTS = ("cpu", "memory", "pids", "devices", "blockIO", "hugepageLimits", "network", "rdma", "unified")
_LIST = r"\d+(-\d+)?(,\d+(-\d+)?)*"
_LARGEST = 2**63 - 1


def check(resources: Resources, *, driver: str) -> None:
    """Raise `InvalidInput` for values no kernel would take, `Unsupported` for parts of the format that no driver knows.

    ``driver`` is named in the message.
    """
    _refuse_unknown("linux.resources", resources, _PARTS, driver)
    cpu, memory = resources.get("cpu") or {}, resources.get("memory") or {}
    block, network = resources.get("blockIO") or {}, resources.get("network") or {}
    _refuse_unknown("linux.resources.cpu", cpu, CPU_TIME + CPU_SETS, driver)
    _refuse_unknown("linux.resources.memory", memory, MEMORY, driver)
    _refuse_unknown("linux.resources.pids", resources.get("pids") or {}, ("limit",), driver)
    _refuse_unknown("linux.resources.blockIO", block, BLOCK_IO, driver)
    _refuse_unknown("linux.resources.network", network, ("classID", "priorities"), driver)
    _check_cpu(cpu)
    _refuse_retired(memory, driver)
    _check_memory(memory)
    _check_block_io(block)
    _check_network(network)
    for row in resources.get("hugepageLimits") or []:
        if row["limit"] != UNLIMITED:
            _in_range(f"hugepageLimits of {row['pageSize']}", row["limit"], 0, _LARGEST)


def _refuse_unknown(where: str, part: Mapping[str, Any], known: Iterable[str], driver: str) -> None:
    for key, value in part.items():
        if key not in known and value not in (None, {}, [], 0, "", False):
            raise Unsupported(
                f"the cgroup driver {driver} does not know {where}.{key}", fix=f"Leave {key} out.", plugin=driver
            )


def _check_cpu(cpu: Cpu) -> None:
    _in_range("cpu.shares", cpu.get("shares"), 2, 262_144)
    _in_range("cpu.period", cpu.get("period"), 1_000, 1_000_000)
    _in_range("cpu.idle", cpu.get("idle"), 0, 1)
    quota = cpu.get("quota")
    if quota != UNLIMITED:
        _in_range("cpu.quota", quota, 1_000, 2**44)
    burst = cpu.get("burst") or 0
    if burst < 0 or (burst and (quota is None or quota > 0) and burst > (quota or 0)):
        raise InvalidInput(
            f"cpu.burst is {burst} and must lie between 0 and cpu.quota ({quota})",
            fix="Set a quota in the same request, and a burst no larger.",
        )
    _check_realtime(cpu)
    for key in CPU_SETS:
        text = cpu.get(key)
        if text and not re.fullmatch(_LIST, str(text)):
            raise InvalidInput(f"cpu.{key} is {text!r}, which is not a list of numbers", fix="Write it as 0-2,4.")


def _check_realtime(cpu: Cpu) -> None:
    runtime, period = cpu.get("realtimeRuntime") or 0, cpu.get("realtimePeriod") or 1_000_000
    _in_range("cpu.realtimePeriod", period, 1, 2**31 - 1)
    if not 0 <= runtime <= period:
        raise InvalidInput(
            f"cpu.realtimeRuntime is {runtime} µs of a period of {period} µs", fix="It is at most the period."
        )


def _refuse_retired(memory: Memory, driver: str) -> None:
    """Refuse what is a file without effect at best in every kernel that is maintained."""
    if memory.get("kernel"):
        raise Unsupported(
            "memory.kernel went from the kernel (Linux 5.16): its memory counts as the group's, within memory.limit",
            fix="Leave it out.",
            plugin=driver,
        )
    if memory.get("useHierarchy") is False:
        raise Unsupported(
            "memory.useHierarchy cannot be switched off (Linux 5.11): a group's limits hold for those below it",
            fix="Leave it out.",
            plugin=driver,
        )


def _check_memory(memory: Memory) -> None:
    for key in ("limit", "reservation", "swap", "kernelTCP"):
        value = cast("int | None", memory.get(key))
        if value is not None and value != UNLIMITED:
            _in_range(f"memory.{key}", value, 1, _LARGEST)
    _in_range("memory.swappiness", memory.get("swappiness"), 0, 100)
    limit, swap = memory.get("limit") or 0, memory.get("swap") or 0
    if swap > 0 and limit == UNLIMITED:
        raise InvalidInput(
            f"memory.swap limits memory and swap together to {size(swap)}, but memory.limit is unlimited",
            fix="Set a memory limit, or lift both.",
        )
    if 0 < swap < limit:
        raise InvalidInput(
            f"memory.swap ({size(swap)}) is memory and swap together, so it cannot be below memory.limit "
            f"({size(limit)})",
            fix="Set it to the memory limit (no swap), to more, or to -1 (no limit on swap).",
        )


def _check_block_io(block: BlockIO) -> None:
    _in_range("blockIO.weight", block.get("weight"), 10, 1_000)
    for row in block.get("weightDevice") or []:
        _in_range("blockIO.weightDevice", row.get("weight"), 10, 1_000)
    for key in THROTTLES:
        for one in cast("Mapping[str, Any]", block).get(key) or []:
            _in_range(f"blockIO.{key}", one["rate"], 0, _LARGEST)


def _check_network(network: Network) -> None:
    _in_range("network.classID", network.get("classID"), 0, 2**32 - 1)
    for row in network.get("priorities") or []:
        _in_range(f"network.priorities of {row['name']}", row["priority"], 0, 2**32 - 1)
        if not row["name"] or set(row["name"]) & set("/ \t\n"):
            raise InvalidInput(f"network.priorities names the link {row['name']!r}", fix="See ip link for names.")


def _in_range(name: str, value: Any, lowest: int, highest: int) -> None:
    if value and not lowest <= value <= highest:
        raise InvalidInput(f"{name} is {value}; the kernel takes {lowest} to {highest}", fix="Choose one in between.")
