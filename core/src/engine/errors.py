"""Every error the engine raises on purpose: what failed, why, and what to do about it.

Imported by the shim and the stage: standard library only, and nothing heavier than this module.

An error is one sentence (``what``, with the reason in it) and one line of advice (``fix``). ``plugin`` names who raised
it, when a plugin did. Errors cross the shim's socket as plain data (``to_plain`` and ``from_plain``), so the command
that the user typed shows the very error that happened two processes away.
"""

from __future__ import annotations

from collections.abc import Mapping

EXIT_ENGINE = 125
"""The engine itself failed: bad flags, no such image, a driver that refused (docker-run(1), "Exit status")."""
EXIT_NOT_RUNNABLE = 126
"""The command exists in the container and cannot be executed."""
EXIT_NOT_FOUND = 127
"""The command does not exist in the container."""


class EngineError(Exception):
    """The base of every expected failure. ``str(error)`` is the sentence; ``fix`` is the advice, possibly empty."""

    exit_code: int = EXIT_ENGINE

    def __init__(self, what: str, *, fix: str = "", plugin: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix
        self.plugin = plugin
        self.action = ""
        """The sentence of the action that failed, when it was one."""
        self.errno = ""
        """The name of the kernel's answer ("ENOENT"), when that is what failed."""
        self.meaning = ""
        """What the kernel means by it there, where ``what`` does not say it better."""

    def __str__(self) -> str:
        return self.what

    def to_plain(self) -> dict[str, str]:
        """Return the error as JSON-ready data, its class by name."""
        return {
            "error": type(self).__name__, "what": self.what, "fix": self.fix, "plugin": self.plugin,
            "action": self.action, "errno": self.errno, "meaning": self.meaning,
        }  # fmt: skip


class InvalidInput(EngineError):
    """What the user asked for makes no sense: a flag's value, a reference, a settings file."""


class NotFound(EngineError):
    """A container, an image or a plugin of that name does not exist."""


class Conflict(EngineError):
    """The request contradicts the present state: a name in use, a running container to be removed."""


class Unsupported(EngineError):
    """A driver, or this machine, cannot do what was asked; the sentence names who and what."""


class ImageError(EngineError):
    """An archive, a layer or a manifest is broken, or does not match its digest."""


class Unreachable(EngineError):
    """What is far away does not answer, or stopped answering: the same command may work later."""


class KernelError(EngineError):
    """An action failed in the kernel. The sentence says which action, the errno and what it means there."""


class PluginError(EngineError):
    """A plugin broke its contract: it did not import, raised what it should not, or bears a name already taken."""


class StateError(EngineError):
    """What is on disk, or what the shim answers, is not what the engine left there."""


class CommandNotRunnable(EngineError):
    """The container's command exists but cannot be executed (no permission, a missing interpreter, a directory)."""

    exit_code = EXIT_NOT_RUNNABLE


class CommandNotFound(EngineError):
    """The container's command does not exist in its root filesystem."""

    exit_code = EXIT_NOT_FOUND


_BY_NAME: Mapping[str, type[EngineError]] = {
    cls.__name__: cls
    for cls in (
        EngineError, InvalidInput, NotFound, Conflict, Unsupported, ImageError, Unreachable, KernelError, PluginError,
        StateError, CommandNotRunnable, CommandNotFound,
    )
}  # fmt: skip


def from_plain(data: Mapping[str, str]) -> EngineError:
    """Return the error that ``to_plain`` described; an unknown class becomes a plain ``EngineError``."""
    cls = _BY_NAME.get(data.get("error", ""), EngineError)
    error = cls(data.get("what", "unknown error"), fix=data.get("fix", ""), plugin=data.get("plugin", ""))
    error.action, error.errno, error.meaning = (data.get(key, "") for key in ("action", "errno", "meaning"))
    return error
