"""The contract suite on the systemd driver: run inside of a booted systemd, by `test_contract`."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from engine.contracts.cgroup import CgroupConfig, CgroupDriver
from engine.testing.cgroup import CgroupContract
from engine.testing.cgroup_support import MakeDriver
from engine_cgroup_systemd.driver import CgroupSystemd

PARENT = "machine.slice"


@pytest.fixture(scope="module", autouse=True)
def parent_as_before() -> Iterator[None]:
    """Stop the slice if nobody else had started it: systemd keeps one that is empty."""
    stopped = subprocess.run(["systemctl", "--quiet", "is-active", PARENT], check=False).returncode
    yield
    if stopped:
        subprocess.run(["systemctl", "stop", PARENT], check=True)


class TestCgroupSystemd(CgroupContract):
    parent = PARENT
    parents_stay = True

    @pytest.fixture
    def make_driver(self) -> MakeDriver:
        def make(config: CgroupConfig) -> CgroupDriver:
            return CgroupSystemd(config)

        return make
