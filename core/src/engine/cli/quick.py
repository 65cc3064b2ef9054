"""The commands that are started in loops, without typer: importing it and building a hundred flags takes longer than
all that `engine run` does.

What such a command takes is found out from typer's own description of it, once for each version, and remembered
(`engine.cache`). A command line that is all right by that is read here, and means what typer would make of it; tests
compare the two. Whatever is not (an unknown flag, a missing value, ``--help``) is left to typer, which says so.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from engine import __version__, cache
from engine.cli.commands import QUICK, sources
from engine.cli.failures import guarded
from engine.cli.places import Places
from engine.tuples import NamedTuple

_SECTION = "quick"
_TRUE, _FALSE = frozenset({"1", "t", "true"}), frozenset({"0", "f", "false"})


class Line(NamedTuple):
    """What a command's function is given in place of typer's context."""

    obj: Places


class Taken(NamedTuple):
    """What a command takes.

    ``options``    by each of its names: the parameter, whether it has a value, and whether it may be repeated
    ``arguments``  each parameter, whether it must be given, and whether it is all that remains
    ``blank``      the value of each option that is not given
    """

    options: dict[str, tuple[str, bool, bool]]
    arguments: tuple[tuple[str, bool, bool], ...]
    blank: dict[str, Any]


class NotPlainError(Exception):
    """A command line that typer is to read."""


def invoke(arguments: list[str]) -> int | None:
    """Run the command that ``arguments`` name and return its exit status; None when it is one for typer to read."""
    try:
        places, rest = _places(arguments)
        if not rest or rest[0] not in QUICK:
            return None
        values = read(taken(rest[0]), rest[1:])
    except NotPlainError:
        return None
    module, name = QUICK[rest[0]]

    def work() -> int:
        __import__(module)
        status: int = getattr(sys.modules[module], name)(Line(places), **values)
        return status

    return guarded(work, debug=places.debug)


def taken(name: str) -> Taken:
    """Return what a command takes, as remembered. Raises `NotPlainError` when it had to be found out."""
    found: Any = cache.recall(_SECTION, (__version__, name))
    if found is None:
        seen = cache.witnesses(sources())
        options, arguments, blank = find(name)
        cache.remember(_SECTION, (__version__, name), seen, ({**options}, arguments, blank))
        raise NotPlainError
    return Taken(*found)


def find(name: str) -> Taken:
    """Return what a command takes, by typer's own description."""
    from engine.cli.app import load

    command = load(name)
    options = [param for param in command.params if param.param_type_name == "option"]
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    with command.make_context(name, [param.name for param in arguments]) as context:
        blank = {param.name: None if param.multiple else context.params[param.name] for param in options}
    return Taken(
        {word: (param.name, not param.is_flag, param.multiple) for param in options for word in param.opts},
        tuple((param.name, param.required, param.nargs == -1) for param in arguments),
        blank,
    )


def read(taken: Taken, words: list[str]) -> dict[str, Any]:
    """Return the value of each parameter. Options end at the first word that is none. Raises `NotPlainError`."""
    values = dict(taken.blank)
    iterator = iter(words)
    rest: list[str] = []
    for word in iterator:
        if word == "--":
            rest = list(iterator)
        elif word.startswith("--"):
            name, equals, value = word.partition("=")
            _give(taken, values, name, value if equals else None, iterator)
        elif word.startswith("-") and word != "-":
            _give_letters(taken, values, word, iterator)
        else:
            rest = [word, *iterator]
    return {**values, **_arguments(taken, rest)}


def _places(arguments: list[str]) -> tuple[Places, list[str]]:
    """Return what stands before the command, and the words from the command on."""
    given: dict[str, Any] = {}
    iterator = iter(arguments)
    for word in iterator:
        name, equals, value = word.partition("=")
        if name in {"--root", "--state"}:
            given[name[2:]] = value if equals else _next(iterator)
        elif word == "--debug":
            given["debug"] = True
        else:
            return Places(**given), [word, *iterator]
    return Places(**given), []


def _give_letters(taken: Taken, values: dict[str, Any], word: str, iterator: Iterator[str]) -> None:
    """Read ``-it``, ``-eKEY=VALUE``, ``-e=KEY=VALUE`` and ``-d=true``."""
    for position, letter in enumerate(word[1:], 2):
        rest = word[position:]
        if _option(taken, f"-{letter}")[1] or rest.startswith("="):
            _give(taken, values, f"-{letter}", rest.removeprefix("=") if rest else None, iterator)
            return
        _give(taken, values, f"-{letter}", None, iterator)


def _give(taken: Taken, values: dict[str, Any], name: str, value: str | None, iterator: Iterator[str]) -> None:
    """Note one option; a value that it needs and does not have is the next word."""
    parameter, has_value, many = _option(taken, name)
    if not has_value:
        values[parameter] = True if value is None else _truth(value)
        return
    text = _next(iterator) if value is None else value
    values[parameter] = (*(values[parameter] or ()), text) if many else text


def _option(taken: Taken, name: str) -> tuple[str, bool, bool]:
    try:
        return taken.options[name]
    except KeyError as error:
        raise NotPlainError from error


def _next(iterator: Iterator[str]) -> str:
    for word in iterator:
        return word
    raise NotPlainError


def _truth(text: str) -> bool:
    word = text.lower()
    if word not in _TRUE and word not in _FALSE:
        raise NotPlainError
    return word in _TRUE


def _arguments(taken: Taken, words: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for parameter, required, everything in taken.arguments:
        if required and not words:
            raise NotPlainError
        values[parameter] = tuple(words) if everything else words[0]
        words = [] if everything else words[1:]
    if words:
        raise NotPlainError
    return values
