"""What the cgroup suite's checks share: a bench with the driver and its containers, and looking at them."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from engine.actions.base import Phase, Step
from engine.contracts.cgroup import Capability, CgroupConfig, CgroupDriver, CgroupPlan
from engine.linux import cgroups
from engine.spec.runtime import Resources
from engine.testing.cgroup_container import Container, Shims

MakeDriver = Callable[[CgroupConfig], CgroupDriver]
PATIENCE = 20.0
"""Seconds to wait for what takes milliseconds on a quiet machine. A test may lower it: it is read when it is needed."""
MIB = 1 << 20

SLEEP = "import time; print('up', flush=True); time.sleep(600)"
SPIN = "print('up', flush=True)\nwhile True: pass"


class Bench:
    """What a check gets: the driver, others like it, and containers that are removed when the check ends."""

    def __init__(
        self, make_driver: MakeDriver, shims: Shims, node: str, parent: str, *, parents_stay: bool = False
    ) -> None:
        self.mark = hashlib.sha256(f"{node} {os.getpid()} {time.monotonic_ns()}".encode()).hexdigest()[:8]
        self.make_driver = make_driver
        self.shims = shims
        self.parent = parent
        self.parents_stay = parents_stay
        self.driver = self.with_mark(self.mark)
        self._containers: list[Container] = []
        self._names = 0

    def with_mark(self, mark: str) -> CgroupDriver:
        """Return another driver, for another root of the engine."""
        return self.make_driver(CgroupConfig("", mark, {}))

    @staticmethod
    def beside(other: Bench) -> Bench:
        """Return another bench, with a driver that looks at the machine as it is now."""
        return Bench(other.make_driver, other.shims, other.mark, other.parent, parents_stay=other.parents_stay)

    def name(self) -> str:
        """Return a name that no other container has."""
        self._names += 1
        return f"check{self._names}{self.mark}"

    def start(self, resources: Resources, program: str, *, parent: str = "", name: str = "") -> Container:
        """Start a container with these limits and wait for nothing."""
        return self.run(self.driver.plan(name or self.name(), resources, parent=parent), program)

    def run(self, plan: CgroupPlan, program: str) -> Container:
        """Start a container from a plan."""
        container = Container(self.driver, self.shims, plan, program, PATIENCE)
        self._containers.append(container)
        return container

    def needs(self, *capabilities: Capability) -> None:
        """Skip the check unless the driver declares all of these."""
        for capability in capabilities:
            if capability not in self.driver.capabilities:
                pytest.skip(f"the driver does not offer {capability.value} here")

    def close(self) -> None:
        """Remove every container, whatever the check did."""
        for container in self._containers:
            container.remove()


class CgroupChecks:
    """The base of the suite's parts: the fixtures."""

    parent = "/engine-suite"
    """A parent other than the default, in the driver's own syntax."""
    parents_stay = False
    """Whether parents that were made along with a group stay when it goes, as systemd's slices do."""

    @pytest.fixture
    def make_driver(self) -> MakeDriver:
        """Return what makes the driver under test from a `CgroupConfig`. A subclass overrides it."""
        raise NotImplementedError("a cgroup driver's test class provides the fixture 'make_driver'")

    @pytest.fixture(scope="class")
    @classmethod
    def shims(cls) -> Iterator[Shims]:
        """Keep what containers' shims are forked from."""
        shims = Shims()
        try:
            yield shims
        finally:
            shims.close()

    @pytest.fixture
    def bench(self, make_driver: MakeDriver, shims: Shims, request: pytest.FixtureRequest) -> Iterator[Bench]:
        """Make the driver, and clean up after the check."""
        bench = Bench(make_driver, shims, request.node.nodeid, self.parent, parents_stay=self.parents_stay)
        try:
            yield bench
        finally:
            bench.close()


def members(directory: str) -> list[int]:
    """Return the processes of one directory."""
    return [int(pid) for pid in cgroups.read_value(directory, "cgroup.procs").split()]


def existing(plan: CgroupPlan) -> list[str]:
    """Return the directories of a plan's group that exist."""
    return [path for path in plan.group.directories if os.path.exists(path)]


def made_by(plan: CgroupPlan) -> list[Step]:
    """Return the steps that run before the clone."""
    return [step for step in plan.before if step.phase is Phase.PARENT_BEFORE]


def eventually(condition: Callable[[], bool], what: str, seconds: float | None = None) -> None:
    """Wait for something, and fail the check when it does not come true (within `PATIENCE`, if nothing is given)."""
    patience = PATIENCE if seconds is None else seconds
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {patience:g} s")
        time.sleep(0.005)


def limits(**parts: Mapping[str, Any]) -> Resources:
    """Return a Resources object, of any keys."""
    return parts  # type: ignore[return-value]
