"""Whether the kernel holds what systemd was asked for: it answers before it writes, and only logs what is refused."""

from __future__ import annotations

import os
from collections.abc import Sequence

from engine.contracts.cgroup_files import directory, line_of
from engine.contracts.cgroup_memory import refusal
from engine.errors import KernelError
from engine.linux.cgroups import Group, read_value
from engine.spec.cgroup_limits import Limit
from engine.tuples import NamedTuple
from engine_cgroup_systemd.names import NAME
from engine_cgroup_systemd.unified import count
from engine_cgroup_systemd.values import Property

_PAGE = 4096
_UNLIMITED_V1 = 2**62
_QUOTA_SLACK = 100
"""systemd rounds a quota up to a whole percent of its period."""


class Expected(NamedTuple):
    """A file of the group, the text that would have been written to it, and the limit in words.

    ``key`` begins the line that it is about, in a file with one for each device.
    """

    directory: str
    file: str
    value: str
    meaning: str
    key: str = ""


def expected(group: Group, limits: Sequence[Limit], wanted: Sequence[Property]) -> list[Expected]:
    """Return what must be found for the limits that properties hold."""
    held = {name for one in wanted for name in one.limits}
    return [
        Expected(directory(group, limit.controller), limit.file, limit.value, limit.meaning, limit.key)
        for limit in limits
        if limit.name in held
    ]


def check_made(directories: Sequence[str]) -> None:
    """Raise `KernelError` when systemd has not made the scope in one of the hierarchies (v1, "DisableControllers=")."""
    for path in directories:
        if not os.path.isdir(path):
            raise _not_handed_on(path)


def check(rows: Sequence[Expected]) -> None:
    """Raise `KernelError` for the first limit that the kernel does not hold, `Conflict` if more memory is in use."""
    for row in rows:
        if not os.path.exists(f"{row.directory}/{row.file}"):
            raise _not_handed_on(f"{row.directory}/{row.file}")
        found = read_value(row.directory, row.file)
        good = same_line(row.value, line_of(found, row.key)) if row.key else same(row.file, row.value, found)
        if not good:
            raise refusal(row.directory, row.file, row.value, plugin=NAME) or KernelError(
                f"systemd was asked for the {row.meaning}, but {row.directory}/{row.file} holds {found}",
                fix="See journalctl -b for systemd's reason; a limit below what is in use is refused by the kernel.",
                plugin=NAME,
            )


def _not_handed_on(path: str) -> KernelError:
    return KernelError(
        f"systemd made the scope without {path}: its slice does not hand on that controller",
        fix="Look for DisableControllers= of the slice (systemctl cat) and for processes in it, or choose another "
        "--cgroup-parent.",
        plugin=NAME,
    )


def same(file: str, wanted: str, found: str) -> bool:
    """Return whether a file's text says what was wanted, as the kernel and systemd round it."""
    if file in ("cpuset.cpus", "cpuset.mems"):
        return _members(wanted) == _members(found)
    pairs = list(zip(wanted.split(), found.split(), strict=False))
    return bool(pairs) and all(_same_number(file, one, other) for one, other in pairs)


def same_line(wanted: str, found: str) -> bool:
    """Return whether a device's line holds every value of another; without a line the device has no limit."""
    there = found.split()[1:]
    return all(word in there or word.endswith(("=max", "default")) for word in wanted.split()[1:])


def _same_number(file: str, wanted: str, found: str) -> bool:
    if wanted[-1:] in "KMGTkmgt":
        wanted = str(count(wanted))
    one, other = _number(wanted), _number(found)
    if one is None or other is None:
        return one is other
    if file in ("cpu.max", "cpu.cfs_quota_us"):
        return abs(one - other) <= max(one, other) // _QUOTA_SLACK + 10_000
    if file.startswith("memory."):
        return one // _PAGE == other // _PAGE
    return one == other


def _number(text: str) -> int | None:
    """Return the number, or None for no limit in any of the kernel's ways to say so."""
    if text in ("max", "-1"):
        return None
    number = int(text)
    return None if number >= _UNLIMITED_V1 else number


def _members(text: str) -> set[int]:
    members: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        members.update(range(int(first), int(last or first) + 1))
    return members
