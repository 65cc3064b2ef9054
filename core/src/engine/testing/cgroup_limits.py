"""The cgroup suite, part two: what limits do to processes, and what the counters tell of it."""

from __future__ import annotations

import os
import signal
import time

import pytest

from engine.contracts.cgroup import Capability
from engine.errors import NotFound
from engine.testing import cgroup_support
from engine.testing.cgroup_container import Container
from engine.testing.cgroup_support import MIB, SPIN, Bench, CgroupChecks, eventually, limits

NULL, ZERO = {"type": "c", "major": 1, "minor": 3}, {"type": "c", "major": 1, "minor": 5}
AFFINITY = "import os; input(); print(sorted(os.sched_getaffinity(0)))\n" * 2
ALLOCATE = """
import os
print('up', flush=True)
input()
child = os.fork()
if child == 0:
    held = b'x' * (200 << 20)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
input()
"""
FORK = """
import os, time
children = 0
while input():
    try:
        while os.fork():
            children += 1
        time.sleep(600)
    except OSError as error:
        print(children, error.errno, flush=True)
"""
PINNED = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n" + SPIN
OPEN = """
import os
while line := input():
    path, mode = line.split()
    try:
        os.close(os.open(path, {'r': os.O_RDONLY, 'w': os.O_WRONLY, 'rw': os.O_RDWR}[mode]))
        print('opened', flush=True)
    except PermissionError:
        print('refused', flush=True)
"""


class LimitsChecks(CgroupChecks):
    """Each limit bites, and is counted."""

    def test_quota_is_the_processor_time_that_is_had(self, bench: Bench) -> None:
        """Two processes that want a processor each get half of one together, by the group's own accounting."""
        bench.needs(Capability.CPU, Capability.STATISTICS)
        container = bench.start(limits(cpu={"quota": 10_000, "period": 20_000}), "import os; os.fork()\n" + SPIN)
        container.read_line()
        assert_throttled_to(0.5, bench, container, 20_000)

    def test_shares_divide_a_contended_processor(self, bench: Bench) -> None:
        """Of two groups on one processor, the one with many times the shares gets much more of it."""
        bench.needs(Capability.CPU, Capability.STATISTICS)
        many, few = (bench.start(limits(cpu={"shares": shares}), PINNED) for shares in (8192, 128))
        for container in (many, few):
            container.read_line()
        before = [cpu_ns(bench, container) for container in (many, few)]
        eventually(lambda: cpu_ns(bench, few) > before[1] + 30_000_000, "the group with few shares gets some time")
        had = [cpu_ns(bench, container) - was for container, was in zip((many, few), before, strict=True)]
        assert had[0] > 4 * had[1]

    def test_cpuset_restricts_affinity(self, bench: Bench) -> None:
        """The processors of the list are all that the scheduler gives."""
        bench.needs(Capability.CPUSET)
        if (os.cpu_count() or 1) < 2:
            pytest.skip("this machine has one processor")
        last = max(os.sched_getaffinity(0))
        container = bench.start(limits(cpu={"cpus": str(last)}), AFFINITY)
        container.say()
        assert container.read_line() == f"[{last}]"

    def test_allocation_past_the_limit_is_killed_and_counted(self, bench: Bench) -> None:
        """The kernel's out-of-memory killer ends the process that allocates, and the counter says so.

        Its parent stays, because some drivers' groups vanish together with their last process.
        """
        bench.needs(Capability.MEMORY, Capability.STATISTICS)
        container = bench.start(limits(memory=memory_limit(bench, 64)), ALLOCATE)
        container.read_line()
        assert bench.driver.statistics(container.group).oom_kills == 0
        container.say()
        assert container.read_line() == str(-signal.SIGKILL)
        assert bench.driver.statistics(container.group).oom_kills == 1

    def test_allocation_below_the_limit_lives(self, bench: Bench) -> None:
        """The limit is the one that was asked for, not a lower one."""
        bench.needs(Capability.MEMORY)
        container = bench.start(limits(memory=memory_limit(bench, 300)), ALLOCATE)
        container.read_line()
        container.say()
        assert container.read_line() == "0"

    def test_the_process_past_the_limit_is_refused(self, bench: Bench) -> None:
        """With a limit of 64 a process has 63 children, and the 65th process is refused with EAGAIN."""
        bench.needs(Capability.PIDS)
        container = bench.start(limits(pids={"limit": 64}), FORK)
        container.say("go")
        assert container.read_line() == "63 11"

    def test_devices_outside_the_rules_cannot_be_opened(self, bench: Bench) -> None:
        """One device is allowed whole, one for reading alone, the rest not at all."""
        bench.needs(Capability.DEVICES)
        rules = [{"allow": False, "access": "rwm"}, {"allow": True, **NULL, "access": "rwm"}]
        container = bench.start(limits(devices=[*rules, {"allow": True, **ZERO, "access": "r"}]), OPEN)  # type: ignore[arg-type]
        answers = {}
        for line in ("/dev/null rw", "/dev/zero r", "/dev/zero rw", "/dev/full r"):
            container.say(line)
            answers[line] = container.read_line()
        assert answers == {
            "/dev/null rw": "opened", "/dev/zero r": "opened", "/dev/zero rw": "refused", "/dev/full r": "refused",
        }  # fmt: skip

    def test_every_device_may_be_allowed(self, bench: Bench) -> None:
        """Allowing everything, as a privileged container has it, allows what earlier rules denied."""
        bench.needs(Capability.DEVICES)
        rules = [{"allow": False, "access": "rwm"}, {"allow": True, "access": "rwm"}]
        container = bench.start(limits(devices=rules), OPEN)  # type: ignore[arg-type]
        container.say("/dev/full rw")
        assert container.read_line() == "opened"

    def test_statistics_move(self, bench: Bench) -> None:
        """Processor time and, where they are counted, memory and processes follow what the container does."""
        bench.needs(Capability.STATISTICS)
        container = bench.start({}, "held = b'x' * (50 << 20)\n" + SPIN)
        container.read_line()
        first = bench.driver.statistics(container.group)
        eventually(lambda: cpu_ns(bench, container) > (first.cpu_ns or 0) + 50_000_000, "processor time is counted")
        if Capability.MEMORY in bench.driver.capabilities:
            assert (first.memory_bytes or 0) > 50 * MIB
            assert first.memory_limit_bytes is None
        if Capability.PIDS in bench.driver.capabilities:
            assert first.pids == 1

    def test_statistics_tell_the_limits(self, bench: Bench) -> None:
        """The limits in force are among the counters."""
        bench.needs(Capability.STATISTICS, Capability.MEMORY, Capability.PIDS)
        container = bench.start(limits(memory=memory_limit(bench, 64), pids={"limit": 33}), SPIN)
        found = bench.driver.statistics(container.group)
        assert (found.memory_limit_bytes, found.pids_limit) == (64 * MIB, 33)

    def test_statistics_of_a_group_that_is_gone(self, bench: Bench) -> None:
        """`NotFound`, not a row of zeros."""
        bench.needs(Capability.STATISTICS)
        container = bench.start({}, SPIN)
        assert container.remove() == []
        with pytest.raises(NotFound):
            bench.driver.statistics(container.group)


def memory_limit(bench: Bench, mebibytes: int) -> dict[str, int]:
    """Return a memory limit that swap does not soften, where swap can be limited."""
    limit = {"limit": mebibytes * MIB}
    return {**limit, "swap": mebibytes * MIB} if Capability.SWAP in bench.driver.capabilities else limit


def cpu_ns(bench: Bench, container: Container) -> int:
    """Return the processor time of the group."""
    return bench.driver.statistics(container.group).cpu_ns or 0


def assert_throttled_to(share: float, bench: Bench, container: Container, period: int = 100_000) -> None:
    """Assert that a process that spins gets this share of a period of so many microseconds, ± 10 %.

    Short periods show it on a busy machine as well: what the scheduler gives at a time is then more than the quota.

    The group's own counters are the clock: it never gets more than its share per period, and in a period in which it
    was throttled no less, however busy the machine is.
    """
    time.sleep(0.2)
    before = bench.driver.statistics(container.group)
    periods = max(8, 400_000 // period)
    throttled_before = before.throttled_periods or 0
    eventually(
        lambda: (bench.driver.statistics(container.group).throttled_periods or 0) >= throttled_before + periods,
        "it is throttled",
        3 * cgroup_support.PATIENCE,
    )
    after = bench.driver.statistics(container.group)
    had = ((after.cpu_ns or 0) - (before.cpu_ns or 0)) / (1000 * period)
    passed = (after.periods or 0) - (before.periods or 0)
    throttled = (after.throttled_periods or 0) - throttled_before
    assert 0.9 * share * (throttled - 1) <= had <= 1.1 * share * (passed + 1)
