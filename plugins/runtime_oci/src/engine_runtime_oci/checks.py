"""What such a program would drop in silence, or report too late, refused by the specification's name of it. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Callable

from engine.actions.namespaces import SetDomainname
from engine.contracts.namespace import NamespacePlan
from engine.errors import InvalidInput, Unsupported
from engine.linux import capabilities, rlimits
from engine.spec.runtime import Linux, Process, Spec

_HANDLED = frozenset({
    "namespaces", "devices", "cgroupsPath", "resources", "rootfsPropagation", "seccomp", "sysctl", "maskedPaths",
    "readonlyPaths", "uidMappings", "gidMappings",
})  # fmt: skip
_LATER = (1, 1)
"""The version of the runtime-spec that first had domainname and linux.resources.cpu.burst."""

Version = Callable[[], tuple[int, int]]
"""Asks the program, which takes its time: called only when the answer matters."""


def check(spec: Spec, namespaces: NamespacePlan, name: str, version: Version) -> None:
    """Raise for a container that the program cannot make as specified."""
    linux = spec.get("linux", {})
    for key in linux:
        if key not in _HANDLED:
            raise Unsupported(f"the runtime {name} does not apply linux.{key}", fix="Leave it out.")
    _check_namespaces(namespaces, name)
    _check_mounts(spec)
    check_process(spec["process"])
    named = any(isinstance(step.action, SetDomainname) for step in namespaces.steps)
    newer = [key for key, used in (("domainname", named), (_BURST, _has_burst(linux))) if used]
    if newer and version() < _LATER:
        raise Unsupported(
            f"{name} follows version {'.'.join(map(str, version()))} of the runtime-spec, which has no {newer[0]}",
            fix="Leave it out, or use --runtime native.",
        )


_BURST = "linux.resources.cpu.burst"


def _has_burst(linux: Linux) -> bool:
    return "burst" in linux.get("resources", {}).get("cpu", {})


def _check_namespaces(namespaces: NamespacePlan, name: str) -> None:
    new = {*namespaces.clone, *namespaces.unshare}
    kinds = new | {kind for kind, _path in namespaces.joins}
    if "mount" not in new:
        raise Unsupported(
            f"the runtime {name} needs a new mount namespace for the container", fix="Leave out --namespace mount=…."
        )
    if "user" in kinds:
        raise Unsupported(
            f"the runtime {name} cannot have user namespaces here: as the container's root it would have to walk"
            " through the engine's directories, which are closed to everybody else",
            fix="Use --runtime native.",
        )
    if "time" in kinds:
        raise Unsupported(f"the runtime {name} has no time namespaces", fix="Use --runtime native.")


def _check_mounts(spec: Spec) -> None:
    for mount in spec.get("mounts", []):
        destination = mount["destination"]
        if not destination.startswith("/") or "\0" in destination:
            raise InvalidInput(f"a mount's destination must be an absolute path: {destination!r}")
        if not destination.strip("/."):
            raise InvalidInput("nothing can be mounted over the container's root", fix="Mount it below a directory.")
        if posixpath.normpath(destination).startswith("/proc/"):
            raise InvalidInput(
                f"nothing can be mounted inside /proc: {destination}",
                fix="Mount it elsewhere; masked and read-only paths of /proc are settings of their own.",
            )


def check_process(process: Process) -> None:
    """Raise for a process that cannot be one, and for names that the program does not know."""
    if not process.get("args"):
        raise InvalidInput("there is no command to run", fix="Give one, or use an image that has one.")
    texts = [*process["args"], *process.get("env", []), process.get("cwd", "/")]
    if any("\0" in text for text in texts):
        raise InvalidInput("the command, its environment or its directory holds a NUL character")
    for names in process.get("capabilities", {}).values():
        unknown = [one for one in names if one not in capabilities.NUMBERS]  # type: ignore[attr-defined]
        if unknown:
            raise InvalidInput(f"there is no capability {unknown[0]}", fix="capabilities(7) lists them.")
    for row in process.get("rlimits", []):
        word = row["type"].removeprefix("RLIMIT_").lower()
        if row["type"] not in rlimits.RLIMITS:
            raise InvalidInput(f"{word} is no resource limit", fix="getrlimit(2) lists them.")
        if row["soft"] > row["hard"]:
            raise InvalidInput(f"the soft limit {word}={row['soft']} is above the hard one, {row['hard']}")
