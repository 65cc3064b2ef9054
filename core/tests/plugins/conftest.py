"""Distributions made for a test, in a directory of their own on the path of real engine processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

ENGINE = Path(sys.executable).parent / "engine"

LOG_PLUGIN = """
    from engine.contracts.common import Probe
    from engine.contracts.logs import LogDriver
    from engine.hookspecs import hookimpl

    contract = 1

    class Driver(LogDriver):
        def probe(self):
            return Probe(True, "made for a test", 1)
        def sink_arguments(self):
            return {}
        def read(self, directory, *, tail=None, follow=None):
            return iter(())

    @hookimpl
    def log_driver(config):
        return Driver()
"""
"""A log plugin without a fault; tests put one in."""


class Site:
    """A directory of distributions, and the engine with them installed beside the workspace's own."""

    def __init__(self, place: Path) -> None:
        self.path = place / "site"
        self.path.mkdir()
        self.cache = place / "cache"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("XDG_")},
            "PYTHONPATH": str(self.path),
            "PYTHONDONTWRITEBYTECODE": "1",
            "ENGINE_CACHE": str(self.cache),
            "ENGINE_ROOT": str(place / "root"),
            "ENGINE_STATE": str(place / "state"),
            "HOME": str(place),
        }

    def add(self, distribution: str, entry_points: Mapping[str, str], version: str = "1.0", **modules: str) -> Path:
        """Install a distribution; ``entry_points`` maps KIND/NAME to a module. Return its metadata directory."""
        for name, source in modules.items():
            (self.path / f"{name}.py").write_text(textwrap.dedent(source))
        metadata = self.path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        lines = []
        for which, module in entry_points.items():
            kind, _slash, name = which.partition("/")
            lines.append(f"[engine.{kind}]\n{name} = {module}\n")
        (metadata / "entry_points.txt").write_text("".join(lines))
        return metadata

    def remove(self, metadata: Path) -> None:
        """Uninstall a distribution (its metadata is what counts)."""
        shutil.rmtree(metadata)

    def settle(self) -> None:
        """Wait until what was installed is old enough to be remembered."""
        time.sleep(0.06)

    def python(self, program: str) -> Any:
        """Run a program that prints JSON, and return what it printed."""
        result = subprocess.run(
            [sys.executable, "-P", "-c", textwrap.dedent(program)],
            capture_output=True,
            text=True,
            env=self.environment,
            cwd=self.path.parent,
        )
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    def engine(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the engine's command line."""
        return subprocess.run([ENGINE, *arguments], capture_output=True, text=True, env=self.environment)

    def report(self) -> dict[str, dict[str, Any]]:
        """Return the rows of `engine plugins` by KIND/NAME."""
        result = self.engine("plugins", "--format", "json")
        assert result.returncode == 0, result.stderr
        rows = map(json.loads, result.stdout.splitlines())
        return {f"{row['Kind']}/{row['Name']}": row for row in rows}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)
