"""Sizes, processors and durations as people type them. Pure; raises `engine.errors.InvalidInput`."""

from __future__ import annotations

import re

from engine.spec.refusal import refusal

UNLIMITED = -1
PERIOD = 100_000
"""Microseconds of ``linux.resources.cpu.period`` for ``--cpus``, the kernel's own default (sched-bwc)."""
NANO = 1_000_000_000
LARGEST = (1 << 63) - 1
"""What the kernel's limits and the OCI runtime-spec's int64 hold."""

_SIZE = r"(\d+(?:\.\d+)?) ?(?:([bkmgtp])(?:i?b)?)?"
_POWERS = {"b": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_NUMBER = r"\d{1,9}(?:\.\d{1,9})?|\.\d{1,9}"
_PART = r"(\d+(?:\.\d+)?)(ms|s|m|h|d)"
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_CPUSET = r"\d{1,5}(?:-\d{1,5})?(?:,\d{1,5}(?:-\d{1,5})?)*"


def parse_size(text: str, flag: str, *, unlimited: bool = False, smallest: int = 1) -> int:
    """Return bytes: a number with b, k, m, g, t or p (powers of 1024, as docker-run(1) has it), or none for bytes.

    With ``unlimited``, ``-1`` is `UNLIMITED`.
    """
    if unlimited and text == "-1":
        return UNLIMITED
    match = re.fullmatch(_SIZE, text, re.IGNORECASE)
    if not match:
        also = ", or -1 for no limit" if unlimited else ""
        raise refusal(flag, text, f"is not a size: a number and b, k, m, g or t{also}", "512m")
    size = int(float(match[1]) * 1024 ** _POWERS[(match[2] or "b").lower()])
    if size < smallest:
        raise refusal(flag, text, f"is less than the smallest size that works, {smallest} bytes", "512m")
    if size > LARGEST:
        raise refusal(flag, text, "is more than the kernel can count", "512m")
    return size


def parse_cpus(text: str, flag: str = "--cpus") -> int:
    """Return billionths of a processor's time ("1.5" is 1,500,000,000). At least a hundredth."""
    if not re.fullmatch(_NUMBER, text):
        raise refusal(flag, text, "is not a number of processors", "1.5")
    nano = round(float(text) * NANO)
    if nano < NANO // 100:
        raise refusal(flag, text, "is less than the smallest share that works, 0.01", "0.5")
    return nano


def quota_of(nano_cpus: int) -> int:
    """Return ``linux.resources.cpu.quota`` in microseconds of each `PERIOD`."""
    return nano_cpus * PERIOD // NANO


def parse_duration(text: str, flag: str) -> float:
    """Return seconds: a number of seconds, or parts such as "1m30s", "500ms", "2h"."""
    if re.fullmatch(_NUMBER, text):
        return float(text)
    parts = re.findall(_PART, text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise refusal(flag, text, "is not a time: seconds, or numbers with ms, s, m, h or d", "1m30s")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def parse_whole(text: str, flag: str, example: str) -> int:
    """Return a whole number, perhaps negative."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > 18:
        raise refusal(flag, text, "is not a whole number", example)
    return int(text)


def parse_cpuset(text: str, flag: str = "--cpuset-cpus") -> str:
    """Return the list as cpuset(7) has it ("0-2,5"), checked for its form and that ranges run upwards."""
    if not re.fullmatch(_CPUSET, text):
        raise refusal(flag, text, "is not a list of processors", "0-2,5")
    for part in text.split(","):
        first, _, last = part.partition("-")
        if last and int(last) < int(first):
            raise refusal(flag, text, f"has the range {part} that runs backwards", "0-2,5")
    return text


def cpuset_members(text: str) -> set[int]:
    """Return the numbers in a list that `parse_cpuset` accepted, or that the kernel wrote."""
    members: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        members.update(range(int(first), int(last or first) + 1))
    return members
