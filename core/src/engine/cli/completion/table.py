"""What a command takes, remembered: finding out imports typer and the command, which is too much for a Tab."""

from __future__ import annotations

from typing import Any

from engine import __version__, cache
from engine.cli.commands import sources
from engine.cli.describing import Argument, Command, Flag, describe

_SECTION = "commands"


def command(name: str) -> Command:
    """Return the command of that name, one of `engine.cli.commands.COMMANDS`."""
    key = (__version__, name)
    plain = cache.recall(_SECTION, key)
    if plain is not None:
        return _command(plain)
    seen = cache.witnesses(sources())
    found = describe(name)
    cache.remember(_SECTION, key, seen, _plain(found))
    return found


def _plain(value: Any) -> Any:
    """Return named tuples as tuples, all the way down."""
    return tuple(map(_plain, value)) if isinstance(value, tuple) else value


def _command(plain: Any) -> Command:
    name, short, text, examples, flags, arguments, ends, below, same = plain
    return Command(
        name,
        short,
        text,
        examples,
        tuple(Flag(*flag) for flag in flags),
        tuple(Argument(*argument) for argument in arguments),
        ends,
        tuple(map(_command, below)),
        same,
    )
