from __future__ import annotations

from pathlib import Path

import pytest

from engine.contracts.runtime import Runtime, RuntimeConfig
from engine.errors import EngineError
from engine.testing.runtime import RuntimeContract
from engine.testing.runtime_support import Box
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

    def test_link_in_the_image_does_not_lead_a_mount_outside(self, box: Box) -> None:
        """crun does not make what a dangling link points to, inside or outside: it refuses such a mount."""
        with pytest.raises(EngineError, match="vol"):
            super().test_link_in_the_image_does_not_lead_a_mount_outside(box)
        assert not list((box.bundle / "outside").iterdir())
