"""Names of units and the cgroups they get, as systemd makes them (systemd.unit(5), "String Escaping"). Pure."""

from __future__ import annotations

import string

from engine.errors import InvalidInput

NAME = "systemd"
"""What the user types."""

_PLAIN = frozenset(string.ascii_letters + string.digits + ":_.")
_LONGEST = 255
_CONTROLLERS = frozenset({"cpu", "cpuacct", "cpuset", "io", "blkio", "memory", "devices", "pids"})
_RESERVED = frozenset({"notify_on_release", "release_agent", "tasks"})


def escape(text: str) -> str:
    """Return a string as part of a unit's name: ``/`` becomes ``-``, what is not plain becomes ``\\x2d``."""
    escaped = [
        "-" if character == "/" else character if _is_plain(character, position) else _hexadecimal(character)
        for position, character in enumerate(text)
    ]
    return "".join(escaped)


def _is_plain(character: str, position: int) -> bool:
    return character in _PLAIN and not (character == "." and position == 0)


def _hexadecimal(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode())


def scope(mark: str, name: str) -> str:
    """Return the unit of a container: ``engine-<mark>-<name>.scope``. Raises `InvalidInput` when it is too long.

    The dashes of the name stay: they mean nothing in a scope's name, and a container's ID has no other odd character.
    """
    unit = f"engine-{mark}-{'-'.join(map(escape, name.split('-')))}.scope"
    if not name or len(unit) > _LONGEST:
        raise InvalidInput(
            f"{name!r} cannot name a systemd scope", fix="Use 1 to 200 letters, digits and dashes.", plugin=NAME
        )
    return unit


def checked_slice(name: str) -> str:
    """Return the slice's name, or raise `InvalidInput` when systemd would not take it as one."""
    stem = name.removesuffix(".slice")
    parts = stem.split("-")
    plain = all(character in _PLAIN or character in "-\\@" for character in stem)
    if stem == name or not plain or (name != "-.slice" and not all(parts)) or len(name) > _LONGEST:
        raise InvalidInput(
            f"the cgroup parent {name!r} is not the name of a systemd slice",
            fix="Write it as machine.slice or group-part.slice; paths belong to --cgroup-driver cgroupfs.",
            plugin=NAME,
        )
    return name


def slice_path(name: str) -> str:
    """Return the cgroup path of a slice: ``a-b.slice`` lies in ``a.slice``, so ``/a.slice/a-b.slice``."""
    if name == "-.slice":
        return ""
    parts = name.removesuffix(".slice").split("-")
    units = ["-".join(parts[: length + 1]) + ".slice" for length in range(len(parts))]
    return "".join(f"/{cgroup_name(unit)}" for unit in units)


def cgroup_name(unit: str) -> str:
    """Return the directory's name for a unit: one that could be taken for a cgroup file gets an underscore before."""
    first = unit.partition(".")[0]
    if unit[0] in "_." or unit in _RESERVED or first == "cgroup" or first in _CONTROLLERS:
        return f"_{unit}"
    return unit
