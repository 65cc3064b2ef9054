"""The btrfs driver keeps the contract of storage drivers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from engine.contracts.storage import StorageConfig, StorageDriver
from engine.testing.storage import StorageContract
from engine_storage_btrfs.driver import BtrfsDriver


class TestBtrfs(StorageContract):
    @pytest.fixture
    def root(self, base: Path) -> Path:
        root = base / "root"
        root.mkdir(mode=0o700)
        return root

    @pytest.fixture
    def driver(self, root: Path) -> StorageDriver:
        return BtrfsDriver(StorageConfig(root, {}))

    @pytest.fixture
    def lower(self, base: Path) -> Path:
        lower = base / "lower"
        subprocess.run(["btrfs", "subvolume", "create", lower], check=True, capture_output=True)
        return lower
