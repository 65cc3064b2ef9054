"""A shell on a terminal, with the engine's completion loaded, and keys typed into it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tests.e2e.terminal import Terminal

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][0-9A-Za-z]|[=>78cMDEHNOZ])")
_BEGIN = "\x01"
"""Ctrl-A, which goes to the beginning of the line in each of the shells."""
_LOAD = {
    "bash": "source <({program} completion bash)",
    "zsh": "autoload -U compinit; compinit -u -D; bindkey -e; source <({program} completion zsh)",
    "fish": "{program} completion fish | source",
}
_COMMANDS = {
    "bash": ["bash", "--noprofile", "--norc", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "--private", "--interactive"],
}
SHELLS = tuple(_COMMANDS)


class Shell:
    """One of the shells in a directory, where it has loaded the script that ``program`` prints."""

    def __init__(self, name: str, environment: Mapping[str, str], directory: Path, program: str = "engine") -> None:
        self.name = name
        self.noise = ""
        home = directory / f"home-{name}"
        home.mkdir(exist_ok=True)
        env = {**environment, "HOME": str(home), "TERM": "xterm", "PS1": "> ", "PROMPT": "> ", "SHELL": "/bin/sh"}
        self.terminal = Terminal(["env", "-C", str(directory), *_COMMANDS[name]], env, rows=60, columns=160)
        self.run(_LOAD[name].format(program=program))

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, *exc: object) -> None:
        self.terminal.__exit__(None, None, None)

    def run(self, line: str) -> str:
        """Run a line, and return what the terminal shows until it has ended, escape sequences left out."""
        self.terminal.type(f'{line}; echo "en""ded"\n')
        return _plain(self.terminal.wait_for("ended"))

    def completed(self, typed: str) -> str:
        """Type the line and a tab; return the line as it is then. ``noise`` has what the terminal showed meanwhile."""
        self.terminal.type(f'{typed}\t{_BEGIN}echo "sho""wn:" \n')
        self.noise = _plain(self.terminal.wait_for("shown: "))
        return _plain(self.terminal.wait_for("\n")).rstrip("\r")

    def listed(self, typed: str, until: str) -> str:
        """Type the line and two tabs; return what is shown until ``until`` is, and leave the line."""
        self.terminal.type(f"{typed}\t\t")
        shown = _plain(self.terminal.wait_for(until))
        self.terminal.type("\x03")
        self.run(":")
        return shown


def _plain(text: str) -> str:
    return _ESCAPE.sub("", text)
