"""A group's counters, from whichever hierarchy has them: nanoseconds, bytes, counts (cgroup-v2.rst, cgroup-v1/*.rst).

Reading needs no privilege but the files' own permissions.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable

from engine.linux.cgroups import Group, parse_flat_keyed, parse_nested_keyed, read_value
from engine.tuples import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

_NO_LIMIT_V1 = 2**62
"""v1 shows "no memory limit" as the largest multiple of a page below 2^63."""
_Names = tuple[tuple[str, str], ...]
_CPU_STAT: _Names = (
    ("cpu_ns", "usage_usec"), ("cpu_user_ns", "user_usec"), ("cpu_system_ns", "system_usec"), ("periods", "nr_periods"),
    ("throttled_periods", "nr_throttled"), ("throttled_ns", "throttled_usec"),
)  # fmt: skip
_MEMORY_V1: _Names = (
    ("memory_cache_bytes", "total_cache"), ("memory_anon_bytes", "total_rss"), ("memory_shmem_bytes", "total_shmem"),
    ("memory_mapped_bytes", "total_mapped_file"), ("memory_dirty_bytes", "total_dirty"),
    ("memory_inactive_file_bytes", "total_inactive_file"), ("memory_swap_bytes", "total_swap"),
    ("page_faults", "total_pgfault"), ("major_page_faults", "total_pgmajfault"),
)  # fmt: skip
_MEMORY_V2: _Names = (
    ("memory_cache_bytes", "file"), ("memory_anon_bytes", "anon"), ("memory_shmem_bytes", "shmem"),
    ("memory_mapped_bytes", "file_mapped"), ("memory_dirty_bytes", "file_dirty"),
    ("memory_inactive_file_bytes", "inactive_file"), ("memory_kernel_bytes", "kernel"), ("page_faults", "pgfault"),
    ("major_page_faults", "pgmajfault"),
)  # fmt: skip
_IO_V1 = (
    ("io_read_bytes", "io_service_bytes", "Read"), ("io_write_bytes", "io_service_bytes", "Write"),
    ("io_reads", "io_serviced", "Read"), ("io_writes", "io_serviced", "Write"),
)  # fmt: skip
_IO_V2: _Names = (
    ("io_read_bytes", "rbytes"), ("io_write_bytes", "wbytes"), ("io_reads", "rios"), ("io_writes", "wios"),
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


def pressures(group: Group) -> dict[str, dict[str, dict[str, Any]]]:
    """Return, for ``cpu``, ``memory`` and ``io``, how long ``some`` and all (``full``) processes waited for it.

    ``avg10``, ``avg60``, ``avg300``: per cent of that many seconds; ``total``: microseconds (accounting/psi.rst). Only
    the v2 hierarchy has them, also where the controllers are on v1; without pressure accounting there is none.
    """
    found = {}
    for what in ("cpu", "memory", "io") if group.v2 else ():
        lines = parse_nested_keyed(_text(group.v2, f"{what}.pressure"))
        if lines:
            found[what] = {kind: _pressure(values) for kind, values in lines.items()}
    return found


def _pressure(values: dict[str, str]) -> dict[str, Any]:
    return {name: int(text) if name == "total" else float(text) for name, text in values.items()}


def _cpu_v2(directory: str) -> dict[str, int]:
    stat = _keyed(directory, "cpu.stat")
    return {name: stat[key] * (1000 if key.endswith("usec") else 1) for name, key in _CPU_STAT if key in stat}


def _cpuacct_v1(directory: str) -> dict[str, int]:
    files = (("cpu_ns", "cpuacct.usage"), ("cpu_user_ns", "cpuacct.usage_user"), ("cpu_system_ns", "cpuacct.usage_sys"))
    return _numbers(directory, files)


def _cpu_v1(directory: str) -> dict[str, int]:
    keys = (("periods", "nr_periods"), ("throttled_periods", "nr_throttled"), ("throttled_ns", "throttled_time"))
    return _pick(_keyed(directory, "cpu.stat"), keys)


def _memory_v1(directory: str) -> dict[str, int]:
    files = (
        ("memory_bytes", "memory.usage_in_bytes"), ("memory_peak_bytes", "memory.max_usage_in_bytes"),
        ("memory_limit_bytes", "memory.limit_in_bytes"), ("memory_kernel_bytes", "memory.kmem.usage_in_bytes"),
        ("memory_limit_hits", "memory.failcnt"),
    )  # fmt: skip
    found = _numbers(directory, files)
    if found.get("memory_limit_bytes", 0) > _NO_LIMIT_V1:
        del found["memory_limit_bytes"]
    found |= _pick(_keyed(directory, "memory.stat"), _MEMORY_V1)
    return found | _pick(_keyed(directory, "memory.oom_control"), (("oom_kills", "oom_kill"),))


def _memory_v2(directory: str) -> dict[str, int]:
    files = (
        ("memory_bytes", "memory.current"), ("memory_peak_bytes", "memory.peak"), ("memory_limit_bytes", "memory.max"),
        ("memory_swap_bytes", "memory.swap.current"),
    )  # fmt: skip
    found = _numbers(directory, files) | _pick(_keyed(directory, "memory.stat"), _MEMORY_V2)
    events = (("oom_kills", "oom_kill"), ("oom_events", "oom"), ("memory_limit_hits", "max"))
    return found | _pick(_keyed(directory, "memory.events"), events)


def _pids(directory: str) -> dict[str, int]:
    found = _numbers(directory, (("pids", "pids.current"), ("pids_limit", "pids.max")))
    return found | _pick(_keyed(directory, "pids.events"), (("pids_limit_hits", "max"),))


def _io_v1(directory: str) -> dict[str, int]:
    return {name: _of_all_devices(directory, file, word) for name, file, word in _IO_V1}


def _of_all_devices(directory: str, file: str, word: str) -> int:
    """Return the sum over the devices; each counts where it is throttled or scheduled by bfq, or in both places."""
    found: dict[str, int] = {}
    for policy in ("throttle", "bfq"):
        for line in _text(directory, f"blkio.{policy}.{file}_recursive").splitlines():
            words = line.split()
            if len(words) == 3 and words[1] == word:
                found[words[0]] = max(found.get(words[0], 0), int(words[2]))
    return sum(found.values())


def _io_v2(directory: str) -> dict[str, int]:
    if not os.path.exists(f"{directory}/io.stat"):
        return {}
    devices = parse_nested_keyed(_text(directory, "io.stat")).values()
    return {name: sum(int(values.get(key, 0)) for values in devices) for name, key in _IO_V2}


_Reader = Callable[[str], dict[str, int]]
_READERS: tuple[tuple[str, _Reader, _Reader], ...] = (
    ("cpuacct", _cpuacct_v1, _cpu_v2),
    ("cpu", _cpu_v1, _cpu_v2),
    ("memory", _memory_v1, _memory_v2),
    ("pids", _pids, _pids),
    ("blkio", _io_v1, _io_v2),
)


def _numbers(directory: str, files: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Return the files that exist and hold a number; ``max`` and a file of another kernel are left out."""
    texts = {name: _text(directory, file) for name, file in files}
    return {name: int(text) for name, text in texts.items() if text.isdigit()}


def _keyed(directory: str, file: str) -> dict[str, int]:
    return parse_flat_keyed(_text(directory, file))


def _pick(values: dict[str, int], names: Iterable[tuple[str, str]]) -> dict[str, int]:
    return {name: values[key] for name, key in names if key in values}


def _text(directory: str, file: str) -> str:
    """Return the file's text, or "" where this kernel or this group does not have it."""
    try:
        return read_value(directory, file)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP}:
            return ""
        raise
