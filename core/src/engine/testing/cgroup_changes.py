"""The cgroup suite, part three: changing the limits of a running group, and reading back what is in force."""

from __future__ import annotations

import os

import pytest

from engine.contracts.cgroup import Capability
from engine.errors import Conflict, EngineError, NotFound
from engine.testing.cgroup_limits import AFFINITY, FORK, OPEN, assert_throttled_to, memory_limit
from engine.testing.cgroup_support import MIB, SLEEP, SPIN, Bench, CgroupChecks, limits

NO_SUCH_CPU = "1000"
HOLD = "held = b'x' * (48 << 20)\n" + 2 * "print('alive', flush=True); input()\n"
GIVE_UP = (
    """
import mmap
held = mmap.mmap(-1, 48 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for page in range(0, len(held), mmap.PAGESIZE):
    held[page] = 1
held.madvise(mmap.MADV_FREE)
"""
    + 2 * "print('alive', flush=True); input()\n"
)
"""It has memory in use that it needs no more: the kernel takes it back when it wants to (madvise(2))."""


class ChangesChecks(CgroupChecks):
    """`update` is all or nothing, and `read_back` tells the truth."""

    def test_update_of_pids_takes_effect(self, bench: Bench) -> None:
        """The new limit counts for the next fork."""
        bench.needs(Capability.PIDS)
        name = bench.name()
        container = bench.start(limits(pids={"limit": 40}), FORK, name=name)
        bench.driver.update(name, limits(pids={"limit": 6}))
        container.say("go")
        assert container.read_line() == "5 11"

    def test_update_of_cpuset_takes_effect(self, bench: Bench) -> None:
        """A running process is moved to the new processors."""
        bench.needs(Capability.CPUSET)
        if (os.cpu_count() or 1) < 2:
            pytest.skip("this machine has one processor")
        first, last = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))
        name = bench.name()
        container = bench.start(limits(cpu={"cpus": str(first)}), AFFINITY, name=name)
        bench.driver.update(name, limits(cpu={"cpus": str(last)}))
        container.say()
        assert container.read_line() == f"[{last}]"

    def test_update_of_quota_takes_effect(self, bench: Bench) -> None:
        """A quota given to a group that had none throttles it."""
        bench.needs(Capability.CPU, Capability.STATISTICS)
        name = bench.name()
        container = bench.start({}, SPIN, name=name)
        container.read_line()
        bench.driver.update(name, limits(cpu={"quota": 20_000, "period": 100_000}))
        assert_throttled_to(0.2, bench, container)

    def test_update_of_memory_goes_up_and_down(self, bench: Bench) -> None:
        """Limit, and memory and swap together, change in whichever order the kernel takes."""
        bench.needs(Capability.MEMORY)
        name = bench.name()
        container = bench.start(limits(memory=memory_limit(bench, 64)), SLEEP, name=name)
        for mebibytes in (128, 32, -1):
            wanted = memory_limit(bench, mebibytes) if mebibytes > 0 else dict.fromkeys(memory_limit(bench, 1), -1)
            bench.driver.update(name, limits(memory=wanted))
            in_force = bench.driver.statistics(container.group).memory_limit_bytes
            assert in_force == (mebibytes * MIB if mebibytes > 0 else None)

    def test_memory_in_use_is_not_taken_away_if_that_is_asked(self, bench: Bench) -> None:
        """With ``checkBeforeUpdate`` a limit below what is in use is refused, on v2 as on v1, and nobody is killed."""
        bench.needs(Capability.MEMORY, Capability.STATISTICS)
        name = bench.name()
        container = bench.start(limits(memory=memory_limit(bench, 128)), HOLD, name=name)
        container.read_line()
        lower = {**memory_limit(bench, 16), "checkBeforeUpdate": True}
        with pytest.raises(Conflict, match=r"memory\.(limit|swap) .* in use"):
            bench.driver.update(name, limits(memory=lower))
        container.say()
        assert container.read_line() == "alive"
        assert bench.driver.statistics(container.group).memory_limit_bytes == 128 * MIB

    def test_memory_that_can_be_reclaimed_is_in_no_limit_s_way(self, bench: Bench) -> None:
        """What the kernel can take back is taken back, and then the lower limit holds."""
        bench.needs(Capability.MEMORY, Capability.STATISTICS)
        name = bench.name()
        container = bench.start(limits(memory=memory_limit(bench, 128)), GIVE_UP, name=name)
        if "memory" not in container.group.v1 and not os.path.exists(f"{container.group.v2}/memory.reclaim"):
            pytest.skip("this kernel cannot be asked to reclaim memory (Linux 5.19)")
        container.read_line()
        bench.driver.update(name, limits(memory={**memory_limit(bench, 24), "checkBeforeUpdate": True}))
        container.say()
        assert container.read_line() == "alive"
        assert bench.driver.statistics(container.group).memory_limit_bytes == 24 * MIB

    def test_update_of_devices_takes_effect(self, bench: Bench) -> None:
        """A device is taken away and another given; what stays allowed is there throughout."""
        bench.needs(Capability.DEVICES)
        nothing = {"allow": False, "access": "rwm"}
        null, zero, full = ({"allow": True, "type": "c", "major": 1, "minor": minor} for minor in (3, 5, 7))
        name = bench.name()
        container = bench.start(limits(devices=[nothing, null, zero]), OPEN, name=name)  # type: ignore[arg-type]
        bench.driver.update(name, limits(devices=[nothing, null, full]))  # type: ignore[arg-type]
        answers = []
        for path in ("/dev/null", "/dev/zero", "/dev/full"):
            container.say(f"{path} rw")
            answers.append(container.read_line())
        assert answers == ["opened", "refused", "opened"]

    def test_update_leaves_alone_what_is_not_set(self, bench: Bench) -> None:
        """Changing one limit does not lift another."""
        bench.needs(Capability.PIDS, Capability.MEMORY)
        name = bench.name()
        container = bench.start(limits(pids={"limit": 40}, memory=memory_limit(bench, 64)), SLEEP, name=name)
        bench.driver.update(name, limits(pids={"limit": 20}))
        found = bench.driver.read_back(container.group, limits(memory={"limit": MIB}))
        assert found == {"memory.limit": str(64 * MIB)}

    def test_a_failing_update_restores_the_limits(self, bench: Bench) -> None:
        """When the kernel refuses one limit, those written before it are as they were."""
        bench.needs(Capability.CPU, Capability.CPUSET, Capability.PIDS)
        name = bench.name()
        asked = limits(cpu={"shares": 512, "quota": 50_000, "period": 100_000}, pids={"limit": 40})
        container = bench.start(asked, SLEEP, name=name)
        before = bench.driver.read_back(container.group, asked)
        wrong = limits(cpu={"shares": 2048, "quota": 90_000, "cpus": NO_SUCH_CPU}, pids={"limit": 7})
        with pytest.raises(EngineError) as caught:
            bench.driver.update(name, wrong)
        assert "cpu" in str(caught.value)
        assert bench.driver.read_back(container.group, asked) == before

    def test_update_of_a_group_that_is_gone(self, bench: Bench) -> None:
        """`NotFound`."""
        name = bench.name()
        container = bench.start({}, SLEEP, name=name)
        assert container.remove() == []
        with pytest.raises(NotFound):
            bench.driver.update(name, {})

    def test_read_back_is_what_the_kernel_holds(self, bench: Bench) -> None:
        """Every limit that was asked for is found under its own name, with the value in force now."""
        bench.needs(Capability.MEMORY, Capability.PIDS, Capability.CPU)
        name = bench.name()
        asked = limits(memory={"limit": 64 * MIB}, pids={"limit": 40}, cpu={"quota": 50_000, "period": 100_000})
        container = bench.start(asked, SLEEP, name=name)
        found = bench.driver.read_back(container.group, asked)
        assert {"memory.limit", "pids.limit", "cpu.quota"} <= found.keys()
        assert (found["memory.limit"], found["pids.limit"]) == (str(64 * MIB), "40")
        assert found["cpu.quota"].split()[0] == "50000"
        bench.driver.update(name, limits(pids={"limit": 50}))
        assert bench.driver.read_back(container.group, asked)["pids.limit"] == "50"
