from __future__ import annotations

from pathlib import Path

import pytest

from engine.contracts.runtime import Runtime, RuntimeConfig
from engine.testing.runtime import RuntimeContract
from engine_runtime_oci.driver import OciRuntime


class TestRunc(RuntimeContract):
    @pytest.fixture
    def runtime(self, tmp_path: Path) -> Runtime:
        return OciRuntime("runc", RuntimeConfig(tmp_path / "cache", {}))


class TestCrun(RuntimeContract):
    @pytest.fixture
    def runtime(self, tmp_path: Path) -> Runtime:
        runtime = OciRuntime("crun", RuntimeConfig(tmp_path / "cache", {}))
        answer = runtime.probe()
        if not answer.usable:
            pytest.skip(answer.reason)
        return runtime
