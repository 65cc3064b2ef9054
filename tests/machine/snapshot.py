"""The things on a machine that a container engine makes, as comparable values. Reads only /proc, /sys, directories."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

STATE_PLACES = (Path("/var/lib/engine"), Path("/run/engine"), Path("/dev/shm"), Path("/run/netns"))
"""Where an engine without --root and --state keeps what it makes, and where shared memory and named namespaces are."""


class Thing(NamedTuple):
    """One thing on the machine. ``name`` identifies it; ``details`` is more text in which a mark may be found."""

    kind: str
    name: str
    details: str = ""


def take() -> frozenset[Thing]:
    """Return everything there is now, but processes (they come and go: see `processes`)."""
    return frozenset([*mounts(), *cgroups(), *loop_devices(), *links(), *state_files()])


def mounts() -> Iterator[Thing]:
    """Yield each mount of this mount namespace."""
    for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split()
        yield Thing("mount", f"{fields[4]} (id {fields[0]})", f"{fields[3]} {after}")


def cgroup_hierarchies() -> list[str]:
    """Return where cgroup file systems are mounted, v1 and v2."""
    lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    pairs = ((line.partition(" - ")[0].split()[4], line.partition(" - ")[2].split()[0]) for line in lines)
    return [place for place, fstype in pairs if fstype in {"cgroup", "cgroup2"}]


def cgroups() -> Iterator[Thing]:
    """Yield each cgroup of each hierarchy."""
    for hierarchy in cgroup_hierarchies():
        for directory, _, _ in os.walk(hierarchy):
            yield Thing("cgroup", directory)


def loop_devices() -> Iterator[Thing]:
    """Yield each loop device that has a file behind it (a detached one has none)."""
    for device in Path("/sys/block").glob("loop*"):
        backing = device / "loop/backing_file"
        if backing.exists():
            yield Thing("loop device", f"{device.name} on {backing.read_text().strip()}")


def links() -> Iterator[Thing]:
    """Yield each network link of this network namespace."""
    return (Thing("link", name) for name in os.listdir("/sys/class/net"))


def state_files() -> Iterator[Thing]:
    """Yield what lies in the engine's default places, two levels deep, and in the machine's shared ones."""
    for place in STATE_PLACES:
        for file in (*place.glob("*"), *place.glob("*/*")):
            yield Thing("file", str(file))
