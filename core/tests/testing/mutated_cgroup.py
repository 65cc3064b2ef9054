"""The cgroup suite on broken drivers: each check gets the one that it must notice. Run by `test_cgroup_suite` alone."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from core.tests.testing.cgroup_mutants import MUTANTS, MakesBehindTheJournal, MakesWhilePlanning
from engine.testing import cgroup_support
from engine.testing.cgroup import CgroupContract
from engine.testing.cgroup_support import MakeDriver


class TestMutant(CgroupContract):
    @pytest.fixture
    def make_driver(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeDriver]:
        monkeypatch.setattr(cgroup_support, "PATIENCE", 3.0)
        yield MUTANTS[request.function.__name__]
        for path in (*MakesBehindTheJournal.left, *MakesWhilePlanning.left):
            for directory in (path, os.path.dirname(path)):
                if os.path.isdir(directory):
                    os.rmdir(directory)
