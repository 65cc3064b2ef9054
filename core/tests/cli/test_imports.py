"""What the command line imports before it does anything: counts that only ever tighten, and what costs too much."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from engine.cli.commands import COMMANDS

HEAVY = {
    "asyncio": "60 ms",
    "click": "typer carries its own",
    "dbus_next": "75 ms, the systemd driver's alone",
    "pydantic": "60 ms, and what is typed is parsed without it",
    "pydantic_settings": "190 ms, only when a settings file changed",
    "rich": "50 ms, and nothing is drawn",
    "stevedore": "60 ms, only when the plugins changed",
}
_SPLIT = 5 if sys.version_info >= (3, 13) else 0
"""Modules that Python 3.13 has split off others of the standard library."""
SCRIPT = """
import sys
from engine.cli.main import run
status = run({arguments!r})
print([status, *sys.modules], file=sys.stderr)
"""


def modules_of(*arguments: str) -> tuple[int, set[str]]:
    """Run a command in a fresh interpreter; return its status, and every module that was imported."""
    command = [sys.executable, "-c", SCRIPT.format(arguments=list(arguments))]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    status, *modules = ast.literal_eval(ended.stderr.splitlines()[-1])
    return status, set(modules)


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], []])
def test_version_and_help_import_next_to_nothing(arguments: list[str]) -> None:
    status, modules = modules_of(*arguments)
    assert status == 0
    assert "typer" not in modules
    assert len(modules) <= (60 if arguments == ["--version"] else 70)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_imports_no_other_command_and_nothing_heavy(name: str) -> None:
    status, modules = modules_of(name, "--help")
    assert status == 0
    assert not modules & HEAVY.keys()
    assert not {module for module in modules if module.startswith("engine.containers")}
    others = {entry.module for entry in COMMANDS.values()} - {COMMANDS[name].module}
    assert not modules & others
    assert len(modules) <= (215 if name in {"run", "create"} else 170) + _SPLIT


def test_refusing_a_flag_of_run_imports_no_more_than_the_parsers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENGINE_CACHE", str(tmp_path))
    typed = ["run", "--rm", "-m", "64m", "-e", "A=1", "-v", "relative:/x", "host:", "true"]
    modules_of(*typed)
    status, modules = modules_of(*typed)
    assert status == 125
    assert not modules & {*HEAVY, "typer", "sqlite3", "engine.containers", "engine.metadata", "engine.plugins"}
    assert len(modules) <= 143 + _SPLIT
