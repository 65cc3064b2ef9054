"""The overlay driver keeps the contract of storage drivers."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.contracts.storage import StorageConfig, StorageDriver
from engine.testing.storage import StorageContract
from engine_storage_overlay.driver import OverlayDriver


class TestOverlay(StorageContract):
    @pytest.fixture(params=[{}, {"metacopy": "true"}, {"userxattr": "true"}], ids=["default", "metacopy", "userxattr"])
    def driver(self, root: Path, request: pytest.FixtureRequest) -> StorageDriver:
        root.mkdir(mode=0o700)
        return OverlayDriver(StorageConfig(root, request.param))
