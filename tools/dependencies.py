"""Print every outside dependency of the workspace, one requirement a line: the input of ``./dev lock``.

Read from the pyproject.toml files: the dependencies and extras of each distribution (less the workspace's own ones),
the build requirements, and the root's dependency group ``dev``.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def read_projects(root: Path = ROOT) -> list[dict[str, Any]]:
    """Return the parsed pyproject.toml of every distribution, the core first."""
    files = [root / "core/pyproject.toml", *sorted(root.glob("plugins/*/pyproject.toml"))]
    return [tomllib.loads(file.read_text()) for file in files]


def name_of(requirement: str) -> str:
    """Return the normalised name of the distribution that a requirement asks for (PEP 503)."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\s<>=!~;\[(]", requirement, maxsplit=1)[0]).lower()


def outside_requirements(root: Path = ROOT) -> list[str]:
    """Return the sorted requirements on distributions that are not in the workspace."""
    projects = read_projects(root)
    own = {name_of(project["project"]["name"]) for project in projects}
    group: list[str] = tomllib.loads((root / "pyproject.toml").read_text())["dependency-groups"]["dev"]
    wanted = {*group, *(requirement for project in projects for requirement in _requirements(project))}
    return sorted(requirement for requirement in wanted if name_of(requirement) not in own)


def _requirements(project: dict[str, Any]) -> Iterator[str]:
    table = project["project"]
    yield from table.get("dependencies", [])
    for extra in table.get("optional-dependencies", {}).values():
        yield from extra
    yield from project["build-system"]["requires"]


if __name__ == "__main__":
    sys.stdout.write("".join(f"{requirement}\n" for requirement in outside_requirements()))
