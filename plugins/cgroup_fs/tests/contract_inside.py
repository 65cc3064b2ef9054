"""The contract suite on cgroupfs, for the hierarchies that are left in a mount namespace: run by `test_hierarchies`."""

from __future__ import annotations

import pytest

from engine.contracts.cgroup import CgroupConfig, CgroupDriver
from engine.testing.cgroup import CgroupContract
from engine.testing.cgroup_support import MakeDriver
from engine_cgroup_fs.driver import CgroupFs


class TestCgroupFs(CgroupContract):
    @pytest.fixture
    def make_driver(self) -> MakeDriver:
        def make(config: CgroupConfig) -> CgroupDriver:
            return CgroupFs(config)

        return make
