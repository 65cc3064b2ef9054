from __future__ import annotations

from pathlib import Path

import pytest

from engine.contracts.runtime import RuntimeConfig
from engine.testing.runtime_support import Box, make_box
from engine_runtime_native.driver import NativeRuntime


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return make_box(NativeRuntime(RuntimeConfig(tmp_path / "cache", {})), tmp_path / "bundle")
