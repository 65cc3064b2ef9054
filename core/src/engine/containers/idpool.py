"""Which of the host's ids the engine may give to containers: a setting, /etc/subuid and /etc/subgid, or a default.

The engine's own processes and files never have these ids. Two engine roots do not know of each other's containers:
where they are not to share ids, each needs a range of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import InvalidInput, NotFound
from engine.metadata.id_ranges import Range

USERS = ("engine", "containers")
"""Whose entries of subuid(5) count when nothing is set; the second is Podman's."""
DEFAULT: Range = (1 << 30, 1 << 29)
"""8,192 ranges. Above what useradd(8) gives to users (SUB_UID_MAX, login.defs(5)), below 2147483648, where some
programs take ids for negative numbers."""
FILES = ("/etc/subuid", "/etc/subgid")


def pool(setting: str, files: Sequence[str] = FILES) -> list[Range]:
    """Return the ranges to give from, for users and groups alike.

    ``setting`` is ``FIRST:COUNT``, the name of a user with entries in both files, or "". Raises `NotFound` for a user
    without entries.
    """
    first, colon, count = setting.partition(":")
    if colon:
        return [(int(first), int(count))]
    for user in (setting,) if setting else USERS:
        found = _common(*(_entries(path, user) for path in files))
        if found:
            return found
    if setting:
        raise NotFound(
            f"/etc/subuid and /etc/subgid give no ids to the user {setting!r}, whom userns-range names",
            fix=f"Add the line `{setting}:{DEFAULT[0]}:{DEFAULT[1]}` to both, or set userns-range to FIRST:COUNT.",
        )
    return [DEFAULT]


def _entries(path: str, user: str) -> list[Range]:
    """Return a user's ranges in subuid(5) or subgid(5); none where the file is missing. Raises `InvalidInput`."""
    try:
        with open(path, encoding="utf-8") as file:
            rows = [line.strip().split(":") for line in file]
    except FileNotFoundError:
        return []
    found = []
    for row in rows:
        if row[0] != user:
            continue
        if len(row) != 3 or not (row[1].isdecimal() and row[2].isdecimal()):
            raise InvalidInput(f"{path} has a line for {user} that is not NAME:FIRST:COUNT", fix="Correct it.")
        found.append((int(row[1]), int(row[2])))
    return found


def _common(users: list[Range], groups: list[Range]) -> list[Range]:
    """Return the ranges that lie in both."""
    both = []
    for one, many in users:
        for other, more in groups:
            first, end = max(one, other), min(one + many, other + more)
            if first < end:
                both.append((first, end - first))
    return both
