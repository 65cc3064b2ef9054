"""The block devices of the machine: which disk a device is part of, and which disks obey weights (sysfs(5))."""

from __future__ import annotations

import os

_SYS = "/sys/block"


def with_scheduler(name: str) -> list[str]:
    """Return the disks that have this I/O scheduler now, as ``major:minor``, sorted by the kernel's name of them."""
    found = []
    for disk in sorted(os.listdir(_SYS)) if os.path.isdir(_SYS) else ():
        if f"[{name}]" in _read(f"{_SYS}/{disk}/queue/scheduler"):
            found.append(_read(f"{_SYS}/{disk}/dev"))
    return [device for device in found if device]


def with_cost_model(cgroup_mount: str) -> list[str]:
    """Return the disks that the io.cost model is enabled for, by the top directory of the v2 hierarchy."""
    lines = _read(f"{cgroup_mount}/io.cost.qos").splitlines()
    return [line.split()[0] for line in lines if "enable=1" in line.split()]


def disk_of(major: int, minor: int) -> tuple[int, int]:
    """Return the numbers of the whole disk that a block device is, or is a partition of (itself when unknown)."""
    directory = f"/sys/dev/block/{major}:{minor}"
    if not os.path.exists(f"{directory}/partition"):
        return major, minor
    whole = _read(f"{os.path.dirname(os.path.realpath(directory))}/dev")
    first, _, second = whole.partition(":")
    return (int(first), int(second)) if second else (major, minor)


def huge_page_sizes() -> tuple[str, ...]:
    """Return the sizes of huge pages as cgroup files name them (``64KB``, ``2MB``, ``1GB``), the smallest first."""
    place = "/sys/kernel/mm/hugepages"
    names = os.listdir(place) if os.path.isdir(place) else []
    return tuple(map(_unit, sorted(int(name.partition("-")[2].removesuffix("kB")) for name in names)))


def _unit(kibibytes: int) -> str:
    for unit, name in ((1 << 20, "GB"), (1 << 10, "MB")):
        if kibibytes >= unit:
            return f"{kibibytes // unit}{name}"
    return f"{kibibytes}KB"


def _read(path: str) -> str:
    """Return the file's text without the newline, or "" where this disk or kernel has none."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""
