"""Which settings a new namespace of each kind takes, and what they become: steps. Pure."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from engine.actions.base import Action, Phase, Step
from engine.actions.namespaces import (
    IdRow,
    LoopbackUp,
    SetDomainname,
    SetHostname,
    SetTimeOffsets,
    WriteIdMaps,
)
from engine.contracts.common import IdMapping
from engine.contracts.namespace import New
from engine.errors import InvalidInput, Unsupported
from engine.linux.uts import MAX_NAME

_SETTINGS = {
    "uts": frozenset({"hostname", "domainname"}),
    "user": frozenset({"id_map"}),
    "time": frozenset({"monotonic", "boottime"}),
    "net": frozenset({"loopback"}),
}
_DEFAULTS = New()
_ENTERED_BY_EXECVE = (6, 1)


def steps(kind: str, new: New) -> list[Step]:
    """Return what sets up a new namespace. Raises `InvalidInput` for a setting of another kind or a value of none."""
    allowed = _SETTINGS.get(kind, frozenset())
    for name in New._fields:
        if name not in allowed and getattr(new, name) != getattr(_DEFAULTS, name):
            raise InvalidInput(f"a {kind} namespace has no setting {name}", fix="Leave it out.")
    made = _MAKERS[kind](new) if kind in _MAKERS else []
    return [Step(phase, action, "linux") for phase, action in made]


def _uts(new: New) -> list[tuple[Phase, Action]]:
    made: list[tuple[Phase, Action]] = []
    if new.hostname:
        made.append((Phase.CHILD_BEFORE_PIVOT, SetHostname(_name(new.hostname))))
    if new.domainname:
        made.append((Phase.CHILD_BEFORE_PIVOT, SetDomainname(_name(new.domainname))))
    return made


def _name(name: str) -> str:
    if len(os.fsencode(name)) > MAX_NAME or "\0" in name:
        raise InvalidInput(f"{name!r} cannot be a host's name", fix=f"Use {MAX_NAME} bytes at most.")
    return name


def _net(new: New) -> list[tuple[Phase, Action]]:
    return [(Phase.CHILD_BEFORE_PIVOT, LoopbackUp())] if new.loopback else []


def _time(new: New) -> list[tuple[Phase, Action]]:
    kernel = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
    if kernel < _ENTERED_BY_EXECVE:
        raise Unsupported(f"a time namespace is entered by execve(2) since Linux 6.1, and this is {os.uname().release}")
    if not new.monotonic and not new.boottime:
        return []
    return [(Phase.CHILD_BEFORE_PIVOT, SetTimeOffsets(new.monotonic, new.boottime))]


def _user(new: New) -> list[tuple[Phase, Action]]:
    if new.id_map is None:
        maps = WriteIdMaps(identity_rows("uid_map"), identity_rows("gid_map"))
    else:
        maps = WriteIdMaps(_rows(new.id_map.uids, "users"), _rows(new.id_map.gids, "groups"))
    return [(Phase.PARENT_AFTER, maps)]


_MAKERS: dict[str, Callable[[New], list[tuple[Phase, Action]]]] = {
    "uts": _uts,
    "net": _net,
    "time": _time,
    "user": _user,
}


def identity_rows(file: str) -> tuple[IdRow, ...]:
    """Return rows that map every id of the engine's own user namespace to itself (``file``: uid_map or gid_map)."""
    lines = Path(f"/proc/self/{file}").read_text(encoding="ascii").splitlines()
    return tuple((inside, inside, size) for inside, _outside, size in (map(int, line.split()) for line in lines))


def _rows(mappings: tuple[IdMapping, ...], word: str) -> tuple[IdRow, ...]:
    if not any(row.container <= 0 < row.container + row.size for row in mappings):
        raise InvalidInput(f"the identity map of {word} has no row for 0", fix="The container's root needs one.")
    _refuse_overlap([(row.container, row.size) for row in mappings], f"{word} inside the container")
    _refuse_overlap([(row.host, row.size) for row in mappings], f"{word} of the host")
    return tuple((row.container, row.host, row.size) for row in mappings)


def _refuse_overlap(ranges: list[tuple[int, int]], what: str) -> None:
    end = 0
    for first, size in sorted(ranges):
        if first < end or size < 1:
            raise InvalidInput(f"the identity map names {what} from {first} twice, or not at all")
        end = first + size
