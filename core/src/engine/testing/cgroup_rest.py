"""The cgroup suite, part six: idle groups, realtime, files of cgroup v2, and what is told as it happens."""

from __future__ import annotations

import errno
import os
import select

import pytest

from engine.contracts.cgroup import Capability
from engine.linux import cgroups, oom
from engine.testing import cgroup_support
from engine.testing.cgroup_lifecycle import seconds_to_kill_a_bomb
from engine.testing.cgroup_limits import ALLOCATE, FORK, PINNED, cpu_ns, memory_limit
from engine.testing.cgroup_support import MIB, SLEEP, Bench, CgroupChecks, eventually, limits

TOUCH = """
held = bytearray()
print('up', flush=True)
while True:
    held += bytes(1 << 20)
"""
"""Takes memory by touching it: that is what waits when there is none and nobody is killed."""
TWO_SPIN = "import os; os.fork(); " + PINNED


class RestChecks(CgroupChecks):
    """What fewer containers are limited in, and what the kernel tells."""

    def test_idle_gets_what_is_left(self, bench: Bench) -> None:
        """A group that is idle gets next to nothing beside one that is not."""
        bench.needs(Capability.CPU, Capability.STATISTICS)
        idle, busy = (bench.start(limits(cpu=cpu), PINNED) for cpu in ({"idle": 1}, {}))
        for container in (idle, busy):
            container.read_line()
        before = cpu_ns(bench, idle), cpu_ns(bench, busy)
        eventually(lambda: cpu_ns(bench, busy) > before[1] + 300_000_000, "the other one runs")
        assert cpu_ns(bench, idle) - before[0] < 100_000_000

    def test_a_realtime_budget_lets_processes_be_realtime(self, bench: Bench) -> None:
        """With a budget the scheduler takes them, without one it refuses."""
        bench.needs(Capability.REALTIME)
        given, bare = (bench.start(limits(cpu=cpu), SLEEP) for cpu in ({"realtimeRuntime": 5000}, {}))
        os.sched_setscheduler(given.pid, os.SCHED_FIFO, os.sched_param(1))
        with pytest.raises(PermissionError):
            os.sched_setscheduler(bare.pid, os.SCHED_FIFO, os.sched_param(1))

    def test_without_the_killer_an_allocation_waits(self, bench: Bench) -> None:
        """Nothing is killed at the limit, and what waits there can be killed."""
        bench.needs(Capability.OOM_CONTROL)
        memory = {**memory_limit(bench, 32), "disableOOMKiller": True}
        container = bench.start(limits(memory=memory), TOUCH)
        container.read_line()
        eventually(lambda: oom.waiting(container.group), "it waits for memory")
        assert container.alive()
        cgroups.kill(container.group)
        eventually(lambda: not container.alive(), "it is killed")

    def test_any_file_of_v2_can_be_written(self, bench: Bench) -> None:
        """A limit on groups below, that only cgroup v2 has: the second one cannot be made; after an update it can."""
        bench.needs(Capability.UNIFIED)
        name = bench.name()
        container = bench.start(limits(unified={"cgroup.max.descendants": "1"}), SLEEP, name=name)
        below = [f"{container.group.v2}/{one}" for one in ("one", "two")]
        os.mkdir(below[0])
        with pytest.raises(OSError, match=r"\[Errno") as caught:
            os.mkdir(below[1])
        assert caught.value.errno == errno.EAGAIN
        bench.driver.update(name, limits(unified={"cgroup.max.descendants": "2"}))
        os.mkdir(below[1])

    def test_a_kill_for_memory_is_told_as_it_happens(self, bench: Bench) -> None:
        """A descriptor becomes ready when the killer is called, and not before."""
        bench.needs(Capability.MEMORY)
        container = bench.start(limits(memory=memory_limit(bench, 64)), ALLOCATE)
        container.read_line()
        notice = oom.watch(container.group)
        assert notice is not None
        try:
            poll = select.poll()
            poll.register(notice.fd, notice.events)
            notice.clear() if notice.events == select.POLLPRI else None
            assert not poll.poll(50)
            container.say()
            assert poll.poll(cgroup_support.PATIENCE * 1000)
            container.read_line()
            assert oom.kills(container.group) == 1
        finally:
            os.close(notice.fd)

    def test_pressure_is_told(self, bench: Bench) -> None:
        """Two processes on one processor wait for each other, and the group says for how long."""
        bench.needs(Capability.STATISTICS)
        container = bench.start({}, TWO_SPIN)
        container.read_line()
        first = bench.driver.statistics(container.group).pressure
        if "cpu" not in first:
            pytest.skip("no pressure is accounted here: there is no cgroup v2, or the kernel does not")
        waited = first["cpu"]["some"]["total"]
        eventually(
            lambda: bench.driver.statistics(container.group).pressure["cpu"]["some"]["total"] > waited + 50_000,
            "waiting is counted",
        )

    def test_refused_forks_and_kinds_of_memory_are_counted(self, bench: Bench) -> None:
        """How often the limit of processes was reached, and what of the memory is the processes' own."""
        bench.needs(Capability.STATISTICS, Capability.PIDS, Capability.MEMORY)
        container = bench.start(limits(pids={"limit": 5}), "held = b'x' * (40 << 20)\n" + FORK)
        container.say("go")
        container.read_line()
        found = bench.driver.statistics(container.group)
        assert (found.pids_limit_hits or 0) >= 1
        assert (found.memory_anon_bytes or 0) > 40 * MIB
        assert (found.memory_anon_bytes or 0) <= (found.memory_bytes or 0)

    def test_a_bomb_of_thousands_is_gone_within_a_second(self, bench: Bench) -> None:
        """However many there are, nothing escapes."""
        bench.needs(Capability.PIDS)
        assert seconds_to_kill_a_bomb(bench, 2000) < 1.0
