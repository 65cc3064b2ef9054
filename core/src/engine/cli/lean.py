"""typer's commands without a detour: turning the words of the command line into Python values costs nothing here.

Docker's way to write flags and short options with a value is read, too.

typer 0.29 builds a pydantic adapter for each parameter that is not a flag, also for plain text, which stays as it is:
60 ms for every command. `lighten` takes that away from parameters that are text, whole numbers, or several texts; what
such a word means beyond that is parsed in `engine.spec`. Parameters of other types keep typer's own conversion.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NoReturn

import typer
from typer._click.parser import _OptionParser
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


_TRUE, _FALSE = {"1", "t", "true"}, {"0", "f", "false"}


class _Parser(_OptionParser):
    """typer's parser, which also takes ``--rm=false``, ``-d=true`` and ``-m=512m``, as Docker's does."""

    def _match_long_opt(self, opt: str, explicit_value: str | None, state: Any) -> None:
        option: Any = self._long_opt.get(opt)
        if explicit_value is None or option is None or option.action != "store_const":
            super()._match_long_opt(opt, explicit_value, state)
            return
        state.opts[option.dest] = _truth(explicit_value, opt, option.obj) is option.const
        state.order.append(option.obj)

    def _match_short_opt(self, arg: str, state: Any) -> None:
        word, equals, value = arg.partition("=")
        option: Any = self._short_opt.get(f"-{word[-1]}")
        before = [self._short_opt.get(f"-{letter}") for letter in word[1:-1]]
        if not equals or option is None or any(one is None or one.takes_value for one in before):
            super()._match_short_opt(arg, state)
            return
        if len(word) > 2:
            super()._match_short_opt(word[:-1], state)
        if option.takes_value:
            option.process(value, state)
        else:
            state.opts[option.dest] = _truth(value, f"-{word[-1]}", option.obj) is option.const
            state.order.append(option.obj)


def _make_parser(command: Any, ctx: Any) -> _Parser:
    parser = _Parser(ctx)
    for param in command.get_params(ctx):
        param.add_to_parser(parser, ctx)
    return parser


def _truth(text: str, name: str, param: Any) -> bool:
    word = text.lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise typer.BadParameter(f"{text!r} is neither true nor false.", param=param, param_hint=name)


def lighten(command: Any) -> Any:
    """Make the plain parameters of a command, and of the commands below it, convert without pydantic; return it.

    Its flags may have values after a ``=``.
    """
    helping = command.get_help_option(typer.Context(command, **command.context_settings))
    for param in (*command.params, helping):
        if type(param) in _PLAIN and param.type_descriptor.annotation in _TYPES:
            param.__class__ = _PLAIN[type(param)]
    command.make_parser = partial(_make_parser, command)
    for below in getattr(command, "commands", {}).values():
        lighten(below)
    return command
