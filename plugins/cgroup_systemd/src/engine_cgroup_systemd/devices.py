"""A device policy as DevicePolicy= and DeviceAllow= (systemd.resource-control(5)). Pure.

systemd names a device by a node, ``/dev/char/1:3``, which need not exist, and a whole major number by the driver's name
in /proc/devices, ``char-pts``. It has no list of what to deny.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.errors import Unsupported
from engine.spec.cgroup_devices import ANY, Device, Policy
from engine_cgroup_systemd.names import NAME

Drivers = Mapping[tuple[str, int], str]
"""Type and major number to the driver's name."""

_LONG = {"c": "char", "b": "block"}


def drivers(proc_devices: str) -> dict[tuple[str, int], str]:
    """Return the contents of /proc/devices as a table."""
    found: dict[tuple[str, int], str] = {}
    kind = "c"
    for line in proc_devices.splitlines():
        if line.endswith("devices:"):
            kind = "c" if line.startswith("Character") else "b"
        elif line.strip():
            major, name = line.split(maxsplit=1)
            found.setdefault((kind, int(major)), name)
    return found


def allowed(policy: Policy, known: Drivers) -> tuple[str, list[tuple[str, str]]]:
    """Return the value of DevicePolicy= and the rows of DeviceAllow=. Raises `Unsupported` for what it cannot say."""
    if not policy.allow:
        return "strict", [(_specifier(device, known), access) for device, access in policy.exceptions]
    if policy.exceptions:
        raise Unsupported(
            f"systemd cannot deny single devices and allow the rest ({policy.text()})",
            fix="Deny all devices first and list what is allowed, or use --cgroup-driver cgroupfs.",
            plugin=NAME,
        )
    return "auto", []


def _specifier(device: Device, known: Drivers) -> str:
    kind = _LONG[device.type]
    if device.major == ANY and device.minor == ANY:
        return f"{kind}-*"
    if ANY not in (device.minor, device.major):
        return f"/dev/{kind}/{device.major}:{device.minor}"
    name = known.get((device.type, device.major))
    if name is None or device.minor != ANY:
        raise Unsupported(
            f"systemd cannot name the devices {device.text()}: it knows single nodes, and drivers of /proc/devices",
            fix="List the devices one by one, or use --cgroup-driver cgroupfs.",
            plugin=NAME,
        )
    return f"{kind}-{name}"
