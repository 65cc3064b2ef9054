"""A memory limit below what is in use: making room for it, and saying how much is in use when there is none.

v1 refuses such a limit after it has reclaimed what it could. v2 takes it and kills, unless ``checkBeforeUpdate`` asks
for a look first (config-linux.md, "Memory"). With it both end alike: what can be reclaimed is, then a limit that is
still too low is refused. Between the look and the write the container goes on, so on v2 a process may still be killed.

For plugins of the kind ``cgroup``. Runs in the command's process, with the permissions of the files.
"""

from __future__ import annotations

import errno
import os

from engine.errors import EngineError
from engine.linux.cgroups import Group, read_value, write_value
from engine.spec.cgroup_limits import below_use
from engine.spec.cgroup_machine import Version
from engine.spec.runtime import Memory, Resources

_USE_V1 = {
    "memory.limit_in_bytes": ("memory.limit", "memory.usage_in_bytes"),
    "memory.memsw.limit_in_bytes": ("memory.swap", "memory.memsw.usage_in_bytes"),
}
"""The limits that v1 refuses below what is in use: their OCI names, and where the use is."""
_TRIES = 5
_PAGE = os.sysconf("SC_PAGE_SIZE")


def make_room(group: Group, resources: Resources, version: Version) -> None:
    """Have the kernel reclaim what a lower limit has no room for, where v2 has memory and ``checkBeforeUpdate`` asks.

    Without memory.reclaim (before Linux 5.19) nothing is reclaimed. Raises `OSError`.
    """
    memory = resources.get("memory") or {}
    if version("memory") != 2 or not memory.get("checkBeforeUpdate"):
        return
    for _ in range(_TRIES):
        surplus = _surplus(group, memory)
        if surplus <= 0 or not _reclaim(group, surplus):
            return


def use(group: Group) -> tuple[int, int]:
    """Return the bytes of memory and of swap that a v2 group has in use. Raises `OSError`."""
    swapped = "memory.swap.current"
    there = os.path.exists(f"{group.v2}/{swapped}")
    return int(read_value(group.v2, "memory.current")), int(read_value(group.v2, swapped)) if there else 0


def refusal(directory: str, file: str, value: str, *, plugin: str) -> EngineError | None:
    """Return the error for a limit that v1 did not take because more is in use; None if that is not the reason."""
    if file not in _USE_V1 or int(value) < 0:
        return None
    name, usage = _USE_V1[file]
    used = int(read_value(directory, usage))
    return below_use(name, int(value), used, plugin=plugin) if used > int(value) else None


def _surplus(group: Group, memory: Memory) -> int:
    used, swapped = use(group)
    limit, swap = memory.get("limit") or 0, memory.get("swap") or 0
    return max(used - limit if limit > 0 else 0, used + swapped - swap if swap > 0 else 0)


def _reclaim(group: Group, surplus: int) -> bool:
    """Reclaim so many bytes, in whole pages; tell whether it is worth trying again (cgroup-v2.rst, memory.reclaim)."""
    try:
        write_value(group.v2, "memory.reclaim", -(-surplus // _PAGE) * _PAGE)
    except OSError as error:
        # Less could be reclaimed, which the next look tells; or the kernel cannot be asked to.
        if error.errno in {errno.EAGAIN, errno.ENOENT}:
            return False
        raise
    return True
