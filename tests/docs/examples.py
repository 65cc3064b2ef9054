"""The examples in a Markdown file: fenced blocks whose info string, after the language, says what to do with them.

``console run``        each line that begins with ``$ `` is a command for bash (a backslash at its end goes on);
                       below it is what it prints, standard error included. It must end well.
``python run``         a program, which must end well
``LANGUAGE file=PATH`` the content of a file, written there before what follows is run
``LANGUAGE more=PATH`` what comes after that in the same file
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


class Example(NamedTuple):
    """One thing to run, or to write: ``language`` is ``console`` or ``python``, or ``file`` or ``more``.

    ``expected`` is what a command prints, None for what prints nothing that counts; ``path`` is a file's, else empty.
    """

    language: str
    source: str
    expected: str | None
    line: int
    path: str = ""


def of(file: Path) -> list[Example]:
    """Return a file's examples in their order. Raises ValueError for a language that nobody can run."""
    return list(_examples(file.read_text()))


def _examples(text: str) -> Iterator[Example]:
    for match in FENCE.finditer(text):
        language, _, mark = match["info"].strip().partition(" ")
        line = text.count("\n", 0, match.start()) + 2
        deed, _, path = mark.partition("=")
        if deed in {"file", "more"} and path:
            yield Example(deed, match["body"], None, line, path)
        elif mark != "run":
            continue
        elif language == "console":
            yield from _commands(match["body"], line)
        elif language == "python":
            yield Example(language, match["body"], None, line)
        else:
            raise ValueError(f"line {line}: '{language} run' cannot be run")


def _commands(body: str, first: int) -> Iterator[Example]:
    """Yield each command of a console block with what it is to print."""
    command, output, at, goes_on = "", "", first, False
    for number, line in enumerate(body.splitlines(keepends=True), first):
        if goes_on:
            command += line
        elif line.startswith("$ "):
            if command:
                yield Example("console", command, output, at)
            command, output, at = line[2:], "", number
        else:
            output += line
            continue
        goes_on = line.endswith("\\\n")
    if command:
        yield Example("console", command, output, at)


def matches(expected: str, printed: str) -> bool:
    """Return whether a text is as expected: ``...`` is any text in its line, and alone in a line any lines, or none."""
    return re.fullmatch("".join(map(_pattern, expected.splitlines())), printed) is not None


def _pattern(line: str) -> str:
    return r"(?:[^\n]*\n)*" if line == "..." else r"[^\n]*".join(map(re.escape, line.split("..."))) + "\n"
