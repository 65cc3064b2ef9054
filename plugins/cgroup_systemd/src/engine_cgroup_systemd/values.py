"""A property of a unit, and values in systemd's own units (org.freedesktop.systemd1(5)). Pure."""

from __future__ import annotations

from typing import Any

from engine.spec.cgroup_limits import UNLIMITED
from engine.tuples import NamedTuple

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
