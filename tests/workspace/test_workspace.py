"""Every distribution is in every list that names them all, and the lock holds what they ask for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tools import dependencies, module_rules

ROOT = Path(__file__).parent.parent.parent
PLUGINS = sorted(file.parent.name for file in ROOT.glob("plugins/*/pyproject.toml"))
LOCK = (ROOT / "requirements.lock").read_text()


@pytest.fixture(scope="module")
def workspace() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_types_are_checked_in_every_distribution(workspace: dict[str, Any]) -> None:
    assert workspace["tool"]["mypy"]["mypy_path"] == ["core/src", *(f"plugins/{name}/src" for name in PLUGINS)]


def test_the_import_rules_know_every_distribution(workspace: dict[str, Any]) -> None:
    rules, packages = workspace["tool"]["importlinter"], [f"engine_{name}" for name in PLUGINS]
    assert rules["root_packages"] == ["engine", *packages]
    by_id = {contract["id"]: contract for contract in rules["contracts"]}
    assert by_id["plugins-apart"]["modules"] == packages
    assert by_id["plugin-interface"]["source_modules"] == packages
    assert by_id["no-plugin-in-core"]["forbidden_modules"] == packages


def test_the_lock_names_hashes_and_no_address() -> None:
    lines = [line for line in LOCK.splitlines() if not line.startswith("#")]
    assert not [line for line in lines if "//" in line or "index" in line.split("==")[0] or line.startswith("-")]
    for block in re.split(r"\n(?=\S)", "\n".join(lines)):
        assert re.match(r"[a-z0-9-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", block, re.DOTALL), block


def test_the_lock_has_every_dependency() -> None:
    locked = {dependencies.name_of(line) for line in LOCK.splitlines() if line[:1].isalpha()}
    assert {dependencies.name_of(requirement) for requirement in dependencies.outside_requirements()} <= locked


def test_every_distribution_says_the_same_of_itself() -> None:
    for folder, project in zip(("core", *PLUGINS), dependencies.read_projects(), strict=True):
        table = project["project"]
        assert table["name"] == f"engine-{folder.replace('_', '-')}"
        assert (table["requires-python"], table["license"]) == (">=3.11", "Apache-2.0")


def tree(root: Path, module: str, text: str) -> Path:
    file = root / module
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return root


@pytest.mark.parametrize(
    ("module", "text", "complaint"),
    [
        ("plugins/x/src/x/long.py", "x = 1\n" * 501, "501 lines"),
        ("core/src/engine/linux/heavy.py", "import dataclasses\n", "dataclasses"),
        ("core/src/engine/shim/heavy.py", "def f():\n    from subprocess import run\n", "subprocess"),
        (
            "core/src/engine/actions/types.py",
            "if TYPE_CHECKING:\n    import pathlib\nelse:\n    import logging\n",
            "logging",
        ),
    ],
)
def test_a_module_that_breaks_a_rule_is_named(
    module: str, text: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert module_rules.main(tree(tmp_path, module, text)) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(module)
    assert complaint in line


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("core/src/engine/linux/types.py", "if TYPE_CHECKING:\n    import pathlib\n"),
        ("core/src/engine/cli/heavy.py", "import dataclasses\n" * 500),
    ],
)
def test_a_module_that_keeps_the_rules_passes(module: str, text: str, tmp_path: Path) -> None:
    assert module_rules.main(tree(tmp_path, module, text)) == 0
