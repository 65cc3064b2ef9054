"""A contract suite in a pytest of its own, where this one cannot run it: in other namespaces, as another user.

Each check has the time that any test has, so that one that hangs is named; the suite as a whole takes a minute on a
quiet machine, and has what it may need on a busy one. `WHOLE` marks the test that waits for it.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

EACH, ALL = 180, 900
"""Seconds for a check, and for the suite."""
WHOLE = pytest.mark.timeout(ALL + 60)
_OPTIONS = ("-p", "no:cacheprovider", "-c", "/dev/null", "--noconftest", "--import-mode=importlib", "--tb=short", "-rs")


class Outcome(NamedTuple):
    """How many checks passed, and the reasons of those that were skipped."""

    passed: int
    skipped: set[str]


def suite(module: Path, basetemp: Path | str) -> list[str]:
    """Return the command that runs the suite of a test module; give it `ALL` seconds."""
    return [
        sys.executable, "-m", "pytest", *_OPTIONS, f"--timeout={EACH}", f"--basetemp={basetemp}", str(module)
    ]  # fmt: skip


def outcome(done: subprocess.CompletedProcess[str]) -> Outcome:
    """Return what came of it; fail the test that asks when a check failed."""
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed, done.stdout[-2000:]
    return Outcome(int(passed[1]), set(re.findall(r"SKIPPED \[\d+\] \S+: (.*)", done.stdout)))
