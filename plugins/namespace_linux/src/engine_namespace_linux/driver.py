"""The driver: every kind of namespace that Linux has, new, shared with the host, or joined."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping

from engine.actions.base import Step
from engine.contracts.common import Probe
from engine.contracts.namespace import Choice, Join, NamespaceConfig, NamespaceDriver, NamespacePlan, New
from engine.errors import InvalidInput, Unsupported
from engine.linux.namespaces import KINDS, same_namespace
from engine_namespace_linux import settings

_NS_GET_NSTYPE = 0xB703
_AFTER_THE_CLONE = frozenset({"cgroup", "time"})
"""A cgroup namespace is rooted where its maker is by then; a time namespace is set before something is in it."""
_MOST_USER_NAMESPACES = "/proc/sys/user/max_user_namespaces"


class LinuxNamespaces(NamespaceDriver):
    """See `engine.contracts.namespace`."""

    kinds = frozenset(KINDS)

    def __init__(self, config: NamespaceConfig) -> None:
        for name in config.options:
            raise InvalidInput(f"the namespace driver linux has no option {name!r}", fix="It has none.")

    def probe(self) -> Probe:
        """Say which kinds this kernel lacks; one that only lacks user or time namespaces is usable for the others."""
        missing = [kind for kind in sorted(KINDS) if not _exists(kind)]
        if "mount" in missing or "pid" in missing:
            return Probe(False, f"this kernel has no {' and no '.join(missing)} namespaces")
        if "user" not in missing and _no_user_namespaces():
            return Probe(True, f"all but user namespaces, which {_MOST_USER_NAMESPACES} forbids", 90)
        if missing:
            return Probe(True, f"all but {', '.join(missing)}, which this kernel lacks", 90)
        return Probe(True, "this kernel has every kind of namespace", 100)

    def plan(self, choices: Mapping[str, Choice]) -> NamespacePlan:
        """Plan the kinds in the kernel's order, the user namespace first, as it owns the others."""
        clone: list[str] = []
        unshare: list[str] = []
        joins: list[tuple[str, str]] = []
        steps: list[Step] = []
        for kind in sorted(choices, key=lambda one: (one != "user", one)):
            choice = choices[kind]
            if isinstance(choice, New):
                _require(kind)
                (unshare if kind in _AFTER_THE_CLONE else clone).append(kind)
                steps += settings.steps(kind, choice)
            elif isinstance(choice, Join) and not _is_own(kind, choice.path):
                joins.append((kind, choice.path))
        return NamespacePlan(tuple(clone), tuple(unshare), tuple(joins), tuple(steps))


def _exists(kind: str) -> bool:
    return os.path.exists(f"/proc/self/ns/{KINDS[kind].proc_name}")


def _require(kind: str) -> None:
    if kind not in KINDS:
        raise InvalidInput(f"there is no {kind} namespace", fix=f"Kinds are {', '.join(sorted(KINDS))}.")
    if not _exists(kind):
        raise Unsupported(f"this kernel has no {kind} namespaces", fix=f"Use --namespace {kind}=host.")


def _no_user_namespaces() -> bool:
    with open(_MOST_USER_NAMESPACES, encoding="ascii") as file:
        return int(file.read()) == 0


def _is_own(kind: str, path: str) -> bool:
    """Check what is to be joined; return whether the engine is in it already, which the kernel refuses for a user
    namespace, and which is nothing to do for the others."""
    _require(kind)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        raise InvalidInput(
            f"the {kind} namespace {path} cannot be joined: {error.strerror}",
            fix=f"Name a /proc/PID/ns/{KINDS[kind].proc_name} of a running process, or a file it is bound to.",
        ) from error
    try:
        if _type(fd) != KINDS[kind].flag:
            raise InvalidInput(
                f"{path} is not a {kind} namespace",
                fix=f"Name a /proc/PID/ns/{KINDS[kind].proc_name}, or a file it is bound to.",
            )
        return same_namespace(fd, f"/proc/self/ns/{KINDS[kind].proc_name}")
    finally:
        os.close(fd)


def _type(fd: int) -> int:
    """Return the CLONE_NEW* flag of a namespace file (ioctl_ns(2)), 0 for any other file."""
    try:
        return fcntl.ioctl(fd, _NS_GET_NSTYPE)
    except OSError:
        return 0
