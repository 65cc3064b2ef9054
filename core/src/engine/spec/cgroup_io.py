"""linux.resources.blockIO as writes to v1 and v2 files (cgroup-v1/blkio-controller.rst, cgroup-v2.rst "IO", bfq(5)).

A throttle is obeyed by every device; on v1 by reads and by writes that go to it directly, since nobody knows there
whose page the kernel writes back later. A weight is obeyed only by a device whose scheduler is bfq, or on v2 by one
that the io.cost model is enabled for: what no device obeys is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from engine.errors import InvalidInput, Unsupported
from engine.spec.cgroup_checks import THROTTLES
from engine.spec.cgroup_limits import Limit, size
from engine.spec.cgroup_machine import BFQ, IOCOST, Machine
from engine.spec.runtime import BlockIO

_FILES: Mapping[str, tuple[str, str]] = dict(
    zip(
        THROTTLES,
        (
            ("blkio.throttle.read_bps_device", "rbps"), ("blkio.throttle.write_bps_device", "wbps"),
            ("blkio.throttle.read_iops_device", "riops"), ("blkio.throttle.write_iops_device", "wiops"),
        ),
        strict=True,
    )
)  # fmt: skip
"""Each throttle's file on v1, and its word in io.max on v2."""
_WORDS = dict(zip(THROTTLES, ("reading", "writing", "read operations", "write operations"), strict=True))
LOWEST, HIGHEST = 10, 1_000
"""Weights of the specification, v1 and bfq."""


def controller(version: int) -> str:
    """Return the controller's name, which is another one on v1."""
    return "blkio" if version == 1 else "io"


def weight_v2(weight: int) -> int:
    """Return io.weight (1 to 10,000) for a weight of 10 to 1,000, on the straight line between their ends."""
    return 1 + (weight - LOWEST) * 9_999 // (HIGHEST - LOWEST)


def weight_v1(weight: int) -> int:
    """Return the weight of 10 to 1,000 whose io.weight comes nearest: the way back of `weight_v2`."""
    return LOWEST + round((weight - 1) * (HIGHEST - LOWEST) / 9_999)


def writes(block: BlockIO, machine: Machine, version: int, driver: str) -> list[Limit]:
    """Return the writes, weights first. Raises `Unsupported` for a weight that no device, or not that one, obeys."""
    _refuse_leaf(block, driver)
    found = []
    if weight := block.get("weight"):
        if not machine.weights:
            raise _disobeyed("blockIO.weight", "no block device here obeys weights", driver)
        found += [_weight("blockIO.weight", "default", weight, how, version) for how in _ways(machine)]
    for row in block.get("weightDevice") or []:
        device = device_name(row)
        if row.get("weight") and device not in machine.weights:
            raise _disobeyed("blockIO.weightDevice", f"the block device {device} does not obey weights", driver)
        how = machine.weights.get(device, BFQ)
        found.append(_weight("blockIO.weightDevice", device, row.get("weight") or 0, how, version))
    for key in THROTTLES:
        for one in cast("Mapping[str, Any]", block).get(key) or []:
            found.append(_throttle(key, device_name(one), one["rate"], version))
    return found


def _ways(machine: Machine) -> list[str]:
    return sorted(set(machine.weights.values()))


def _weight(name: str, key: str, weight: int, how: str, version: int) -> Limit:
    """Return the write of a weight; 0 makes a device go by the group's own again."""
    whose = "io weight" if key == "default" else f"io weight of device {key}"
    meaning = f"{whose} {weight or 'as the group has it'}"
    if version == 1:
        if key == "default":
            return Limit(name, "blkio", "blkio.bfq.weight", str(weight), meaning)
        return Limit(name, "blkio", "blkio.bfq.weight_device", f"{key} {weight}", meaning, key, f"{key} 0")
    scaled = weight_v2(weight) if how == IOCOST and weight else weight
    file = "io.weight" if how == IOCOST else "io.bfq.weight"
    return Limit(name, "io", file, f"{key} {scaled or 'default'}", meaning, key, f"{key} default")


def _throttle(name: str, device: str, rate: int, version: int) -> Limit:
    file, word = _FILES[name]
    unit = f"{size(rate)}/s" if "Bps" in name else f"{rate}/s"
    meaning = f"{_WORDS[name]} of device {device} {unit if rate else 'unlimited'}"
    if version == 1:
        return Limit(f"blockIO.{name}", "blkio", file, f"{device} {rate}", meaning, device, f"{device} 0")
    text = f"{device} {word}={rate or 'max'}"
    return Limit(f"blockIO.{name}", "io", "io.max", text, meaning, device, f"{device} {word}=max")


def device_name(row: Mapping[str, Any]) -> str:
    """Return the device of a row as the kernel writes it: ``8:0``. Raises `InvalidInput`."""
    major, minor = row.get("major"), row.get("minor")
    if not isinstance(major, int) or not isinstance(minor, int) or major < 0 or minor < 0:
        raise InvalidInput(
            f"linux.resources.blockIO has a device without numbers: {dict(row)}",
            fix="Give it major and minor, as in `ls -l /dev`.",
        )
    return f"{major}:{minor}"


def _refuse_leaf(block: BlockIO, driver: str) -> None:
    rows = block.get("weightDevice") or []
    if block.get("leafWeight") or any(row.get("leafWeight") for row in rows):
        raise Unsupported(
            "blockIO.leafWeight went from the kernel with the scheduler CFQ (Linux 5.0)",
            fix="Leave it out.",
            plugin=driver,
        )


def _disobeyed(name: str, what: str, driver: str) -> Unsupported:
    return Unsupported(
        f"{name} would have no effect: {what}",
        fix="Leave it out, or give the disk the scheduler bfq (echo bfq > /sys/block/DISK/queue/scheduler).",
        plugin=driver,
    )
