"""Block devices, huge pages, rdma, networks, realtime and any file of v2: the writes, and what is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from core.tests.spec.test_cgroup_limits import MIB, V1, V2, machine, plan
from engine.errors import Conflict, EngineError, InvalidInput, Unsupported
from engine.spec import cgroup_io, cgroup_v2
from engine.spec.cgroup_machine import BFQ, IOCOST, Machine, Present
from engine.spec.cgroup_writes import writes_for

BLOCK_IO = {
    "weight": 500,
    "weightDevice": [{"major": 8, "minor": 0, "weight": 200}],
    "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": MIB}],
    "throttleWriteBpsDevice": [{"major": 8, "minor": 0, "rate": 2 * MIB}],
    "throttleReadIOPSDevice": [{"major": 8, "minor": 16, "rate": 100}],
    "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 0}],
}


def test_block_io_on_v1() -> None:
    assert plan({"blockIO": BLOCK_IO}, V1) == [
        ("blkio.bfq.weight", "500"), ("blkio.bfq.weight_device", "8:0 200"),
        ("blkio.throttle.read_bps_device", f"8:0 {MIB}"), ("blkio.throttle.write_bps_device", f"8:0 {2 * MIB}"),
        ("blkio.throttle.read_iops_device", "8:16 100"), ("blkio.throttle.write_iops_device", "8:0 0"),
    ]  # fmt: skip


def test_block_io_on_v2() -> None:
    assert plan({"blockIO": BLOCK_IO}, V2) == [
        ("io.bfq.weight", "default 500"), ("io.bfq.weight", "8:0 200"), ("io.max", f"8:0 rbps={MIB}"),
        ("io.max", f"8:0 wbps={2 * MIB}"), ("io.max", "8:16 riops=100"), ("io.max", "8:0 wiops=max"),
    ]  # fmt: skip


def test_weights_go_to_whatever_makes_a_device_obey_them() -> None:
    both = machine(V2.version, weights={"8:0": IOCOST, "8:16": BFQ})
    rows = [{"major": 8, "minor": minor, "weight": 1000} for minor in (0, 16)]
    assert plan({"blockIO": {"weight": 10, "weightDevice": rows}}, both) == [
        ("io.bfq.weight", "default 10"), ("io.weight", "default 1"), ("io.weight", "8:0 10000"),
        ("io.bfq.weight", "8:16 1000"),
    ]  # fmt: skip


@pytest.mark.parametrize(("weight", "scaled"), [(10, 1), (100, 910), (500, 4950), (1000, 10_000)])
def test_io_weights_there_and_back(weight: int, scaled: int) -> None:
    assert cgroup_io.weight_v2(weight) == scaled
    assert cgroup_io.weight_v1(scaled) == weight


@pytest.mark.parametrize("weight", [1, 2, 39, 59, 100, 174, 1000, 9_999, 10_000])
def test_processor_weights_there_and_back(weight: int) -> None:
    assert cgroup_v2.weight_of_shares(cgroup_v2.shares_of_weight(weight)) == weight


def test_a_weight_that_nothing_obeys_is_refused() -> None:
    for here in (V1, V2):
        plain = machine(here.version, weights={})
        with pytest.raises(Unsupported, match=r"blockIO\.weight would have no effect") as caught:
            plan({"blockIO": {"weight": 100}}, plain)
        assert "bfq" in caught.value.fix
        with pytest.raises(Unsupported, match="8:32 does not obey"):
            plan({"blockIO": {"weightDevice": [{"major": 8, "minor": 32, "weight": 100}]}}, here)


def test_huge_pages_in_use_and_reserved() -> None:
    resources = {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}, {"pageSize": "1GB", "limit": -1}]}
    assert plan(resources, V1) == [
        ("hugetlb.2MB.limit_in_bytes", str(4 * MIB)), ("hugetlb.2MB.rsvd.limit_in_bytes", str(4 * MIB)),
        ("hugetlb.1GB.limit_in_bytes", "-1"), ("hugetlb.1GB.rsvd.limit_in_bytes", "-1"),
    ]  # fmt: skip
    assert plan(resources, V2)[1:3] == [("hugetlb.2MB.rsvd.max", str(4 * MIB)), ("hugetlb.1GB.max", "max")]
    assert plan({"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]}, V2)[0] == ("hugetlb.2MB.max", "0")


def test_rdma_and_networks() -> None:
    resources = {
        "rdma": {"mlx5_0": {"hcaHandles": 3, "hcaObjects": 10_000}, "mlx5_1": {"hcaHandles": 1}},
        "network": {"classID": 0x100001, "priorities": [{"name": "eth0", "priority": 5}]},
    }
    assert plan(resources, V1) == [
        ("rdma.max", "mlx5_0 hca_handle=3 hca_object=10000"), ("rdma.max", "mlx5_1 hca_handle=1 hca_object=max"),
        ("net_cls.classid", str(0x100001)), ("net_prio.ifpriomap", "eth0 5"),
    ]  # fmt: skip


def test_realtime_budgets_never_pass_their_period() -> None:
    wanted = {"cpu": {"realtimeRuntime": 4000, "realtimePeriod": 10_000}}
    assert plan(wanted, V1) == [("cpu.rt_period_us", "10000"), ("cpu.rt_runtime_us", "4000")]
    assert plan(wanted, V1, Present(realtime=20_000)) == [("cpu.rt_runtime_us", "4000"), ("cpu.rt_period_us", "10000")]


def test_idle_is_left_before_and_entered_after_a_weight_is_given() -> None:
    for here, weight in ((V1, ("cpu.shares", "1024")), (V2, ("cpu.weight", "100"))):
        assert plan({"cpu": {"shares": 1024, "idle": 1}}, here) == [weight, ("cpu.idle", "1")]
        assert plan({"cpu": {"shares": 1024, "idle": 0}}, here) == [("cpu.idle", "0"), weight]


def test_tcp_buffers_on_v1() -> None:
    assert plan({"memory": {"kernelTCP": MIB}}, V1) == [("memory.kmem.tcp.limit_in_bytes", str(MIB))]


def test_a_limit_below_what_is_in_use_is_refused_when_that_is_asked_for() -> None:
    memory = {"limit": MIB, "checkBeforeUpdate": True}
    assert plan({"memory": memory}, V2) == [("memory.max", str(MIB))]
    with pytest.raises(Conflict, match=r"memory\.limit cannot become 1 MiB: 2\.0 MiB are in use"):
        plan({"memory": memory}, V2, Present(used=2 * MIB))
    assert plan({"memory": {"limit": MIB}}, V2, Present(used=2 * MIB))
    swapped = Present(used=MIB, swapped=MIB)
    assert plan({"memory": memory}, V2, swapped)
    with pytest.raises(Conflict, match=r"memory\.swap cannot become 1 MiB: 2\.0 MiB are in use"):
        plan({"memory": {**memory, "swap": MIB}}, V2, swapped)


def test_files_of_v2_are_written_as_they_are_line_by_line() -> None:
    files = {
        "memory.high": "48M", "io.max": "8:0 rbps=1 wiops=2\n8:16 rbps=max", "io.weight": "50",
        "cgroup.max.descendants": "3", "hugetlb.2MB.max": "0",
    }  # fmt: skip
    assert plan({"unified": files}, V2) == [
        ("memory.high", "48M"), ("io.max", "8:0 rbps=1 wiops=2"), ("io.max", "8:16 rbps=max"),
        ("io.weight", "default 50"), ("cgroup.max.descendants", "3"), ("hugetlb.2MB.max", "0"),
    ]  # fmt: skip
    lines = writes_for({"unified": files}, V2, driver="test")
    assert [(one.key, one.lifted) for one in lines[1:3]] == [
        ("8:0", "8:0 rbps=max wbps=max riops=max wiops=max"), ("8:16", "8:16 rbps=max wbps=max riops=max wiops=max"),
    ]  # fmt: skip


REFUSED: list[tuple[dict[str, Any], Machine, type[EngineError], str]] = [
    ({"unified": {"memory.high": "1"}}, V1, Unsupported, r"memory\.high .* on cgroup v1"),
    ({"unified": {"tower.high": "1"}}, machine(lambda _: 0), Unsupported, r"tower\.high .* on no hierarchy"),
    ({"unified": {"cgroup.max.depth": "1"}}, V1, Unsupported, r"cgroup\.max\.depth"),
    ({"unified": {"cgroup.procs": "1"}}, V2, InvalidInput, "the engine's own"),
    ({"unified": {"cgroup.freeze": "1"}}, V2, InvalidInput, "the engine's own"),
    ({"unified": {"memory.pressure": "some 1 2"}}, V2, InvalidInput, "holds no limit"),
    ({"unified": {"../memory.high": "1"}}, V2, InvalidInput, "not the name"),
    ({"unified": {"memory": "1"}}, V2, InvalidInput, "not the name"),
    ({"unified": {"memory.high": " \n"}}, V2, InvalidInput, "no value"),
    ({"unified": {"memory.max": "1"}, "memory": {"limit": MIB}}, V2, InvalidInput, r"twice: .* memory\.limit"),
    ({"cpu": {"realtimeRuntime": 1000}}, V2, Unsupported, "realtime"),
    ({"cpu": {"realtimeRuntime": 1000}}, machine(V1.version, realtime=False), Unsupported, "CONFIG_RT_GROUP_SCHED"),
    ({"cpu": {"realtimeRuntime": 1000, "realtimePeriod": 500}}, V1, InvalidInput, "realtimeRuntime"),
    ({"cpu": {"idle": 2}}, V1, InvalidInput, r"cpu\.idle"),
    ({"memory": {"kernel": MIB}}, V1, Unsupported, r"memory\.kernel went"),
    ({"memory": {"useHierarchy": False}}, V1, Unsupported, "useHierarchy"),
    ({"memory": {"kernelTCP": MIB}}, V2, Unsupported, "kernelTCP"),
    ({"blockIO": {"leafWeight": 10}}, V1, Unsupported, "leafWeight"),
    ({"blockIO": {"weight": 5}}, V1, InvalidInput, r"blockIO\.weight"),
    ({"blockIO": {"throttleReadBpsDevice": [{"minor": 0, "rate": 1}]}}, V1, InvalidInput, "without numbers"),
    ({"blockIO": {"throttleReadBpsDevice": [{"major": 1, "minor": 0, "rate": -1}]}}, V1, InvalidInput, "throttleRead"),
    ({"hugepageLimits": [{"pageSize": "3MB", "limit": 1}]}, V2, Unsupported, "no huge pages of 3MB"),
    ({"hugepageLimits": [{"pageSize": "2MB", "limit": 1}]}, machine(lambda _: 0), Unsupported, "hugepageLimits"),
    ({"rdma": {"mlx5_0": {"hcaHandles": 1}}}, machine(lambda _: 0), Unsupported, "rdma"),
    ({"network": {"classID": 1}}, V2, Unsupported, r"network\.classID"),
    ({"network": {"priorities": [{"name": "eth0", "priority": 1}]}}, V2, Unsupported, r"network\.priorities"),
    ({"network": {"priorities": [{"name": "a b", "priority": 1}]}}, V1, InvalidInput, "a b"),
    ({"blockIO": BLOCK_IO}, machine(lambda _: 0), Unsupported, "blockIO"),
]


def _named(value: object) -> str | None:
    """Name a case by its resources: a machine's text holds addresses, which differ between pytest-xdist's workers."""
    return str(value)[:48] if isinstance(value, dict) else None


@pytest.mark.parametrize(("resources", "here", "error", "what"), REFUSED, ids=_named)
def test_what_is_refused(resources: dict[str, Any], here: Machine, error: type[EngineError], what: str) -> None:
    with pytest.raises(error, match=what) as caught:
        plan(resources, here)
    assert caught.value.fix
