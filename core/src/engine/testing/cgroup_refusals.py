"""The cgroup suite, part four: what is refused, by name, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from engine.contracts.cgroup import Capability
from engine.errors import Conflict, EngineError, InvalidInput, Unsupported
from engine.linux import cgroups
from engine.linux.block import huge_page_sizes
from engine.linux.cgroups import Group
from engine.testing.cgroup_changes import NO_SUCH_CPU
from engine.testing.cgroup_support import MIB, SLEEP, Bench, CgroupChecks, existing, limits

PAGE = next(iter(huge_page_sizes()), "2MB")

NEEDING: dict[Capability, tuple[str, dict[str, Any]]] = {
    Capability.CPU: ("cpu", {"cpu": {"shares": 512}}),
    Capability.CPUSET: ("cpu", {"cpu": {"cpus": "0"}}),
    Capability.MEMORY: ("memory", {"memory": {"limit": 64 * MIB}}),
    Capability.PIDS: ("pids", {"pids": {"limit": 10}}),
    Capability.DEVICES: ("devices", {"devices": [{"allow": False, "access": "rwm"}]}),
    Capability.REALTIME: ("realtime", {"cpu": {"realtimeRuntime": 1000}}),
    Capability.SWAPPINESS: ("memory", {"memory": {"swappiness": 5}}),
    Capability.OOM_CONTROL: ("memory", {"memory": {"disableOOMKiller": True}}),
    Capability.KERNEL_TCP: ("memory", {"memory": {"kernelTCP": MIB}}),
    Capability.IO: ("blockIO", {"blockIO": {"throttleReadBpsDevice": [{"major": 7, "minor": 0, "rate": MIB}]}}),
    Capability.IO_WEIGHT: ("blockIO", {"blockIO": {"weight": 100}}),
    Capability.HUGETLB: ("hugepageLimits", {"hugepageLimits": [{"pageSize": PAGE, "limit": 0}]}),
    Capability.RDMA: ("rdma", {"rdma": {"mlx5_0": {"hcaHandles": 1}}}),
    Capability.NET_CLS: ("network", {"network": {"classID": 1}}),
    Capability.NET_PRIO: ("network", {"network": {"priorities": [{"name": "lo", "priority": 1}]}}),
    Capability.UNIFIED: ("cgroup", {"unified": {"cgroup.max.depth": "5"}}),
}
"""What each capability is about: a word that the refusal must have, and limits that need it."""

NONSENSE: tuple[dict[str, Any], ...] = (
    {"cpu": {"shares": 1}},
    {"cpu": {"quota": 10, "period": 100_000}},
    {"cpu": {"quota": 50_000, "period": 10}},
    {"cpu": {"cpus": "0-"}},
    {"cpu": {"mems": "all"}},
    {"memory": {"limit": -5}},
    {"memory": {"limit": 64 * MIB, "swap": 32 * MIB}},
    {"memory": {"limit": 64 * MIB, "swappiness": 300}},
    {"memory": {"kernel": 64 * MIB}},
    {"cpu": {"idle": 7}},
    {"cpu": {"realtimeRuntime": 2000, "realtimePeriod": 1000}},
    {"blockIO": {"weight": 5}},
    {"blockIO": {"throttleReadBpsDevice": [{"rate": 5}]}},
    {"hugepageLimits": [{"pageSize": "3MB", "limit": 5}]},
    {"unified": {"../memory.max": "5"}},
    {"unified": {"cgroup.procs": "1"}},
    {"devices": [{"allow": True, "type": "z", "access": "rwm"}]},
    {"devices": [{"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwx"}]},
)


UNKNOWN: tuple[dict[str, Any], ...] = (
    {"blockTower": {"weight": 10}},
    {"memory": {"kernelTower": 4096}},
    {"blockIO": {"slowTower": 1}},
)


@contextmanager
def directories(path: str) -> Iterator[str]:
    """Make a v2 directory, and all that is missing above it, for a while."""
    made = []
    above = path
    while not os.path.exists(above):
        made.append(above)
        above = os.path.dirname(above)
    for one in reversed(made):
        os.mkdir(one)
    try:
        yield path
    finally:
        for one in made:
            os.rmdir(one)


@contextmanager
def inhabited(path: str) -> Iterator[None]:
    """Have a process in a directory for a while."""
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", "input()"], stdin=subprocess.PIPE) as process:
        try:
            cgroups.write_value(path, "cgroup.procs", process.pid)
            yield
        finally:
            process.kill()


def parent_of(bench: Bench, name: str) -> tuple[str, Group]:
    """Return a parent that nobody has used, and the group that a container of this name gets in it."""
    stem, dot, suffix = bench.parent.partition(".")
    parent = f"{stem}-{bench.mark}{dot}{suffix}"
    return parent, bench.driver.group(name, parent=parent)


class RefusalsChecks(CgroupChecks):
    """Nothing is dropped in silence."""

    @pytest.mark.parametrize("capability", NEEDING, ids=lambda capability: capability.value)
    def test_what_is_not_declared_is_refused_by_name(self, bench: Bench, capability: Capability) -> None:
        """A driver without a capability says which limit it cannot hold; one with it plans the limit."""
        word, resources = NEEDING[capability]
        if capability in bench.driver.capabilities:
            plan = bench.driver.plan("declared", resources)  # type: ignore[arg-type]
            bare = bench.driver.plan("declared", {})
            assert plan != bare, f"the driver declares {capability.value} and does nothing about it"
        else:
            with pytest.raises(Unsupported, match=word):
                bench.driver.plan("undeclared", resources)  # type: ignore[arg-type]

    @pytest.mark.parametrize("part", UNKNOWN, ids=str)
    def test_unknown_parts_are_refused_by_name(self, bench: Bench, part: dict[str, Any]) -> None:
        """A key that the driver does not know, at either level, is an error that names it."""
        with pytest.raises(Unsupported, match=r"\w+Tower"):
            bench.driver.plan("unknown", part)  # type: ignore[arg-type]

    @pytest.mark.parametrize("resources", NONSENSE, ids=str)
    def test_nonsense_is_refused(self, bench: Bench, resources: dict[str, Any]) -> None:
        """Values that no kernel would take are found before anything is made."""
        with pytest.raises((InvalidInput, Unsupported)):
            bench.driver.plan("nonsense", resources)  # type: ignore[arg-type]

    @pytest.mark.parametrize("name", ["..", "a/b", ""])
    def test_names_that_lead_elsewhere_are_refused(self, bench: Bench, name: str) -> None:
        """A name is one component of a path."""
        try:
            plan = bench.driver.plan(name, {})
        except InvalidInput:
            return
        default = bench.driver.plan("plain", {})
        for path, other in zip(plan.group.directories, default.group.directories, strict=True):
            assert path.rpartition("/")[0] == other.rpartition("/")[0]
            assert path.rpartition("/")[2] not in ("", "..")

    def test_a_parent_that_makes_no_sense_is_refused(self, bench: Bench) -> None:
        """`InvalidInput` for what is neither an absolute path nor the name of a slice."""
        for parent in ("../elsewhere", "no-such thing", "/a/../../b"):
            with pytest.raises(InvalidInput):
                bench.driver.plan("parent", {}, parent=parent)

    def test_a_threaded_parent_is_refused(self, bench: Bench) -> None:
        """`Conflict` where the kernel takes threads alone; such a parent is left as it is."""
        name = bench.name()
        parent, group = parent_of(bench, name)
        if not group.v2:
            pytest.skip("there is no cgroup v2 here")
        with directories(f"{os.path.dirname(group.v2)}/threads") as threads:
            cgroups.write_value(threads, "cgroup.type", "threaded")
            with pytest.raises(Conflict, match="threaded"):
                bench.driver.plan(name, {}, parent=parent)
            assert not any(map(os.path.exists, group.directories))

    def test_a_parent_with_processes_is_refused(self, bench: Bench) -> None:
        """`Conflict` that names them, where it would have to give v2 controllers; such a parent is left as it is."""
        bench.needs(Capability.MEMORY)
        name = bench.name()
        parent, group = parent_of(bench, name)
        if "memory" in group.v1:
            pytest.skip("the memory controller is not on v2 here")
        with directories(os.path.dirname(group.v2)) as path, inhabited(path):
            with pytest.raises(Conflict, match=r"processes of its own \(\d+\)"):
                bench.driver.plan(name, {}, parent=parent)
            assert cgroups.read_value(path, "cgroup.subtree_control") == ""

    def test_an_option_that_is_unknown_is_refused(self, bench: Bench) -> None:
        """A user's misspelt option is an error that names it."""
        from engine.contracts.cgroup import CgroupConfig

        with pytest.raises(InvalidInput, match="colour"):
            bench.make_driver(CgroupConfig("", bench.mark, {"colour": "red"}))

    def test_a_start_that_fails_leaves_nothing(self, bench: Bench) -> None:
        """A limit that the kernel refuses ends the start with an error that names it, and nothing was made."""
        bench.needs(Capability.CPUSET)
        plan = bench.driver.plan(bench.name(), limits(cpu={"cpus": NO_SUCH_CPU}))
        with pytest.raises(EngineError, match="cpus"):
            bench.run(plan, SLEEP)
        assert not existing(plan)
