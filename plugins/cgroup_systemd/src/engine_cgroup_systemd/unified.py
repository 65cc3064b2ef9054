"""linux.resources.unified as properties: files of cgroup v2 that systemd writes must be told to it. Pure.

Whatever it has no property for (memory.oom.group, cpu.max.burst, hugetlb.2MB.max, …) is written to the delegated scope.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from engine.errors import InvalidInput, Unsupported
from engine.spec.cgroup_machine import DEFAULT_PERIOD
from engine_cgroup_systemd.block_io import path
from engine_cgroup_systemd.names import NAME
from engine_cgroup_systemd.values import INFINITY, Property, cpu_mask, quota_per_second

_UNITS = {"K": 10, "M": 20, "G": 30, "T": 40}
_IO_WORDS = {
    "rbps": "IOReadBandwidthMax", "wbps": "IOWriteBandwidthMax", "riops": "IOReadIOPSMax", "wiops": "IOWriteIOPSMax",
}  # fmt: skip
_REFUSED = {
    "io.bfq.weight": "--blkio-weight", "cpu.weight.nice": "cpu.weight", "cpuset.cpus.partition": "",
    "cpuset.cpus.exclusive": "",
}  # fmt: skip
"""Files that systemd writes along with others, and what to use instead."""


def properties(files: Mapping[str, str]) -> list[Property]:
    """Return the properties of the files that are systemd's. Raises `Unsupported`, and `InvalidInput` for values that
    are none."""
    found = []
    for file, text in files.items():
        if file in _REFUSED:
            instead = _REFUSED[file]
            raise Unsupported(
                f"{file} belongs to systemd, which has no property for it",
                fix=f"Use {instead}." if instead else "Leave it out, or use --cgroup-driver cgroupfs.",
                plugin=NAME,
            )
        try:
            found += [Property(*row, (f"unified.{file}",)) for row in _rows(file, text.strip())]
        except ValueError:
            raise InvalidInput(
                f"{file} cannot be {text!r}", fix="See the kernel's cgroup-v2.rst.", plugin=NAME
            ) from None
    return found


def _rows(file: str, text: str) -> list[tuple[str, str, Any]]:
    if file in _NUMBERS:
        return [(_NUMBERS[file], "t", count(text))]
    return _OTHERS[file](text) if file in _OTHERS else []


def count(text: str) -> int:
    """Return a number as the kernel reads it: ``max``, ``48M``, ``4096`` (lib/cmdline.c). Raises ValueError."""
    if text == "max":
        return INFINITY
    shift = _UNITS.get(text[-1:].upper(), 0)
    number = int(text[:-1] if shift else text, 0)
    if number < 0:
        raise ValueError(text)
    return number << shift


def _cpu_max(text: str) -> list[tuple[str, str, Any]]:
    words = text.split()
    period = int(words[1]) if len(words) > 1 else DEFAULT_PERIOD
    quota = INFINITY if words[0] == "max" else quota_per_second(int(words[0]), period)
    return [("CPUQuotaPeriodUSec", "t", period), ("CPUQuotaPerSecUSec", "t", quota)]


def _io_max(text: str) -> list[tuple[str, str, Any]]:
    rows: dict[str, list[list[Any]]] = {}
    for line in text.splitlines():
        device, *pairs = line.split()
        for pair in pairs:
            word, _, value = pair.partition("=")
            if word not in _IO_WORDS:
                raise ValueError(line)
            rows.setdefault(_IO_WORDS[word], []).append([path(device), count(value)])
    return [(name, "a(st)", values) for name, values in rows.items()]


def _io_weight(text: str) -> list[tuple[str, str, Any]]:
    rows: list[tuple[str, str, Any]] = []
    devices: list[list[Any]] = []
    for line in text.splitlines():
        *device, weight = line.split()
        if device in ([], ["default"]):
            rows.append(("IOWeight", "t", int(weight)))
        else:
            devices.append([path(device[0]), INFINITY if weight == "default" else int(weight)])
    return [*rows, ("IODeviceWeight", "a(st)", devices)] if devices else rows


def _io_latency(text: str) -> list[tuple[str, str, Any]]:
    pairs = [line.split() for line in text.splitlines()]
    rows = [[path(device), int(target.removeprefix("target="))] for device, target in pairs]
    return [("IODeviceLatencyTargetUSec", "a(st)", rows)]


_NUMBERS = {
    "cpu.weight": "CPUWeight", "memory.min": "MemoryMin", "memory.low": "MemoryLow", "memory.high": "MemoryHigh",
    "memory.max": "MemoryMax", "memory.swap.max": "MemorySwapMax", "pids.max": "TasksMax",
}  # fmt: skip
_OTHERS: Mapping[str, Callable[[str], list[tuple[str, str, Any]]]] = {
    "cpu.max": _cpu_max,
    "cpu.idle": lambda text: [("CPUWeight", "t", 0 if int(text) else 100)],
    "cpuset.cpus": lambda text: [("AllowedCPUs", "ay", cpu_mask(text))],
    "cpuset.mems": lambda text: [("AllowedMemoryNodes", "ay", cpu_mask(text))],
    "io.max": _io_max,
    "io.weight": _io_weight,
    "io.latency": _io_latency,
}
