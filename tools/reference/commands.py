"""The page of commands: usage, flags and examples of each, in the order of `engine --help`."""

from __future__ import annotations

from collections.abc import Iterator

from engine.cli.commands import SECTIONS, Entry
from engine.cli.describing import Command, Flag, describe
from tools.reference import markdown

_MANY = 20
"""A command that shares more flags than this with one before it refers to that one."""
_GLOBAL = """Options before the command:

| flag          | meaning                                                          |
| ------------- | ---------------------------------------------------------------- |
| `--root DIR`  | where images, containers and snapshots are ([settings](settings.md)) |
| `--state DIR` | where what a reboot may forget is                                |
| `--debug`     | show the whole traceback when something fails                    |
| `--version`   | show the version                                                 |
"""


def page() -> str:
    """Return the page."""
    parts = ["# Commands\n", _GLOBAL]
    seen: list[Command] = []
    for title, entries in SECTIONS.items():
        commands = [one for name in entries for one in _flat(describe(name))]
        parts += [f"## {title}\n", _list(entries)]
        for command in commands:
            parts.append(_command(command, seen))
            seen.append(command)
    return "\n".join(parts)


def _flat(command: Command) -> Iterator[Command]:
    yield command
    for below in command.below:
        if not below.same:
            yield from _flat(below)


def _list(entries: dict[str, Entry]) -> str:
    return markdown.table(["command", "what it does"], [[_link(name), entry.help] for name, entry in entries.items()])


def _link(name: str) -> str:
    return f"[`engine {name}`](#engine-{name.replace(' ', '-')})"


def _command(command: Command, seen: list[Command]) -> str:
    parts = [f"### engine {command.name}\n", markdown.fenced(command.usage, "text"), f"{_text(command.text)}\n"]
    if command.examples:
        parts.append(markdown.fenced("\n".join(f"$ {line}" for line in command.examples), "console"))
    if command.arguments:
        rows = [[f"`{one.metavar}`", markdown.inline(one.help)] for one in command.arguments]
        parts.append(markdown.table(["argument", "meaning"], rows))
    if command.flags:
        parts.append(_flags(command, seen))
    if command.below:
        own = ", ".join(_link(below.name) for below in command.below if not below.same)
        parts.append(f"Commands: {own}.\n")
    borrowed = [[f"`engine {below.name}`", _link(below.same)] for below in command.below if below.same]
    if borrowed:
        parts.append(markdown.table(["and", "which is"], borrowed))
    return "\n".join(parts)


def _text(text: str) -> str:
    return "\n\n".join(markdown.inline(" ".join(part.split())) for part in text.split("\n\n"))


def _flags(command: Command, seen: list[Command]) -> str:
    like = next((one for one in seen if len(set(one.flags) & set(command.flags)) > _MANY), None)
    if like is None:
        return _table(command.flags)
    own = [flag for flag in command.flags if flag not in like.flags]
    missing = [flag.names[-1] for flag in like.flags if flag not in command.flags]
    less = f", without {' and '.join(f'`{name}`' for name in missing)}" if missing else ""
    text = f"Its flags are those of {_link(like.name)}{less}.\n"
    return f"{text}\nAnd:\n\n{_table(tuple(own))}" if own else text


def _table(flags: tuple[Flag, ...]) -> str:
    parts = []
    for section in dict.fromkeys(flag.section for flag in flags):
        rows = [[_names(flag), _meaning(flag)] for flag in flags if flag.section == section]
        parts.append((f"**{section}**\n\n" if section else "") + markdown.table(["flag", "meaning"], rows))
    return "\n".join(parts)


def _names(flag: Flag) -> str:
    *others, last = flag.names
    return ", ".join(f"`{name}`" for name in [*others, f"{last} {flag.metavar}".rstrip()])


def _meaning(flag: Flag) -> str:
    notes = [f"default: `{flag.default}`"] if flag.default else []
    notes += ["may be repeated"] if flag.many else []
    return markdown.inline(flag.help) + (f" ({'; '.join(notes)})" if notes else "")
