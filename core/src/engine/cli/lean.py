"""typer's commands without a detour: turning the words of the command line into Python values costs nothing here.

typer 0.29 builds a pydantic adapter for each parameter that is not a flag, also for plain text, which stays as it is:
60 ms for every command. `lighten` takes that away from parameters that are text, whole numbers, or several texts; what
such a word means beyond that is parsed in `engine.spec`. Parameters of other types keep typer's own conversion.
"""

from __future__ import annotations

from typing import Any, NoReturn

import typer
from typer.core import TyperArgument, TyperOption


class _Plain:
    """What typer calls a runtime parameter: text stays text, numbers are read, several stay several."""

    def __init__(self, annotation: object) -> None:
        self._is_number = annotation is int

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        if not self._is_number or isinstance(value, int):
            return value
        try:
            return int(value)
        except ValueError:
            _refuse(value, param, ctx)


def _refuse(value: Any, param: Any, ctx: Any) -> NoReturn:
    raise typer.BadParameter(f"{value!r} is not a whole number.", ctx=ctx, param=param)


class _PlainOption(TyperOption):
    def get_runtime_param(self) -> Any:
        return _Plain(self.type_descriptor.annotation)


class _PlainArgument(TyperArgument):
    def display_type_rich(self, ctx: Any) -> str:
        return ""

    def get_runtime_param(self) -> Any:
        return _Plain(self.type_descriptor.annotation)


_PLAIN: dict[type, type] = {TyperOption: _PlainOption, TyperArgument: _PlainArgument}
_TYPES = (str, int, bool, list[str])


def lighten(command: Any) -> Any:
    """Make the plain parameters of a command, and of the commands below it, convert without pydantic; return it."""
    helping = command.get_help_option(typer.Context(command, **command.context_settings))
    for param in (*command.params, helping):
        if type(param) in _PLAIN and param.type_descriptor.annotation in _TYPES:
            param.__class__ = _PLAIN[type(param)]
    for below in getattr(command, "commands", {}).values():
        lighten(below)
    return command
