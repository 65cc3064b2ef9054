"""From OCI limits to the writes for one machine: each controller in the version of the hierarchy that it is bound to.

Pure: the machine comes in as `Machine`, what is present in a running group as `Present`. Each translation is
imported when there is something for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from engine.errors import Unsupported
from engine.spec import cgroup_checks, cgroup_limits
from engine.spec.cgroup_limits import Limit
from engine.spec.cgroup_machine import Machine, Present
from engine.spec.runtime import Cpu, Memory, Network, Resources

_ZERO_IS_NONE = ("burst", "idle", "realtimeRuntime")


def writes_for(resources: Resources, machine: Machine, present: Present | None = None, *, driver: str) -> list[Limit]:
    """Return the writes for everything but devices, in the order in which the kernel takes them.

    ``present`` is None for a group that is still to be made; ``driver`` is named in messages. Raises `Unsupported`
    naming what no hierarchy here can hold, `InvalidInput` for values no kernel would take.
    """
    cgroup_checks.check(resources, driver=driver)
    now = present or Present()
    writes = [
        *_cpu(resources.get("cpu") or {}, machine, now, driver),
        *_memory(resources.get("memory") or {}, machine, now, driver),
        *_pids(resources, machine, driver),
        *_block_io(resources, machine, driver),
        *_hardware(resources, machine, driver),
        *_network(resources.get("network") or {}, machine, driver),
    ]
    return writes + _unified(resources.get("unified") or {}, machine, driver, writes)


def _cpu(cpu: Cpu, machine: Machine, now: Present, driver: str) -> list[Limit]:
    writes: list[Limit] = []
    if cpu_time := _cpu_time(cpu):
        if machine.must_have("cpu", _names("cpu", cpu_time), driver) == 1:
            from engine.spec import cgroup_v1

            _must_have_realtime(cpu_time, machine, driver)
            writes += cgroup_v1.cpu(cpu_time, now.realtime)
        else:
            from engine.spec import cgroup_v2

            writes += cgroup_v2.cpu(cpu_time, now.quota, now.period)
    if cpu.get("cpus") or cpu.get("mems"):
        machine.must_have("cpuset", "cpu.cpus" if cpu.get("cpus") else "cpu.mems", driver)
        writes += cgroup_limits.cpuset(cpu)
    return writes


def _must_have_realtime(cpu: Cpu, machine: Machine, driver: str) -> None:
    if not machine.realtime and (cpu.get("realtimeRuntime") or cpu.get("realtimePeriod")):
        raise Unsupported(
            "cpu.realtimeRuntime cannot be limited: this kernel was built without CONFIG_RT_GROUP_SCHED",
            fix="Leave it out; kernel.sched_rt_runtime_us is the machine's.",
            plugin=driver,
        )


def _memory(memory: Memory, machine: Machine, now: Present, driver: str) -> list[Limit]:
    if not any(value is not None for value in memory.values()):
        return []
    if machine.must_have("memory", _names("memory", memory), driver) == 2:
        from engine.spec import cgroup_v2

        return cgroup_v2.memory(memory, now.memory, now.used, now.swapped)
    from engine.spec import cgroup_v1

    writes = cgroup_v1.memory(memory)
    return writes if now.memsw is None else cgroup_v1.widening_first(writes, now.memsw)


def _pids(resources: Resources, machine: Machine, driver: str) -> list[Limit]:
    pids = resources.get("pids")
    if pids is None:
        return []
    machine.must_have("pids", "pids.limit", driver)
    return cgroup_limits.pids(pids["limit"])


def _block_io(resources: Resources, machine: Machine, driver: str) -> list[Limit]:
    block = resources.get("blockIO") or {}
    if not any(block.values()):
        return []
    from engine.spec import cgroup_io

    version = machine.version("blkio") or machine.must_have("io", "blockIO", driver)
    return cgroup_io.writes(block, machine, version, driver)


def _hardware(resources: Resources, machine: Machine, driver: str) -> list[Limit]:
    writes: list[Limit] = []
    if not (resources.get("hugepageLimits") or resources.get("rdma")):
        return writes
    from engine.spec import cgroup_hardware

    if pages := resources.get("hugepageLimits"):
        version = machine.must_have("hugetlb", "hugepageLimits", driver)
        writes += cgroup_hardware.hugetlb(pages, machine, version, driver)
    if rdma := resources.get("rdma"):
        machine.must_have("rdma", "rdma", driver)
        writes += cgroup_hardware.rdma(rdma)
    return writes


def _network(network: Network, machine: Machine, driver: str) -> list[Limit]:
    if not any(network.values()):
        return []
    from engine.spec import cgroup_network

    return cgroup_network.writes(network, machine, driver)


def _unified(files: Mapping[str, str], machine: Machine, driver: str, others: list[Limit]) -> list[Limit]:
    if not files:
        return []
    from engine.spec import cgroup_unified

    writes = cgroup_unified.writes(files, machine, driver)
    cgroup_unified.refuse_twice(others, writes)
    return writes


def _names(part: str, limits: Mapping[str, object]) -> str:
    return ", ".join(f"{part}.{key}" for key, value in limits.items() if value is not None)


def _cpu_time(cpu: Cpu) -> Cpu:
    """Return what the cpu controller holds; 0 takes a burst, idleness or realtime away, every other 0 is "not set"."""
    chosen = {key: value for key, value in cpu.items() if key in cgroup_checks.CPU_TIME}
    return cast("Cpu", {key: value for key, value in chosen.items() if value or (value == 0 and key in _ZERO_IS_NONE)})
