"""What the limits of a config.json have in common for every hierarchy: a value for one write, and the checks.

The translations live in `engine.spec.cgroup_v1` and `engine.spec.cgroup_v2`, a function for each controller; the
systemd driver has properties of its own and uses these for the rest. Pure: nothing here looks at the machine.

As in every engine that writes this format, the number 0 means "not set" for shares, quota, period and memory sizes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from engine.errors import InvalidInput, Unsupported
from engine.spec.runtime import Cpu, Memory, Resources

UNLIMITED = -1
"""Lifts a limit, wherever the specification has one."""

CPU_TIME = ("shares", "quota", "period", "burst")
CPU_SETS = ("cpus", "mems")
MEMORY = ("limit", "reservation", "swap", "swappiness", "disableOOMKiller")
_LIST = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*")


class Limit(NamedTuple):
    """One write to one cgroup file.

    ``name``       what the specification calls it: ``memory.limit``
    ``controller`` whose file it is: ``cpu``, ``cpuset``, ``memory``, ``pids``, ``devices``
    ``file``       ``memory.max``
    ``value``      what is written
    ``meaning``    the limit in words: ``memory limit 64 MiB``
    """

    name: str
    controller: str
    file: str
    value: str
    meaning: str


def check(resources: Resources, *, driver: str) -> None:
    """Raise `InvalidInput` for values no kernel would take, `Unsupported` for parts of the format that no driver knows.

    ``driver`` is named in the message. What one hierarchy lacks is found by its own translation.
    """
    _refuse_unknown("linux.resources", resources, ("cpu", "memory", "pids", "devices"), driver)
    cpu, memory = resources.get("cpu") or {}, resources.get("memory") or {}
    _refuse_unknown("linux.resources.cpu", cpu, CPU_TIME + CPU_SETS, driver)
    _refuse_unknown("linux.resources.memory", memory, MEMORY, driver)
    _refuse_unknown("linux.resources.pids", resources.get("pids") or {}, ("limit",), driver)
    _check_cpu(cpu)
    _check_memory(memory)


def _refuse_unknown(where: str, part: Mapping[str, Any], known: Iterable[str], driver: str) -> None:
    for key, value in part.items():
        if key not in known and value not in (None, {}, [], 0, "", False):
            raise Unsupported(
                f"the cgroup driver {driver} does not know {where}.{key}", fix=f"Leave {key} out.", plugin=driver
            )


def _check_cpu(cpu: Cpu) -> None:
    _in_range("cpu.shares", cpu.get("shares"), 2, 262_144)
    _in_range("cpu.period", cpu.get("period"), 1_000, 1_000_000)
    quota = cpu.get("quota")
    if quota != UNLIMITED:
        _in_range("cpu.quota", quota, 1_000, 2**44)
    burst = cpu.get("burst") or 0
    if burst < 0 or (burst and (quota is None or quota > 0) and burst > (quota or 0)):
        raise InvalidInput(
            f"cpu.burst is {burst} and must lie between 0 and cpu.quota ({quota})",
            fix="Set a quota in the same request, and a burst no larger.",
        )
    for key in CPU_SETS:
        text = cpu.get(key)
        if text and not _LIST.fullmatch(str(text)):
            raise InvalidInput(f"cpu.{key} is {text!r}, which is not a list of numbers", fix="Write it as 0-2,4.")


def _check_memory(memory: Memory) -> None:
    for key in ("limit", "reservation", "swap"):
        value = memory.get(key)
        if value is not None and value != UNLIMITED:
            _in_range(f"memory.{key}", value, 1, 2**63 - 1)
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


def _in_range(name: str, value: Any, lowest: int, highest: int) -> None:
    if value and not lowest <= value <= highest:
        raise InvalidInput(f"{name} is {value}; the kernel takes {lowest} to {highest}", fix="Choose one in between.")


def size(count: int) -> str:
    """Return a number of bytes in words: ``64 MiB``; ``unlimited`` for -1."""
    if count == UNLIMITED:
        return "unlimited"
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= unit and count % (unit >> 2) == 0:
            return f"{count / unit:g} {name}"
    return f"{count} bytes"


def count_or_max(count: int) -> str:
    """Return what the kernel reads as this number, or as no limit (``max``) when it is 0 or less (v2, pids)."""
    return str(count) if count > 0 else "max"


def pids(limit: int) -> list[Limit]:
    """Return the write for linux.resources.pids, the same on v1 and v2 (pids.rst)."""
    text = count_or_max(limit)
    return [Limit("pids.limit", "pids", "pids.max", text, f"limit of processes {text}")]
