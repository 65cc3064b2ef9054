"""The cgroup suite, part one: planning, joining, freezing, killing, removing."""

from __future__ import annotations

import json
import os
import time

import pytest

from engine.actions import execute
from engine.actions.base import Phase, from_plain, kind_of, to_plain
from engine.contracts.cgroup import Capability
from engine.linux import cgroups
from engine.testing import cgroup_support
from engine.testing.cgroup_support import (
    SLEEP,
    SPIN,
    Bench,
    CgroupChecks,
    eventually,
    existing,
    limits,
    members,
)

FORK_BOMB = """
import os
print('up', flush=True)
while True:
    try:
        os.fork()
    except OSError:
        pass
"""
ORPHAN = """
import os, sys
if os.fork() == 0:
    os.setsid()
    print(os.getpid(), flush=True)
    sys.stdin.read()
"""


class LifecycleChecks(CgroupChecks):
    """Planning touches nothing; a process joins all of its group; the group can be frozen, killed and removed."""

    def test_probe_says_usable_and_why(self, bench: Bench) -> None:
        """A driver under test is usable, or there is nothing to test; the reason is for people."""
        probe = bench.driver.probe()
        assert probe.usable, probe.reason
        assert len(probe.reason) > 10

    def test_capabilities_are_of_the_contract(self, bench: Bench) -> None:
        """Only what the contract names can be declared."""
        assert bench.driver.capabilities <= frozenset(Capability)

    def test_plan_touches_nothing(self, bench: Bench) -> None:
        """Planning, and asking where a group is, makes no directory."""
        plan = bench.driver.plan("untouched", {})
        bench.driver.group("untouched")
        try:
            assert not existing(plan)
        finally:
            execute.undo(plan.before, {})

    def test_steps_are_plain_data_of_the_right_phases(self, bench: Bench) -> None:
        """The shim gets the steps as JSON, knows every action, and finds each in the phase of its field."""
        plan = bench.driver.plan("plain", {})
        for steps, phase in (
            (plan.before, Phase.PARENT_BEFORE),
            (plan.inside, Phase.CHILD_BEFORE_PIVOT),
            (plan.after, Phase.PARENT_AFTER),
        ):
            assert {step.phase for step in steps} <= {phase}
            for step in steps:
                assert from_plain(json.loads(json.dumps(to_plain(step)))) == step
                assert step.action.describe()
        if plan.unit is not None:
            assert json.loads(json.dumps(dict(plan.unit.arguments))) == dict(plan.unit.arguments)

    def test_directories_are_journalled_before_they_exist(self, bench: Bench) -> None:
        """Undoing what the journal alone names removes everything: that is all a crash leaves to go by."""
        container = bench.start({}, SLEEP)
        journalled = [step for step in container.plan.before if kind_of(step.action).journalled]
        assert execute.undo(journalled, {}) == []
        assert not existing(container.plan)
        assert not container.alive()

    def test_process_is_in_every_directory_of_its_group(self, bench: Bench) -> None:
        """The first process joins every hierarchy, and its children with it."""
        container = bench.start({}, ORPHAN)
        orphan = int(container.read_line())
        assert container.group.directories
        for path in container.group.directories:
            assert orphan in members(path), path

    def test_group_names_the_same_place_as_the_plan(self, bench: Bench) -> None:
        """`group` finds what `plan` described, while it exists; perhaps in more hierarchies, if it was made there."""
        name = bench.name()
        container = bench.start({}, SLEEP, name=name)
        assert set(container.group.directories) <= set(bench.driver.group(name).directories)

    def test_two_marks_never_share_a_group(self, bench: Bench) -> None:
        """Two roots of the engine may use the same name: not one directory is common, nor what a runtime is told."""
        name = bench.name()
        plans = [bench.with_mark(mark).plan(name, {}) for mark in (bench.mark, "0000aaaa")]
        one, other = (set(plan.group.directories) for plan in plans)
        assert one
        assert other
        assert not one & other
        assert plans[0].oci_path != plans[1].oci_path

    def test_parent_is_honoured(self, bench: Bench) -> None:
        """A parent of the user's choice holds the group, and goes with it if it was made for it."""
        name = bench.name()
        default = bench.driver.group(name)
        there = [path for path in _parents(bench, name) if os.path.exists(path)]
        container = bench.start({}, SLEEP, parent=bench.parent, name=name)
        assert set(container.group.directories) <= set(bench.driver.group(name, parent=bench.parent).directories)
        assert not set(container.group.directories) & set(default.directories)
        assert container.pid in members(container.group.directories[0])
        assert container.remove() == []
        assert bench.parents_stay or [path for path in _parents(bench, name) if os.path.exists(path)] == there

    def test_freezing_stops_all_progress(self, bench: Bench) -> None:
        """A frozen group gets no processor time, and goes on where it was when it is thawed."""
        bench.needs(Capability.FREEZE)
        container = bench.start({}, SPIN)
        container.read_line()
        cgroups.freeze(container.group)
        try:
            before = container.cpu_time()
            time.sleep(0.3)
            assert container.cpu_time() == before
        finally:
            cgroups.thaw(container.group)
        eventually(lambda: container.cpu_time() > before, "a thawed process makes progress")

    def test_kill_empties_a_fork_bomb_within_a_second(self, bench: Bench) -> None:
        """Nothing that forks escapes."""
        bench.needs(Capability.PIDS)
        assert seconds_to_kill_a_bomb(bench, 100) < 1.0

    def test_undo_kills_what_was_left_running(self, bench: Bench) -> None:
        """A process that its parent left behind, in a session of its own, is still in the group and dies with it."""
        container = bench.start({}, ORPHAN)
        orphan = int(container.read_line())
        assert container.wait() == 0
        assert execute.undo(container.steps, {}) == []
        eventually(lambda: not _runs(orphan), "the orphan is dead", 2.0)

    def test_undo_removes_everything_and_may_be_repeated(self, bench: Bench) -> None:
        """Nothing is left in any hierarchy, parents made along with the group included; undoing again is fine."""
        name = bench.name()
        there = [path for path in _parents(bench, name, "") if os.path.exists(path)]
        container = bench.start({}, SLEEP, name=name)
        container.read_line()
        assert execute.undo(container.steps, {}) == []
        assert not existing(container.plan)
        assert bench.parents_stay or [path for path in _parents(bench, name, "") if os.path.exists(path)] == there
        assert execute.undo(container.steps, {}) == []

    def test_a_name_can_be_used_again_at_once(self, bench: Bench) -> None:
        """A container that was removed is started again without waiting for anything to settle."""
        name = bench.name()
        for _ in range(5):
            container = bench.start({}, SLEEP, name=name)
            assert container.pid in members(container.group.directories[0])
            assert container.remove() == []

    def test_neighbours_do_not_disturb_each_other(self, bench: Bench) -> None:
        """Removing one container leaves the next one in the same parent as it was."""
        first, second = (bench.start({}, SLEEP) for _ in range(2))
        assert first.remove() == []
        assert second.alive()
        assert second.pid in members(second.group.directories[0])

    def test_a_unit_is_refused_by_a_driver_without_units(self, bench: Bench) -> None:
        """`run_unit` of a driver whose plans have no unit says so instead of doing nothing."""
        from engine.errors import EngineError

        plan = bench.driver.plan("unitless", {})
        if plan.unit is None:
            with pytest.raises(EngineError):
                bench.driver.run_unit({}, 1)


def _parents(bench: Bench, name: str, parent: str | None = None) -> list[str]:
    """Return every directory above the group, up to the mount points."""
    above = set()
    for path in bench.driver.group(name, parent=bench.parent if parent is None else parent).directories:
        while (path := os.path.dirname(path)) != "/":
            above.add(path)
    return sorted(above)


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def seconds_to_kill_a_bomb(bench: Bench, size: int) -> float:
    """Return the seconds from the kill to an empty group, the best of three: others may want the processors as well."""
    times: list[float] = []
    while len(times) < 3 and min(times, default=2.0) >= 1.0:
        times.append(_defuse(bench, size))
    return min(times)


def _defuse(bench: Bench, size: int) -> float:
    container = bench.start(limits(pids={"limit": size + size // 4}), FORK_BOMB)
    container.read_line()
    assert container.pid in cgroups.processes(container.group)
    deadline = time.monotonic() + cgroup_support.PATIENCE
    while len(cgroups.processes(container.group)) <= size:
        if time.monotonic() > deadline:
            pytest.skip(f"this machine is too slow to make {size} processes")
        time.sleep(0.05)
    began = time.monotonic()
    cgroups.kill(container.group)
    took = time.monotonic() - began
    assert not cgroups.populated(container.group)
    eventually(lambda: not container.alive(), "the first process is dead", 1.0)
    return took
