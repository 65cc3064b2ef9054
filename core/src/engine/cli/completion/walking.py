"""From the words of a command line to what its last one, which is being typed, could be."""

from __future__ import annotations

from engine.cli.commands import COMMANDS
from engine.cli.completion import table
from engine.cli.describing import Argument, Command, Flag
from engine.tuples import NamedTuple

GLOBAL = (
    Flag(("--root",), "DIR", "Images, containers and snapshots", False, ""),
    Flag(("--state",), "DIR", "What a reboot may forget", False, ""),
    Flag(("--debug",), "", "Show the whole traceback when something fails", False, ""),
    Flag(("--version",), "", "Show the version", False, ""),
)
_HELP = Flag(("--help",), "", "Show this message", False, "")


class Line(NamedTuple):
    """A command line up to the word that is being typed.

    ``command``  the one that was named, None where that is still to be done
    ``below``    commands one of which may come next, by name, and what each does
    ``flags``    those that may come next; none where the word cannot be one
    ``value``    the flag whose value is being typed
    ``prefix``   what stands before that value in the same word: ``--storage=``
    ``argument`` the one that is being typed
    ``words``    the arguments before it
    ``given``    each flag so far, by its longest name, with its values
    """

    command: Command | None
    below: dict[str, str]
    flags: tuple[Flag, ...]
    value: Flag | None
    prefix: str
    argument: Argument | None
    words: tuple[str, ...]
    given: dict[str, list[str]]


def walk(words: list[str]) -> Line:
    """Return the line whose last word, perhaps "", is being typed; ``words`` begin after ``engine``."""
    walker = _Walker()
    for word in words[:-1]:
        walker.pass_by(word)
    return walker.line(words[-1])


class _Walker:
    """Goes through the words as the command's own parser does."""

    def __init__(self) -> None:
        self.command: Command | None = None
        self.flags: tuple[Flag, ...] = (*GLOBAL, _HELP)
        self.words: list[str] = []
        self.given: dict[str, list[str]] = {}
        self.waiting: Flag | None = None
        self.only_words = False
        self.lost = False

    def pass_by(self, word: str) -> None:
        """Take note of a whole word."""
        if self.waiting is not None:
            self._note(self.waiting, word)
            self.waiting = None
        elif word == "--" and not self.only_words:
            self.only_words = True
        elif word.startswith("-") and len(word) > 1 and not self.only_words:
            self._flag(word)
        elif self.command is None or self.command.below:
            self._descend(word)
        else:
            self.words.append(word)
            self.only_words = self.only_words or self.command.ends

    def line(self, current: str) -> Line:
        """Return the line with ``current`` as the word that is being typed."""
        name, equals, _ = current.partition("=")
        flag = self._named(name) if equals and name.startswith("--") and not self.only_words else None
        value = self.waiting or flag
        typing_flag = current.startswith("-") and not self.only_words and value is None
        return Line(
            self.command,
            {} if value or typing_flag or self.lost else self._below(),
            tuple(self._open()) if typing_flag else (),
            value,
            f"{name}=" if flag and not self.waiting else "",
            None if value or typing_flag or self.lost else self._argument(),
            tuple(self.words),
            self.given,
        )

    def _flag(self, word: str) -> None:
        """A long flag, perhaps with its value, or letters of which the last one may want a value (getopt(3))."""
        name, equals, value = word.partition("=")
        if word.startswith("--"):
            self._seen(self._named(name), value if equals else None)
            return
        for position, letter in enumerate(word[1:], 2):
            flag = self._named(f"-{letter}")
            if flag and flag.metavar:
                self._seen(flag, word[position:] or None)
                return
            self._seen(flag, None)

    def _seen(self, flag: Flag | None, value: str | None) -> None:
        if flag is None:
            return
        if flag.metavar and value is None:
            self.waiting = flag
        else:
            self._note(flag, value or "")

    def _note(self, flag: Flag, value: str) -> None:
        self.given.setdefault(flag.names[-1], []).append(value)

    def _descend(self, word: str) -> None:
        if self.command is None:
            found = table.command(word) if word in COMMANDS else None
        else:
            found = next((one for one in self.command.below if one.name == f"{self.command.name} {word}"), None)
        self.lost = found is None
        if found is not None:
            self.command, self.flags = found, (*found.flags, _HELP)

    def _named(self, name: str) -> Flag | None:
        return next((flag for flag in self.flags if name in flag.names), None)

    def _open(self) -> list[Flag]:
        """Return the flags that were not given yet, or may be given again."""
        return [flag for flag in self.flags if flag.many or flag.names[-1] not in self.given]

    def _below(self) -> dict[str, str]:
        if self.command is None:
            return {name: entry.help for name, entry in COMMANDS.items()}
        first = len(self.command.name) + 1
        return {one.name[first:]: one.short for one in self.command.below}

    def _argument(self) -> Argument | None:
        arguments = self.command.arguments if self.command else ()
        if len(self.words) < len(arguments):
            return arguments[len(self.words)]
        return arguments[-1] if arguments and arguments[-1].many else None
