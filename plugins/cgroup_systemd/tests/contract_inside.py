"""The contract suite on the systemd driver: run inside of a booted systemd, by `test_contract`."""

from __future__ import annotations

import pytest

from engine.contracts.cgroup import CgroupConfig, CgroupDriver
from engine.testing.cgroup import CgroupContract
from engine.testing.cgroup_support import MakeDriver
from engine_cgroup_systemd.driver import CgroupSystemd


class TestCgroupSystemd(CgroupContract):
    parent = "machine.slice"
    parents_stay = True

    @pytest.fixture
    def make_driver(self) -> MakeDriver:
        def make(config: CgroupConfig) -> CgroupDriver:
            return CgroupSystemd(config)

        return make
