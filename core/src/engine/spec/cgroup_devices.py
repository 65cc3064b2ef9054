"""Device rules of a config.json as one policy that every hierarchy can hold: a default and its exceptions.

The specification's list is ordered and the last rule that matches decides. The v1 devices controller, the exceptions
of an eBPF program and systemd's DeviceAllow= know no order, so the list is played through once, here. What no set of
exceptions can say (denying a part of what a wildcard allows) is refused by name instead of being widened.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import InvalidInput, Unsupported
from engine.spec.cgroup_limits import Limit
from engine.spec.runtime import DeviceRule
from engine.tuples import NamedTuple

ANY = -1
"""Any major or minor number."""
ACCESS = "rwm"
"""Read, write, mknod: the order in which accesses are written."""


class Device(NamedTuple):
    """Devices: type ``c`` or ``b``, and their numbers (`ANY` for all)."""

    type: str
    major: int
    minor: int

    def covers(self, other: Device) -> bool:
        """Return whether every device of ``other`` is one of these."""
        return self.type == other.type and self.major in (ANY, other.major) and self.minor in (ANY, other.minor)

    def overlaps(self, other: Device) -> bool:
        """Return whether a device could be one of both."""
        return self.type == other.type and _meet(self.major, other.major) and _meet(self.minor, other.minor)

    def text(self) -> str:
        """Return it as the v1 files write it: ``c 1:3``, ``b 8:*``."""
        return f"{self.type} {_number(self.major)}:{_number(self.minor)}"


class Policy(NamedTuple):
    """``allow`` is what happens to a device of no exception; an exception turns that around for its accesses."""

    allow: bool
    exceptions: tuple[tuple[Device, str], ...]

    def text(self) -> str:
        """Return the policy in words."""
        verb, other = ("all", "but") if self.allow else ("none", "except")
        rows = ", ".join(f"{device.text()} {access}" for device, access in self.exceptions)
        return f"{verb}{f' {other} {rows}' if rows else ''}"


def policy(rules: Sequence[DeviceRule]) -> Policy:
    """Return what the rules amount to. What none of them names is denied, as soon as there is a rule.

    Raises `InvalidInput` for a rule that makes no sense, `Unsupported` for one that denies (or allows) only a part of
    what an earlier one allowed (or denied) with a wildcard.
    """
    allow, exceptions = False, dict[Device, frozenset[str]]()
    for index, rule in enumerate(rules):
        devices, access = _parse(rule, f"linux.resources.devices[{index}]")
        if not devices:
            allow, exceptions = bool(rule.get("allow")), {}
            continue
        for device in devices:
            if bool(rule.get("allow")) == allow:
                _withdraw(exceptions, device, access, index)
            else:
                exceptions[device] = exceptions.get(device, frozenset()) | access
    return Policy(allow, tuple((device, _sorted(access)) for device, access in exceptions.items() if access))


def v1(wanted: Policy) -> list[Limit]:
    """Return the writes that give a fresh v1 group the policy: forget everything inherited, then the exceptions."""
    reset, exception = ("devices.allow", "devices.deny") if wanted.allow else ("devices.deny", "devices.allow")
    verb = "deny" if wanted.allow else "allow"
    writes = [Limit("devices", "devices", reset, "a", f"device rules: {'all' if wanted.allow else 'none'} allowed")]
    return writes + [_write(exception, verb, device, access) for device, access in wanted.exceptions]


def v1_difference(wanted: Policy, present: Policy) -> list[Limit]:
    """Return the writes that turn the present policy of a running v1 group into another, without a moment of denial.

    Both deny by default: then first what is new is allowed, then what is gone is denied. Otherwise the policy is reset.
    """
    if wanted.allow or present.allow:
        return v1(wanted)
    now, then = dict(present.exceptions), dict(wanted.exceptions)
    allowed = [("devices.allow", "allow", *row) for row in wanted.exceptions if set(row[1]) - set(now.get(row[0], ""))]
    gone = [(device, _sorted(frozenset(access) - set(then.get(device, "")))) for device, access in present.exceptions]
    denied = [("devices.deny", "deny", device, access) for device, access in gone if access]
    return [_write(*row) for row in allowed + denied]


def _write(file: str, verb: str, device: Device, access: str) -> Limit:
    rule = f"{device.text()} {access}"
    return Limit("devices", "devices", file, rule, f"{verb} device {rule}")


def of_v1_list(text: str) -> Policy:
    """Return the policy that a v1 ``devices.list`` shows; the kernel keeps the exceptions of an allowing group back."""
    rows = []
    for line in text.splitlines():
        kind, numbers, access = line.split()
        if kind == "a":
            return Policy(True, ())
        major, minor = (ANY if part == "*" else int(part) for part in numbers.split(":"))
        rows.append((Device(kind, major, minor), _sorted(frozenset(access))))
    return Policy(False, tuple(rows))


def _parse(rule: DeviceRule, where: str) -> tuple[list[Device], frozenset[str]]:
    """Return the devices of a rule, none meaning all of them, and its accesses."""
    kind, access = rule.get("type") or "a", frozenset(rule.get("access") or ACCESS)
    major, minor = _or_any(rule.get("major")), _or_any(rule.get("minor"))
    if kind not in ("a", "b", "c", "u") or access - set(ACCESS) or major < ANY or minor < ANY:
        raise InvalidInput(
            f"{where} is not a device rule: {dict(rule)}",
            fix="Its type is a, b or c, its access made of r, w and m, its numbers are 0 or more.",
        )
    if kind == "a" and major == minor == ANY:
        if access != frozenset(ACCESS):
            raise Unsupported(
                f"{where} is about some accesses to every device, which no hierarchy can hold",
                fix="Give it the access rwm, or a rule for the type c and one for the type b.",
            )
        return [], access
    kinds = {"a": "cb", "u": "c"}.get(kind, kind)
    return [Device(one, major, minor) for one in kinds], access


def _withdraw(exceptions: dict[Device, frozenset[str]], device: Device, access: frozenset[str], index: int) -> None:
    for other, held in list(exceptions.items()):
        if device.covers(other):
            exceptions[other] = held - access
        elif device.overlaps(other) and held & access:
            raise Unsupported(
                f"linux.resources.devices[{index}] takes {device.text()} out of {other.text()}, "
                "which no hierarchy can hold",
                fix="List the devices that are wanted one by one instead of with a wildcard.",
            )


def _meet(one: int, other: int) -> bool:
    return ANY in (one, other) or one == other


def _or_any(number: int | None) -> int:
    return ANY if number is None else number


def _number(number: int) -> str:
    return "*" if number == ANY else str(number)


def _sorted(access: frozenset[str]) -> str:
    return "".join(letter for letter in ACCESS if letter in access)
