"""The start-up budget: the shim and the stage import all of this in a lean interpreter, on the way of every command."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import engine.linux

SOURCE = Path(engine.linux.__file__).parents[2]
MODULES = sorted(module.name for module in pkgutil.iter_modules(engine.linux.__path__))
STANDARD_LIBRARY = 18
"""Modules that the whole package may add to those of ``typing``: ctypes, struct, signal, select and their parts."""
MILLISECONDS = 60
"""Far above the 7 that it takes: a busy machine is not a failure, a heavy import is."""

PROBE = """
import sys, time
sys.path.insert(0, sys.argv[1])
import typing, collections.abc, json
before = set(sys.modules)
began = time.perf_counter()
for name in sys.argv[2:]:
    __import__("engine.linux." + name)
took = (time.perf_counter() - began) * 1000
print(json.dumps([took, sorted(set(sys.modules) - before)]))
"""


def probe(*modules: str) -> tuple[float, list[str]]:
    command = [sys.executable, "-I", "-S", "-W", "error", "-c", PROBE, str(SOURCE), *modules]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    took, added = json.loads(output)
    return took, added


def test_the_whole_package_is_cheap() -> None:
    times = []
    added: list[str] = []
    for _ in range(3):
        took, added = probe(*MODULES)
        times.append(took)
    foreign = [name for name in added if name.split(".")[0] != "engine"]
    assert len(foreign) <= STANDARD_LIBRARY, foreign
    assert min(times) < MILLISECONDS


def test_nothing_of_the_engine_above_it_is_imported() -> None:
    _, added = probe(*MODULES)
    above = [name for name in added if name.startswith("engine.") and not name.startswith("engine.linux")]
    assert above == ["engine.errors", "engine.tuples"]


@pytest.mark.parametrize("name", MODULES)
def test_each_module_can_be_imported_alone(name: str) -> None:
    _, added = probe(name)
    heavy = {"dataclasses", "inspect", "pathlib", "subprocess", "logging", "asyncio", "socket", "tempfile", "threading"}
    assert not heavy.intersection(added)
    assert f"engine.linux.{name}" in added


def test_ctypes_is_loaded_nowhere_else() -> None:
    for path in (SOURCE / "engine").rglob("*.py"):
        if path.parent.name != "linux":
            assert "import ctypes" not in path.read_text(encoding="utf-8"), path
