"""The contract suite on a user's own systemd: run inside of a booted one, by `test_user`, as that user."""

from __future__ import annotations

import pytest

from engine.contracts.cgroup import CgroupConfig, CgroupDriver
from engine.testing.cgroup import CgroupContract
from engine.testing.cgroup_support import MakeDriver
from engine_cgroup_systemd.driver import CgroupSystemd


class TestUsersOwn(CgroupContract):
    parent = "work.slice"
    parents_stay = True

    @pytest.fixture
    def make_driver(self) -> MakeDriver:
        def make(config: CgroupConfig) -> CgroupDriver:
            return CgroupSystemd(CgroupConfig(config.parent, config.mark, {**config.options, "bus": "user"}))

        return make
