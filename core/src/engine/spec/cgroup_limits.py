"""What the limits of a config.json have in common for every hierarchy: a value for one write, and its words.

The translations live in `engine.spec.cgroup_v1` and `engine.spec.cgroup_v2` for processors and memory, in
`engine.spec.cgroup_io`, `engine.spec.cgroup_hardware`, `engine.spec.cgroup_network` and `engine.spec.cgroup_unified`
for the rest; the systemd driver has properties of its own and uses these for what has none. Pure: nothing here looks at
the machine.

As in every engine that writes this format, the number 0 means "not set" for shares, quota, period and memory sizes.
"""

from __future__ import annotations

from engine.errors import Conflict
from engine.spec.runtime import Cpu
from engine.tuples import NamedTuple

UNLIMITED = -1
"""Lifts a limit, wherever the specification has one."""


class Limit(NamedTuple):
    """One write to one cgroup file.

    ``name``       what the specification calls it: ``memory.limit``
    ``controller`` whose file it is: ``cpu``, ``memory``, ``devices``; "" for the files of cgroup v2 itself
    ``file``       ``memory.max``
    ``value``      what is written
    ``meaning``    the limit in words: ``memory limit 64 MiB``
    ``key``        of a file with a line for each device: the first word of the line that this write is about
    ``lifted``     what takes that line away again
    """

    name: str
    controller: str
    file: str
    value: str
    meaning: str
    key: str = ""
    lifted: str = ""


def size(count: int) -> str:
    """Return a number of bytes in words: ``64 MiB``; ``unlimited`` for -1."""
    if count == UNLIMITED:
        return "unlimited"
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= unit and count % (unit >> 2) == 0:
            return f"{count / unit:g} {name}"
    return f"{count} bytes"


def below_use(name: str, limit: int, used: int, *, plugin: str = "") -> Conflict:
    """Return the error for a limit of memory below what a running group has in use; ``name`` is its OCI name."""
    return Conflict(
        f"{name} cannot become {size(limit)}: {used / (1 << 20):.1f} MiB are in use and cannot be reclaimed",
        fix="Choose a limit above that, or have the container free some memory first.",
        plugin=plugin,
    )


def count_or_max(count: int) -> str:
    """Return what the kernel reads as this number, or as no limit (``max``) when it is 0 or less (v2, pids)."""
    return str(count) if count > 0 else "max"


def pids(limit: int) -> list[Limit]:
    """Return the write for linux.resources.pids, the same on v1 and v2 (pids.rst)."""
    text = count_or_max(limit)
    return [Limit("pids.limit", "pids", "pids.max", text, f"limit of processes {text}")]


def idle(limits: Cpu) -> list[Limit]:
    """Return the write for linux.resources.cpu.idle, the same on v1 and v2 (cgroup-v2.rst, cpu.idle; Linux 5.15)."""
    wanted = limits.get("idle")
    words = "only when nobody else wants to run" if wanted else "by its weight"
    return [] if wanted is None else [Limit("cpu.idle", "cpu", "cpu.idle", str(wanted), f"processor time {words}")]


def cpuset(limits: Cpu) -> list[Limit]:
    """Return the writes of the cpuset controller, the same on v1 and v2.

    On v1 the group's maker has filled both files from the parent before.
    """
    return [
        Limit(f"cpu.{key}", "cpuset", f"cpuset.{key}", text, f"{words} {text}")
        for key, text, words in (("cpus", limits.get("cpus"), "cpus"), ("mems", limits.get("mems"), "memory nodes"))
        if text
    ]
