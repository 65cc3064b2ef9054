"""Capabilities and ``--security-opt``. Pure, but for `read_seccomp_file`; raises `InvalidInput` and `Unsupported`."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from engine.errors import InvalidInput, Unsupported
from engine.linux.capabilities import NAMES
from engine.spec.environment import read_small_file
from engine.spec.refusal import refusal
from engine.tuples import NamedTuple

ALL = "ALL"
DEFAULT_CAPABILITIES = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID",
    "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
)  # fmt: skip
"""The fourteen that Docker grants (docker-run(1), "Runtime privilege and Linux capabilities")."""
UNCONFINED = "unconfined"
DEFAULT = "default"
LARGEST_PROFILE = 1 << 20


class SecurityOptions(NamedTuple):
    """All ``--security-opt`` together.

    ``seccomp`` is `DEFAULT`, `UNCONFINED`, or a ``linux.seccomp`` object. ``system_paths``: mask and protect what
    containers should not see of /proc and /sys; ``mask`` and ``unmask`` add paths and take paths away.
    """

    no_new_privileges: bool = False
    seccomp: str | Mapping[str, Any] = DEFAULT
    system_paths: bool = True
    mask: tuple[str, ...] = ()
    unmask: tuple[str, ...] = ()


PLAIN = SecurityOptions()


def parse_capability(text: str, flag: str) -> str:
    """Return the canonical name: "net_admin" and "CAP_NET_ADMIN" are the same; `ALL` stands for all."""
    name = text.upper()
    if name == ALL:
        return ALL
    name = name if name.startswith("CAP_") else f"CAP_{name}"
    if name not in NAMES:
        raise refusal(flag, text, "is no capability of Linux (see capabilities(7))", "NET_ADMIN")
    return name


def granted(added: Iterable[str], dropped: Iterable[str], available: Collection[str]) -> tuple[str, ...]:
    """Return the capabilities of a container, in the kernel's order.

    As Docker has it: with ``ALL`` added, everything but what is dropped; with ``ALL`` dropped, only what is added.
    ``available`` is what the engine itself may hand on: a default that is missing there is left out, as nobody asked
    for it; one that was asked for raises `Unsupported`.
    """
    added, dropped = set(added), set(dropped)
    missing = sorted(added - {ALL} - set(available))
    if missing:
        raise Unsupported(
            f"--cap-add {missing[0]}: the engine does not have this capability itself",
            fix="Run the engine with it, or leave it out.",
        )
    if ALL in added:
        chosen = set(available) - dropped
    elif ALL in dropped:
        chosen = added
    else:
        chosen = (set(DEFAULT_CAPABILITIES) & set(available)) - dropped | added
    return tuple(name for name in NAMES if name in chosen)


def parse_security(texts: Iterable[str]) -> SecurityOptions:
    """Return all ``--security-opt`` together, a later one in the place of an earlier. Reads a profile that is named."""
    options = PLAIN
    for text in texts:
        options = _with(options, *_split(text), text)
    return options


def _with(options: SecurityOptions, key: str, value: str, text: str) -> SecurityOptions:
    match key:
        case "no-new-privileges":
            return options._replace(no_new_privileges=_boolean(value, text))
        case "seccomp":
            return options._replace(seccomp=_seccomp(value))
        case "systempaths" | "unmask" if value.lower() in {UNCONFINED, "all"}:
            return options._replace(system_paths=False)
        case "mask":
            return options._replace(mask=_paths(value, text))
        case "unmask":
            return options._replace(unmask=_paths(value, text))
        case "label" | "apparmor":
            if value in {"disable", UNCONFINED}:
                return options
            raise Unsupported(
                f"--security-opt {text!r}: the engine does not support {_MODULES[key]} profiles", fix="Leave it out."
            )
        case _:
            raise refusal("--security-opt", text, "is not an option that the engine knows", "no-new-privileges")


_MODULES = {"label": "SELinux", "apparmor": "AppArmor"}


def _split(text: str) -> tuple[str, str]:
    """Return key and value; Docker took ``KEY:VALUE`` for long, and scripts still write it."""
    separator = "=" if "=" in text or not text.startswith("no-new-privileges:") else ":"
    key, _, value = text.partition(separator)
    return key, value


def _boolean(value: str, text: str) -> bool:
    if value not in {"", "true", "false"}:
        raise refusal("--security-opt", text, "is neither true nor false", "no-new-privileges:false")
    return value != "false"


def _paths(value: str, text: str) -> tuple[str, ...]:
    paths = tuple(value.split(":"))
    if not all(path.startswith("/") for path in paths):
        raise refusal("--security-opt", text, "has a path that is not absolute", "mask=/proc/acpi:/sys/power")
    return paths


def _seccomp(value: str) -> str | Mapping[str, Any]:
    if value in {UNCONFINED, DEFAULT}:
        return value
    if value == "builtin":
        return DEFAULT
    if not value:
        raise refusal("--security-opt", "seccomp=", "names no profile", "seccomp=/etc/engine/seccomp.json")
    return read_seccomp_file(Path(value))


def read_seccomp_file(path: Path) -> Mapping[str, Any]:
    """Return the ``linux.seccomp`` object in a file (runtime-spec, config-linux.md, "Seccomp").

    Docker's own format differs in ``archMap``, ``includes`` and ``excludes``, whose meaning hangs on the container;
    a profile with these is refused, since leaving them out would make another filter of it.
    """
    what = f"--security-opt seccomp={path}"
    fix = "Give a linux.seccomp object of the OCI runtime-spec, with defaultAction and syscalls."
    try:
        profile = json.loads(read_small_file(path, "--security-opt seccomp", LARGEST_PROFILE))
    except ValueError as error:
        raise InvalidInput(f"{what} is not JSON: {error}", fix=fix) from error
    if not isinstance(profile, dict) or not isinstance(profile.get("defaultAction"), str):
        raise InvalidInput(f"{what} is not a seccomp profile: it has no defaultAction", fix=fix)
    rules = profile.get("syscalls", [])
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise InvalidInput(f"{what} is not a seccomp profile: its syscalls are not a list of rules", fix=fix)
    foreign = [key for rule in (profile, *rules) for key in ("archMap", "includes", "excludes") if rule.get(key)]
    if foreign:
        raise Unsupported(
            f"{what} is in Docker's own format: it has {foreign[0]}, which depends on the container", fix=fix
        )
    return profile
