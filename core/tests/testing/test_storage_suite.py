"""The storage suite itself: a correct driver passes it, and each check catches a driver that is broken in one way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.tests.testing.storage_mutants import MUTANTS
from core.tests.testing.vfs import VfsDriver
from engine.contracts.storage import StorageConfig, StorageDriver
from engine.testing.processes import in_private_mounts
from engine.testing.storage import StorageContract

MUTATED = Path(__file__).with_name("mutated_storage.py")
ROOT = Path(__file__).resolve().parents[3]


class TestReference(StorageContract):
    @pytest.fixture
    def driver(self, root: Path) -> StorageDriver:
        root.mkdir(mode=0o700)
        return VfsDriver(StorageConfig(root, {}))


CHECKS = sorted(name for name in dir(StorageContract) if name.startswith("test_"))


def test_every_check_has_a_mutant() -> None:
    assert set(CHECKS) == set(MUTANTS), "each check needs a driver that it must catch"


@pytest.mark.parametrize("check", CHECKS)
def test_the_check_catches_its_mutant(check: str, tmp_path: Path) -> None:
    outcomes = in_private_mounts(lambda: run_check(check, tmp_path / "inner"))
    assert outcomes, f"pytest found no {check}"
    assert "error" not in outcomes, f"{check} did not get as far as its assertions"
    assert "failed" in outcomes, f"{check} passes on {MUTANTS[check].__name__}"


def run_check(check: str, directory: Path) -> list[str]:
    """Run one check on its mutant in this process, and return the outcome of each of its parameters."""
    collector = Collector()
    arguments = ["-p", "no:terminal", "-p", "no:xdist", "-p", "no:cacheprovider", "--import-mode=importlib"]
    arguments += ["-c", os.devnull, "--noconftest", "--rootdir", str(ROOT), "--basetemp", str(directory)]
    pytest.main([*arguments, f"{MUTATED}::TestMutant::{check}"], plugins=[collector])
    return collector.outcomes


class Collector:
    """A pytest plugin that notes outcomes: ``passed``, ``failed``, ``skipped``, and ``error`` outside of the test."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome == "skipped":
            self.outcomes.append(report.outcome)
        elif report.outcome == "failed":
            self.outcomes.append("error")
