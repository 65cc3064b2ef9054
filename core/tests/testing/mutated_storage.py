"""The storage suite on broken drivers, each check on the one that it must notice. Run by `test_storage_suite` alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.tests.testing.storage_mutants import MUTANTS
from engine.contracts.storage import StorageConfig, StorageDriver
from engine.testing.storage import StorageContract


class TestMutant(StorageContract):
    @pytest.fixture
    def driver(self, root: Path, request: pytest.FixtureRequest) -> StorageDriver:
        root.mkdir(mode=0o700)
        return MUTANTS[request.function.__name__](StorageConfig(root, {}))
