"""How often the kernel's out-of-memory killer was at work in a cgroup."""

from __future__ import annotations

from engine.linux.cgroups import Group, parse_flat_keyed


def kills(group: Group) -> int:
    """Return the number of processes killed for memory in the group; 0 where its hierarchies do not count them.

    ``memory.oom_control`` on v1 (the kernel's cgroup-v1/memory.rst, section 10), ``memory.events`` on v2.
    """
    places = [(group.v1["memory"], "memory.oom_control")] if "memory" in group.v1 else []
    places += [(group.v2, "memory.events")] if group.v2 else []
    for directory, name in places:
        try:
            with open(f"{directory}/{name}", "rb", buffering=0) as file:
                counted = parse_flat_keyed(file.read().decode())
        except FileNotFoundError:
            continue
        if "oom_kill" in counted:
            return counted["oom_kill"]
    return 0
