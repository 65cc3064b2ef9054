"""linux.resources.blockIO as properties (systemd.resource-control(5), "IO"). v2 alone; pure.

On v1 systemd knows bytes a second alone and squeezes weights into a part of their range, so there the files of the
delegated scope are written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from engine.spec.cgroup_io import device_name, weight_v2
from engine.spec.cgroup_machine import BFQ, Machine
from engine.spec.runtime import BlockIO
from engine_cgroup_systemd.values import INFINITY, Property

_THROTTLES = {
    "throttleReadBpsDevice": "IOReadBandwidthMax", "throttleWriteBpsDevice": "IOWriteBandwidthMax",
    "throttleReadIOPSDevice": "IOReadIOPSMax", "throttleWriteIOPSDevice": "IOWriteIOPSMax",
}  # fmt: skip
_UNSET = INFINITY
"""A weight that systemd leaves to the kernel."""


def properties(block: BlockIO, here: Machine) -> list[Property]:
    """Return the properties. Devices are named by their numbers, for which no node has to exist."""
    found = []
    if weight := block.get("weight"):
        ways = set(here.weights.values())
        value = bfq_weight(weight) if BFQ in ways else weight_v2(weight)
        found.append(Property("IOWeight", "t", value, ("blockIO.weight",)))
    rows = []
    for row in block.get("weightDevice") or []:
        device = device_name(row)
        scale = bfq_weight if here.weights.get(device, BFQ) == BFQ else weight_v2
        rows.append([path(device), scale(row["weight"]) if row.get("weight") else _UNSET])
    if rows:
        found.append(Property("IODeviceWeight", "a(st)", rows, ("blockIO.weightDevice",)))
    for key, name in _THROTTLES.items():
        throttles = cast("Mapping[str, Any]", block).get(key) or []
        if throttles:
            limits = [[path(device_name(one)), one["rate"] or INFINITY] for one in throttles]
            found.append(Property(name, "a(st)", limits, (f"blockIO.{key}",)))
    return found


def bfq_weight(weight: int) -> int:
    """Return the IOWeight that systemd writes as this weight to io.bfq.weight: it squeezes 100 to 10,000 into 1,000."""
    return weight if weight <= 100 else 100 + (weight - 100) * 11


def path(device: str) -> str:
    """Return a device as systemd names it."""
    return f"/dev/block/{device}"
