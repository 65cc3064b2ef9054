"""Translate a process of the specification into the last steps before its execve. Looks at the machine's limits."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from engine.actions.base import Action, Phase, Step
from engine.errors import InvalidInput, Unsupported
from engine.linux import capabilities
from engine.spec.runtime import Process, Seccomp
from engine_runtime_native import filters, limits
from engine_runtime_native.stage import process as actions
from engine_runtime_native.stage.identity import BecomeUser
from engine_runtime_native.stage.streams import OpenTerminal, TakeStreams

_UMASK = 0o022


def translate(process: Process, seccomp: Seccomp | None, cache: Path, *, user_namespace: bool) -> list[Action]:
    """Return the CHILD_AFTER_PIVOT actions of a process, in the order that the kernel's rules ask for.

    Without no_new_privs a filter needs CAP_SYS_ADMIN and is loaded before capabilities are given up; with it, last.
    """
    privileges = bool(process.get("noNewPrivileges"))
    load = [filters.step(seccomp, cache)] if seccomp else []
    rows = limits.checked(process.get("rlimits", []), user_namespace=user_namespace)
    sets = _capabilities(process, user_namespace=user_namespace)
    user = process.get("user", {})
    preserved = process.get("preservedDescriptors", 0)
    return [
        TakeStreams(bool(process.get("terminal")), preserved),
        actions.NewKeyring(),
        actions.ChangeDirectory(_directory(process)),
        *([actions.SetRlimits(rows)] if rows else []),
        *([actions.NoNewPrivileges()] if privileges else []),
        actions.LimitCapabilities(sets.get("bounding", ())),
        *([] if privileges else load),
        BecomeUser(
            user.get("username", ""), user.get("uid", 0), user.get("gid", 0), tuple(user.get("additionalGids", ()))
        ),
        actions.SetCapabilities(*(sets.get(name, ()) for name in ("effective", "permitted", "inheritable", "ambient"))),
        actions.FreshProcess(user.get("umask", _UMASK), preserved),
        *(load if privileges else []),
    ]


def oom_score(process: Process) -> list[Step]:
    """Return the step that sets oom_score_adj, if that was asked for."""
    score = process.get("oomScoreAdj")
    if score is None:
        return []
    if not -1000 <= score <= 1000:
        raise InvalidInput(f"oom_score_adj is from -1000 to 1000, not {score}")
    return [Step(Phase.PARENT_AFTER, actions.SetOomScore(score), "native")]


def terminal(process: Process, *, bound: bool) -> list[Action]:
    """Return the action that makes the process's terminal, if it wants one."""
    if not process.get("terminal"):
        return []
    size = process.get("consoleSize", {"height": 0, "width": 0})
    return [OpenTerminal(size["height"], size["width"], bound)]


def refuse_unknown(process: Process) -> None:
    """Raise for what this runtime does not do, and for a process that cannot be one."""
    for key in ("apparmorProfile", "selinuxLabel"):
        if process.get(key):
            raise Unsupported(f"the native runtime does not apply process.{key}", fix="Leave it out.")
    if not process.get("args"):
        raise InvalidInput("there is no command to run", fix="Give one, or use an image that has one.")
    texts = [*process["args"], *process.get("env", []), process.get("cwd", "/")]
    if any("\0" in text for text in texts):
        raise InvalidInput("the command, its environment or its directory holds a NUL character")
    for entry in process.get("env", []):
        if not entry.partition("=")[0] or "=" not in entry:
            raise InvalidInput(f"{entry!r} is no environment variable", fix="Write NAME=VALUE.")


def _directory(process: Process) -> str:
    directory = process.get("cwd") or "/"
    if not directory.startswith("/"):
        raise InvalidInput(f"the working directory must be an absolute path: {directory!r}")
    return directory


def _capabilities(process: Process, *, user_namespace: bool) -> dict[str, tuple[str, ...]]:
    supported = capabilities.supported()
    has = supported if user_namespace else capabilities.get().permitted & capabilities.bounding()
    return {name: _set(names, supported, has) for name, names in process.get("capabilities", {}).items()}  # type: ignore[arg-type]


def _set(names: Iterable[str], supported: int, has: int) -> tuple[str, ...]:
    """Return the names that can be given: all of those asked for, or of "everything" what the engine itself has."""
    wanted = tuple(names)
    unknown = [name for name in wanted if name not in capabilities.NUMBERS]
    if unknown:
        raise InvalidInput(f"there is no capability {unknown[0]}", fix="capabilities(7) lists them.")
    lacking = [name for name in wanted if not capabilities.mask([name]) & has]
    everything = capabilities.mask(wanted) & supported == supported
    if lacking and not everything:
        raise Unsupported(
            f"{lacking[0]} cannot be given to the container: the engine itself runs without it",
            fix="Leave it out, or run the engine with it.",
        )
    return tuple(name for name in wanted if name not in lacking)
