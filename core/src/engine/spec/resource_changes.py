"""From one ``linux.resources`` to another: what an update of a running container has to change. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from engine.spec.cgroup_checks import THROTTLES
from engine.spec.runtime import Resources

_LIFTED: Mapping[str, Mapping[str, int]] = {
    "memory": {"limit": -1, "swap": -1, "reservation": -1, "swappiness": 60},
    "cpu": {"quota": -1, "shares": 1024, "period": 100_000, "realtimeRuntime": 0, "realtimePeriod": 1_000_000},
    "pids": {"limit": -1},
    "blockIO": {"weight": 100},
}
"""What takes each limit away again: where there is no "unlimited", the kernel's own value (sched-design-CFS.rst,
sched-rt-group.rst, sysctl/vm.rst, bfq(5))."""
_ROWS = {"weightDevice": "weight", **dict.fromkeys(THROTTLES, "rate")}


def difference(before: Resources, after: Resources) -> Resources:
    """Return what leads from one to the other, the device rules left aside.

    Each controller that changes comes with all its limits, for they depend on each other, and what is no longer limited
    as lifted. A limit of memory that changes is to be refused below what is in use, whatever the hierarchy.
    """
    found: dict[str, dict[str, Any]] = {}
    for controller, lifted in _LIFTED.items():
        old: Mapping[str, Any] = cast("Mapping[str, Any]", before.get(controller) or {})
        new: Mapping[str, Any] = cast("Mapping[str, Any]", after.get(controller) or {})
        if old != new:
            gone = {name: value for name, value in lifted.items() if name in old and name not in new}
            found[controller] = {**gone, **new, **_without_rows(old, new)}
    if any(_of(before, name) != _of(after, name) for name in ("limit", "swap")):
        found["memory"]["checkBeforeUpdate"] = True
    files = {
        name: text for name, text in after.get("unified", {}).items() if before.get("unified", {}).get(name) != text
    }
    if files:
        found["unified"] = files
    return cast("Resources", found)


def _of(resources: Resources, name: str) -> object:
    return cast("Mapping[str, Any]", resources.get("memory") or {}).get(name)


def _without_rows(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, list[dict[str, int]]]:
    """Return each list of block devices that had one more before: the new rows, and 0 for the devices that are gone."""
    found = {}
    for key, value in _ROWS.items():
        kept = _devices(new.get(key, ()))
        gone = [device for device in _devices(old.get(key, ())) if device not in kept]
        if gone:
            lifted = ({"major": major, "minor": minor, value: 0} for major, minor in gone)
            found[key] = [*lifted, *new.get(key, ())]
    return found


def _devices(rows: Iterable[Mapping[str, int]]) -> list[tuple[int, int]]:
    return [(row["major"], row["minor"]) for row in rows]
