"""A reader who does what a page says, in one shell and from top to bottom."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.docs import examples
from tests.docs.examples import Example

_END = "\0"
"""Printed between what a command prints and its status: no command of a page prints it."""


class Reader:
    """Use it as a context manager: leaving it ends the shell. What one command sets or enters, the next one finds."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self.directory = directory
        self._shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"], cwd=directory, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._shell.kill()
        self._shell.communicate()

    def follow(self, example: Example) -> None:
        """Do what one example says. Raises AssertionError when it ends badly or prints something else."""
        if example.language in {"file", "more"}:
            self._write(example)
            return
        program = shlex.join([sys.executable, "-c", example.source])
        status, printed = self.run(example.source if example.language == "console" else program)
        where = f"line {example.line}: {example.source}"
        assert status == 0, f"{where}\nended with {status}, and printed:\n{printed}"
        if example.expected is not None:
            assert examples.matches(example.expected, printed), f"{where}\nprinted:\n{printed}"

    def run(self, command: str) -> tuple[int, str]:
        """Return a command's status and what it prints. Raises EOFError when it ends the shell."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        # With eval, a command that is no bash at all is an error of its own, and the shell goes on.
        self._shell.stdin.write(f"eval {shlex.quote(command)} </dev/null; printf '\\0%d\\n' $?\n")
        self._shell.stdin.flush()
        printed = ""
        for line in self._shell.stdout:
            printed += line
            if _END in line:
                text, _, status = printed.rpartition(_END)
                return int(status), text
        raise EOFError(f"the shell ended in: {command}\n{printed}")

    def _write(self, example: Example) -> None:
        file = self.directory / example.path
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(file, "a" if example.language == "more" else "w") as opened:
            opened.write(example.source)
