"""What each command takes, as plain values: for the reference, for completion, and for tests.

Only `describe` imports anything: typer, and the command's module.
"""

from __future__ import annotations

from typing import Any

from engine.cli.commands import BORROWED
from engine.tuples import NamedTuple

EXAMPLES = "\b"
"""Stands alone in a line before the paragraphs that are to be shown as they are: the examples."""


class Flag(NamedTuple):
    """An option. ``metavar`` stands for its value, and is "" for a switch; ``many``: it may be given several times.

    ``section`` is the title under which help shows it, where help has several.
    """

    names: tuple[str, ...]
    metavar: str
    help: str
    many: bool
    default: str
    section: str = ""


class Argument(NamedTuple):
    """A word by its place; ``many``: this one and all after it."""

    metavar: str
    help: str
    required: bool
    many: bool


class Command(NamedTuple):
    """A command and what it takes.

    ``name``      what is typed after ``engine``: "run", "image ls"
    ``short``     the line that a list of commands shows
    ``text``      the paragraphs of its help, without the examples
    ``examples``  a shell's command line each
    ``ends``      whether nothing after the last fixed argument is an option of this command (``run``, ``exec``)
    ``below``     the commands of a group
    ``same``      the command outside of the group that this one is
    """

    name: str
    short: str
    text: str
    examples: tuple[str, ...]
    flags: tuple[Flag, ...]
    arguments: tuple[Argument, ...]
    ends: bool
    below: tuple[Command, ...]
    same: str = ""

    @property
    def usage(self) -> str:
        """The command as help writes it: "engine run [OPTIONS] IMAGE [COMMAND]..."."""
        words = ["engine", self.name, *(["[OPTIONS]"] if self.flags else []), *map(_place, self.arguments)]
        return " ".join([*words, *(["COMMAND ..."] if self.below else [])])


def describe(name: str) -> Command:
    """Return the command of that name, with those below it. Imports its module."""
    from engine.cli.app import load

    found = _command(name, load(name))
    borrowed = BORROWED.get(name, {}).items()
    below = [*found.below, *(describe(above)._replace(name=f"{name} {one}", same=above) for one, above in borrowed)]
    return found._replace(below=tuple(sorted(below)))


def _command(name: str, command: Any) -> Command:
    text, _, examples = (command.help or "").partition(EXAMPLES)
    options = [param for param in command.params if param.param_type_name == "option"]
    sections = {param.name: title for title, param in getattr(command, "sectioned", lambda _params: ())(command.params)}
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    return Command(
        name,
        command.short_help or " ".join(text.strip().partition("\n\n")[0].split()).partition(". ")[0].rstrip("."),
        text.strip(),
        tuple(line.strip() for line in examples.splitlines() if line.strip()),
        tuple(_flag(option, sections.get(option.name, "")) for option in options),
        tuple(Argument(one.metavar or one.name.upper(), one.help or "", one.required, one.nargs == -1)
              for one in arguments),
        not command.context_settings.get("allow_interspersed_args", True),
        tuple(_command(f"{name} {below}", found) for below, found in getattr(command, "commands", {}).items()),
    )  # fmt: skip


def _flag(option: Any, section: str) -> Flag:
    default = option.default if isinstance(option.default, str) else ""
    metavar = "" if option.is_flag else option.metavar or "VALUE"
    return Flag(tuple(sorted(option.opts, key=len)), metavar, option.help or "", option.multiple, default, section)


def _place(argument: Argument) -> str:
    word = argument.metavar if argument.required else f"[{argument.metavar}]"
    return f"{word}..." if argument.many else word
