"""linux.resources.unified: any file of cgroup v2 by its name, written as it is (config-linux.md, cgroup-v2.rst).

Only what limits: files by which a group is frozen, killed, moved or rearranged are the engine's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from engine.errors import InvalidInput, Unsupported
from engine.spec.cgroup_limits import Limit
from engine.spec.cgroup_machine import Machine

CORE = frozenset({"cgroup.max.descendants", "cgroup.max.depth", "cgroup.pressure"})
"""Files of cgroup v2 itself that only limit or count."""
_LIFTED = {
    "io.max": "rbps=max wbps=max riops=max wiops=max", "io.latency": "target=0", "io.weight": "default",
    "io.bfq.weight": "default", "rdma.max": "hca_handle=max hca_object=max", "misc.max": "max", "dmem.max": "max",
}  # fmt: skip
"""Files with a line for each device: what takes one away."""
_FILE = re.compile(r"[a-z0-9_]+(\.[A-Za-z0-9_]+)+")


def writes(files: Mapping[str, str], machine: Machine, driver: str) -> list[Limit]:
    """Return a write for each line of each value. Raises `InvalidInput` for what is no such file, `Unsupported` for one
    whose controller is not on v2 here."""
    return [limit for file, value in files.items() for limit in _lines(file, value, _controller(file, machine, driver))]


def refuse_twice(limits: Iterable[Limit], more: Iterable[Limit]) -> None:
    """Raise `InvalidInput` when a file of ``more``, the unified ones, holds a limit that was given by its own name."""
    held = {(limit.file, limit.key): limit for limit in limits}
    for one in more:
        if other := held.get((one.file, one.key)):
            raise InvalidInput(
                f"{one.file} is given twice: as {one.name} and by {other.name}", fix="Leave out one of both."
            )


def _controller(file: str, machine: Machine, driver: str) -> str:
    if not _FILE.fullmatch(file):
        raise InvalidInput(f"{file!r} is not the name of a cgroup file", fix="Write it as in memory.high.")
    controller, _, rest = file.partition(".")
    if rest == "pressure" and file not in CORE:
        raise InvalidInput(f"{file} holds no limit", fix="`engine stats` shows the pressure.")
    if controller == "cgroup":
        if file not in CORE:
            raise InvalidInput(f"{file} is the engine's own", fix=f"Use one of {', '.join(sorted(CORE))}.")
        if machine.unified:
            return ""
    elif machine.version(controller) == 2:
        return controller
    where = "cgroup v1" if machine.version(controller) == 1 else "no hierarchy that is mounted"
    raise Unsupported(
        f"{file} cannot be set: it is a file of cgroup v2, and the controller {controller} is on {where} here",
        fix="Leave it out, or boot with cgroup v2 alone (systemd.unified_cgroup_hierarchy=1).",
        plugin=driver,
    )


def _lines(file: str, value: str, controller: str) -> list[Limit]:
    lines = [line.strip() for line in value.splitlines() if line.strip()]
    if not lines or "\0" in value:
        raise InvalidInput(f"{file} has no value", fix=f"Write it as in {file}=max.")
    return [_line(file, line, controller) for line in lines]


def _line(file: str, text: str, controller: str) -> Limit:
    meaning, name = f"{file} {text}", f"unified.{file}"
    if file not in _LIFTED:
        return Limit(name, controller, file, text, meaning)
    if " " not in text:
        text = f"default {text}"
    key = text.split()[0]
    return Limit(name, controller, file, text, meaning, key, f"{key} {_LIFTED[file]}")
