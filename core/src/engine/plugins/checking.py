"""``engine plugins check``: the contract suite of a kind, run against an installed plugin in a process of its own.

The plugin is found, loaded and called as a command would do it, so what passes here is what users get.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from engine.errors import InvalidInput, NotFound, Unsupported
from engine.plugins.installed import Entry, index
from engine.plugins.registry import load

_HEAD = """\
import pytest

from engine.plugins import driver as make

pytest.register_assert_rewrite("engine.testing")
NAME = {name!r}
"""

_SUITES = {
    "cgroup": """
from engine.contracts.cgroup import CgroupConfig
from engine.testing.cgroup import CgroupContract

IS_SYSTEMD = make("cgroup", NAME, CgroupConfig("", "00000000", {})).plan("probe", {}).oci_systemd


class TestPlugin(CgroupContract):
    parent = "machine.slice" if IS_SYSTEMD else "/engine-suite"
    parents_stay = IS_SYSTEMD

    @pytest.fixture
    def make_driver(self):
        return lambda config: make("cgroup", NAME, config)
""",
    "log": """
from engine.contracts.logs import LogConfig
from engine.testing.log import LogContract, SilentLogContract

Contract = LogContract if make("log", NAME, LogConfig({})).sink else SilentLogContract


class TestPlugin(Contract):
    @pytest.fixture
    def make_driver(self):
        return lambda options: make("log", NAME, LogConfig(options))
""",
    "namespace": """
from engine.contracts.namespace import NamespaceConfig
from engine.testing.namespace import NamespaceContract


class TestPlugin(NamespaceContract):
    @pytest.fixture
    def driver(self):
        return make("namespace", NAME, NamespaceConfig({}))
""",
    "runtime": """
from engine.contracts.runtime import RuntimeConfig
from engine.testing.runtime import RuntimeContract


class TestPlugin(RuntimeContract):
    @pytest.fixture
    def runtime(self, tmp_path):
        return make("runtime", NAME, RuntimeConfig(tmp_path / "cache", {}))
""",
    "storage": """
from engine.contracts.storage import StorageConfig
from engine.testing.storage import StorageContract


class TestPlugin(StorageContract):
    @pytest.fixture
    def driver(self, root):
        root.mkdir(mode=0o700)
        return make("storage", NAME, StorageConfig(root, {}))
""",
}
"""A test module for each kind: the class of `engine.testing`, and the fixture that makes the driver."""


def check(wanted: str, directory: Path | None = None, *, verbose: bool = False) -> int:
    """Run the suite for the plugin ``NAME`` or ``KIND/NAME``; return pytest's exit status (0: it passed).

    The checks work below ``directory``, or /var/tmp. Its output goes to this process's. Raises `NotFound`,
    `InvalidInput` for a name that several kinds have, `PluginError`, `Unsupported` for a kind without a suite.
    """
    entry = _find(wanted)
    load(entry.kind, entry.name)
    if importlib.util.find_spec("pytest") is None:
        raise Unsupported("the contract suites need pytest", fix="Install it: pip install 'engine-core[testing]'")
    place = Path(tempfile.mkdtemp(prefix="engine-check-", dir=directory or "/var/tmp"))
    try:
        module = place / "test_plugin.py"
        module.write_text(module_for(entry))
        return _pytest(module, place / "work", verbose=verbose)
    finally:
        shutil.rmtree(place)


def _find(wanted: str) -> Entry:
    kind, _slash, name = wanted.rpartition("/")
    found = [entry for entry in index().entries if entry.name == name and kind in ("", entry.kind)]
    kinds = list(dict.fromkeys(entry.kind for entry in found))
    if not found:
        raise NotFound(f"no plugin named '{wanted}' is installed", fix="`engine plugins` lists what is.")
    if len(kinds) > 1:
        raise InvalidInput(
            f"there are plugins named '{name}' of several kinds",
            fix=f"Choose {' or '.join(f'{one}/{name}' for one in kinds)}.",
        )
    return found[0]


def module_for(entry: Entry) -> str:
    """Return the test module that checks a plugin. Raises `Unsupported` for a kind without a suite."""
    if entry.kind not in _SUITES:
        raise Unsupported(
            f"there is no contract suite for {entry.kind} plugins", fix=f"There are for {', '.join(_SUITES)}."
        )
    return _HEAD.format(name=entry.name) + _SUITES[entry.kind]


def _pytest(module: Path, work: Path, *, verbose: bool) -> int:
    options = ["-p", "no:cacheprovider", f"--rootdir={module.parent}", f"--basetemp={work}", "-c", "/dev/null"]
    options += ["-ra", "--tb=short"]
    options += ["-v"] if verbose else ["-q"]
    return subprocess.run([sys.executable, "-m", "pytest", *options, str(module)], check=False).returncode
