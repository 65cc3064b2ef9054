"""Budgets of modules per command, which only ever become tighter, and a reason for each library on the main way."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path
from pkgutil import walk_packages

import pytest

import engine
from tests.imports import tracing
from tests.machine.engine_root import ENGINE, EngineRoot

BUDGETS = {
    "--version": 45,
    "--help": 65,
    "run --help": 215,
    "ps": 260,
    "info": 340,
}
"""Modules that a command may import, the interpreter's own 33 included."""

_SPLIT = sys.version_info >= (3, 13)
"""Python 3.13 has split some modules of the standard library."""

RUN_BUDGET = 321 if _SPLIT else 313
"""Modules that ``engine run`` may import, when its settings and the index of plugins are remembered."""

REASONS = {
    "pluggy": "checks the chosen plugins' hooks, and calls them",
}
"""Why each library outside the standard library is on the way of ``engine run``."""

NEVER = {"asyncio", "dbus_next", "pydantic", "pydantic_core", "pydantic_settings", "rich", "ssl", "stevedore"}
"""What a command that finds everything remembered must not import."""

SHIM_BUDGET = 140 if _SPLIT else 139
"""Modules of a shim with its stage imported: it has no site, and stays as long as its container."""


def names(imported: list[tracing.Imported]) -> set[str]:
    return {module.top for module in imported}


@pytest.fixture
def warm_root(engine_root: EngineRoot) -> EngineRoot:
    """An engine whose caches hold what they can hold."""
    engine_root.environment |= {"ENGINE_ROOT": str(engine_root.root), "ENGINE_STATE": str(engine_root.state)}
    for _ in range(2):
        subprocess.run([ENGINE, "plugins"], env=engine_root.environment, capture_output=True, check=True)
    return engine_root


@pytest.mark.parametrize("command", BUDGETS)
def test_a_command_keeps_to_its_budget(command: str, warm_root: EngineRoot) -> None:
    imported = tracing.by([ENGINE, *command.split()], warm_root.environment)
    assert len(imported) <= BUDGETS[command], [module.name for module in imported]
    assert not names(imported) & NEVER


@pytest.mark.parametrize(
    ("words", "most"), [(["stop", "-"], 70), (["run", "--storage", ""], 80), (["exec", ""], 210), (["rmi", ""], 175)]
)
def test_a_tab_imports_no_command_line_library(words: list[str], most: int, warm_root: EngineRoot) -> None:
    tracing.by([ENGINE, "__complete", *words], warm_root.environment)
    imported = tracing.by([ENGINE, "__complete", *words], warm_root.environment)
    assert not names(imported) & {*NEVER, "typer"}
    assert len(imported) <= most, [module.name for module in imported]


def test_the_version_needs_no_command_line_library(warm_root: EngineRoot) -> None:
    assert "typer" not in names(tracing.by([ENGINE, "--version"], warm_root.environment))


def test_what_run_imports_is_accounted_for(warm_root: EngineRoot, busybox_rootfs_tar: Path) -> None:
    assert warm_root.run("import", busybox_rootfs_tar, "busybox").returncode == 0
    run: list[str | Path] = [ENGINE, "run", "--rm", "--network", "none", "busybox", "/bin/true"]
    tracing.by(run, warm_root.environment)
    imported = tracing.by(run, warm_root.environment)
    outside = names(imported) & set(packages_distributions()) - {"engine"}
    outside = {name for name in outside if not name.startswith("engine_")}
    print(f"engine run: {len(imported)} modules, {sum(one.microseconds for one in imported) / 1000:.1f} ms; {outside}")
    assert outside <= set(REASONS), f"no reason is given for {outside - set(REASONS)}"
    assert not names(imported) & NEVER
    assert len(imported) <= RUN_BUDGET, [module.name for module in imported]


def test_the_shim_and_the_stage_are_lean(warm_root: EngineRoot) -> None:
    root = Path(__file__).parent.parent.parent
    paths = [str(root / "core/src"), str(root / "plugins/runtime_native/src"), str(root / "plugins/log_json_file/src")]
    program = f"import sys; sys.path[:0] = {paths!r}\nimport engine.shim.main, engine_runtime_native.stage\n"
    program += "import engine_log_json_file.sink\n"
    imported = tracing.by(["-I", "-S", "-X", "utf8", "-c", program], {})
    assert len(imported) <= SHIM_BUDGET, [module.name for module in imported]
    assert not names(imported) & {"asyncio", "dataclasses", "inspect", "logging", "pathlib", "subprocess", "typing"}


def modules() -> Iterator[str]:
    """Every module of the core and of the installed plugins."""
    packages = ["engine", *(name for name in packages_distributions() if name.startswith("engine_"))]
    for package in packages:
        yield package
        for found in walk_packages(import_module(package).__path__, f"{package}."):
            if not found.name.endswith("__main__"):
                yield found.name


def test_every_module_imports_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in modules():
            import_module(name)
    assert engine.__name__ in sys.modules
