"""Every command's help has an example, and each example is a command line that the command takes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import pytest

from engine.cli.app import load
from engine.cli.commands import COMMANDS
from engine.cli.describing import Command, describe
from engine.cli.run_options import options_of

OPERATORS = {"|", "&&", ";", "<", ">"}


def flat(command: Command) -> Iterator[Command]:
    yield command
    for below in command.below:
        yield from flat(below)


def engine_lines(example: str) -> Iterator[list[str]]:
    """Yield the words of each call of the engine in a shell's command line, without the first."""
    line: list[str] = []
    for word in [*shlex.split(example), "|"]:
        if word not in OPERATORS:
            line.append(word)
            continue
        if line[0] == "engine":
            yield line[1:]
        line = []


def parse(words: list[str]) -> None:
    """Let the command take its words, and do no more."""
    group = load(words[0])
    context = group.make_context(words[0], words[1:])
    if getattr(group, "commands", None) and (rest := [*context._protected_args, *context.args]):
        _, command, left = group.resolve_command(context, rest)
        context = command.make_context(rest[0], left, parent=context)
    if words[0] in {"run", "create"}:
        values = context.params
        options_of(values["image"], values["command"] or [], values)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples_that_it_takes(name: str) -> None:
    for command in flat(describe(name)):
        assert command.examples, f"engine {command.name} --help has no example"
        for example in command.examples:
            lines = [*engine_lines(example)]
            assert lines, example
            for words in lines:
                parse(words)


def test_an_example_that_is_wrong_is_found() -> None:
    with pytest.raises(Exception, match="No such option"):
        parse(["stop", "--softly", "web"])
    with pytest.raises(Exception, match="Missing parameter: name"):
        parse(["image", "tag", "one"])
