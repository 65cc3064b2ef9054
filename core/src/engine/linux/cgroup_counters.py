"""A group's counters, from whichever hierarchy has them: nanoseconds, bytes, counts (cgroup-v2.rst, cgroup-v1/*.rst).

Reading needs no privilege but the files' own permissions.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from engine.linux.cgroups import Group, parse_flat_keyed, read_value

_NO_LIMIT_V1 = 2**62
"""v1 shows "no memory limit" as the largest multiple of a page below 2^63."""
_CPU_STAT = (
    ("cpu_ns", "usage_usec"), ("cpu_user_ns", "user_usec"), ("cpu_system_ns", "system_usec"), ("periods", "nr_periods"),
    ("throttled_periods", "nr_throttled"), ("throttled_ns", "throttled_usec"),
)  # fmt: skip


def counters(group: Group) -> dict[str, int]:
    """Return the counters that this machine has for the group, under the names of `engine.contracts.cgroup.Statistics`.

    Raises FileNotFoundError when the group is gone.
    """
    found: dict[str, int] = {}
    for path in group.directories:
        os.stat(path)
    for controller, read_v1, read_v2 in _READERS:
        if controller in group.v1:
            found |= read_v1(group.v1[controller])
        elif group.v2:
            found |= read_v2(group.v2) | found
    return found


def _cpu_v2(directory: str) -> dict[str, int]:
    stat = _keyed(directory, "cpu.stat")
    return {name: stat[key] * (1000 if key.endswith("usec") else 1) for name, key in _CPU_STAT if key in stat}


def _cpuacct_v1(directory: str) -> dict[str, int]:
    files = (("cpu_ns", "cpuacct.usage"), ("cpu_user_ns", "cpuacct.usage_user"), ("cpu_system_ns", "cpuacct.usage_sys"))
    return _numbers(directory, files)


def _cpu_v1(directory: str) -> dict[str, int]:
    stat = _keyed(directory, "cpu.stat")
    keys = (("periods", "nr_periods"), ("throttled_periods", "nr_throttled"), ("throttled_ns", "throttled_time"))
    return {name: stat[key] for name, key in keys if key in stat}


def _memory_v1(directory: str) -> dict[str, int]:
    files = (
        ("memory_bytes", "memory.usage_in_bytes"), ("memory_peak_bytes", "memory.max_usage_in_bytes"),
        ("memory_limit_bytes", "memory.limit_in_bytes"),
    )  # fmt: skip
    found = _numbers(directory, files)
    if found.get("memory_limit_bytes", 0) > _NO_LIMIT_V1:
        del found["memory_limit_bytes"]
    found |= _pick(_keyed(directory, "memory.stat"), "memory_cache_bytes", "total_cache")
    return found | _pick(_keyed(directory, "memory.oom_control"), "oom_kills", "oom_kill")


def _memory_v2(directory: str) -> dict[str, int]:
    files = (
        ("memory_bytes", "memory.current"), ("memory_peak_bytes", "memory.peak"), ("memory_limit_bytes", "memory.max"),
    )  # fmt: skip
    found = _numbers(directory, files) | _pick(_keyed(directory, "memory.stat"), "memory_cache_bytes", "file")
    return found | _pick(_keyed(directory, "memory.events"), "oom_kills", "oom_kill")


def _pids(directory: str) -> dict[str, int]:
    return _numbers(directory, (("pids", "pids.current"), ("pids_limit", "pids.max")))


_Reader = Callable[[str], dict[str, int]]
_READERS: tuple[tuple[str, _Reader, _Reader], ...] = (
    ("cpuacct", _cpuacct_v1, _cpu_v2),
    ("cpu", _cpu_v1, _cpu_v2),
    ("memory", _memory_v1, _memory_v2),
    ("pids", _pids, _pids),
)


def _numbers(directory: str, files: tuple[tuple[str, str], ...]) -> dict[str, int]:
    """Return the files that exist and hold a number; ``max`` and a file of another kernel are left out."""
    texts = {name: _text(directory, file) for name, file in files}
    return {name: int(text) for name, text in texts.items() if text.isdigit()}


def _keyed(directory: str, file: str) -> dict[str, int]:
    return parse_flat_keyed(_text(directory, file))


def _pick(values: dict[str, int], name: str, key: str) -> dict[str, int]:
    return {name: values[key]} if key in values else {}


def _text(directory: str, file: str) -> str:
    """Return the file's text, or "" where this kernel or this group does not have it."""
    try:
        return read_value(directory, file)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP}:
            return ""
        raise
