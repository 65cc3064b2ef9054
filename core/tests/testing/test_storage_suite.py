"""The storage suite itself: a correct driver passes it, and each check catches a driver that is broken in one way."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.tests.testing.vfs import VfsDriver
from engine.contracts.storage import StorageConfig, StorageDriver
from engine.testing.storage import StorageContract


class TestReference(StorageContract):
    @pytest.fixture
    def driver(self, root: Path) -> StorageDriver:
        root.mkdir(mode=0o700)
        return VfsDriver(StorageConfig(root, {}))
