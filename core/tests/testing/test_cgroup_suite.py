"""The cgroup suite itself: each check catches a driver broken in one way. `plugins/cgroup_fs` passes them all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.tests.testing.cgroup_mutants import MUTANTS
from engine.testing.cgroup import CgroupContract
from engine.testing.processes import in_child

MUTATED = Path(__file__).with_name("mutated_cgroup.py")
ROOT = Path(__file__).resolve().parents[3]
CHECKS = sorted(name for name in dir(CgroupContract) if name.startswith("test_"))


def test_every_check_has_a_mutant() -> None:
    assert set(CHECKS) == set(MUTANTS), "each check needs a driver that it must catch"


@pytest.mark.parametrize("check", CHECKS)
def test_the_check_catches_its_mutant(check: str, tmp_path: Path) -> None:
    outcomes = in_child(lambda: run_check(check, tmp_path / "inner"))
    assert outcomes, f"pytest found no {check}"
    if set(outcomes) == {"skipped"}:
        pytest.skip("this machine has not what the check needs")
    assert "error" not in outcomes, f"{check} did not get as far as its assertions"
    assert "failed" in outcomes, f"{check} passes on {MUTANTS[check].__name__}"


def run_check(check: str, directory: Path) -> list[str]:
    """Run one check on its mutant in this process, and return the outcome of each of its parameters."""
    collector = Collector()
    arguments = ["--noconftest", "-p", "no:terminal", "-p", "no:xdist", "-p", "no:cacheprovider"]
    arguments += ["--import-mode=importlib", "-c", os.devnull, "--rootdir", str(ROOT), "--basetemp", str(directory)]
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
