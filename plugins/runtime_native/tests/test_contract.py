from __future__ import annotations

from pathlib import Path

import pytest

from engine.contracts.runtime import Runtime, RuntimeConfig
from engine.testing.runtime import RuntimeContract
from engine_runtime_native.driver import NativeRuntime


class TestNativeRuntime(RuntimeContract):
    @pytest.fixture
    def runtime(self, tmp_path: Path) -> Runtime:
        return NativeRuntime(RuntimeConfig(tmp_path / "cache", {}))
