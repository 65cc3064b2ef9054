"""OCI limits become the right writes, in the right order, for v1 and v2; nothing is dropped in silence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.errors import InvalidInput, Unsupported
from engine.spec import cgroup_v1, cgroup_v2
from engine.spec.cgroup_checks import check
from engine.spec.cgroup_limits import Limit, size
from engine.spec.cgroup_machine import BFQ, Machine, Present
from engine.spec.cgroup_writes import writes_for

MIB = 1 << 20


def machine(version: Callable[[str], int], **more: Any) -> Machine:
    facts: dict[str, Any] = {"realtime": True, "weights": {"8:0": BFQ}, "page_sizes": ("2MB", "1GB")}
    return Machine(version, **{**facts, "unified": version("memory") == 2, **more})


V1 = machine(lambda controller: 0 if controller == "io" else 1)
V2 = machine(lambda controller: 0 if controller in ("blkio", "net_cls", "net_prio") else 2)


def files(writes: list[Limit]) -> list[tuple[str, str]]:
    return [(one.file, one.value) for one in writes]


def plan(resources: dict[str, Any], here: Machine, present: Present | None = None) -> list[tuple[str, str]]:
    return files(writes_for(resources, here, present, driver="test"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shares", "weight"), [(2, 1), (10, 4), (512, 59), (1024, 100), (2048, 174), (262_144, 10_000), (500_000, 10_000)]
)
def test_shares_become_weights_by_the_published_formula(shares: int, weight: int) -> None:
    assert cgroup_v2.weight_of_shares(shares) == weight


def test_everything_on_v1() -> None:
    resources = {
        "cpu": {"shares": 512, "quota": 50_000, "period": 100_000, "burst": 10_000, "cpus": "0-1", "mems": "0"},
        "memory": {"limit": 64 * MIB, "swap": 128 * MIB, "reservation": 32 * MIB, "swappiness": 0},
        "pids": {"limit": 100},
    }
    assert plan(resources, V1) == [
        ("cpu.shares", "512"), ("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "50000"),
        ("cpu.cfs_burst_us", "10000"), ("cpuset.cpus", "0-1"), ("cpuset.mems", "0"),
        ("memory.limit_in_bytes", str(64 * MIB)), ("memory.memsw.limit_in_bytes", str(128 * MIB)),
        ("memory.soft_limit_in_bytes", str(32 * MIB)), ("memory.swappiness", "0"), ("pids.max", "100"),
    ]  # fmt: skip


def test_everything_on_v2() -> None:
    resources = {
        "cpu": {"shares": 1024, "quota": 50_000, "period": 200_000, "burst": 10_000, "cpus": "0-1", "mems": "0"},
        "memory": {"limit": 64 * MIB, "swap": 128 * MIB, "reservation": 32 * MIB},
        "pids": {"limit": -1},
    }
    assert plan(resources, V2) == [
        ("cpu.weight", "100"), ("cpu.max", "50000 200000"), ("cpu.max.burst", "10000"), ("cpuset.cpus", "0-1"),
        ("cpuset.mems", "0"), ("memory.max", str(64 * MIB)), ("memory.swap.max", str(64 * MIB)),
        ("memory.low", str(32 * MIB)), ("pids.max", "max"),
    ]  # fmt: skip


def test_unlimited_is_lifted() -> None:
    resources = {"cpu": {"quota": -1}, "memory": {"limit": -1, "swap": -1}}
    assert plan(resources, V1) == [
        ("cpu.cfs_quota_us", "-1"), ("memory.limit_in_bytes", "-1"), ("memory.memsw.limit_in_bytes", "-1")
    ]  # fmt: skip
    assert plan(resources, V2) == [("cpu.max", "max 100000"), ("memory.max", "max"), ("memory.swap.max", "max")]


def test_zero_is_not_set() -> None:
    assert plan({"cpu": {"shares": 0, "quota": 0, "period": 0}, "memory": {"limit": 0}}, V2) == []


def test_a_burst_of_zero_takes_one_away() -> None:
    assert plan({"cpu": {"burst": 0}}, V2) == [("cpu.max.burst", "0")]


def test_controllers_of_different_versions_are_told_apart() -> None:
    hybrid = machine({"cpu": 2, "cpuset": 2, "memory": 1, "pids": 1}.__getitem__)
    resources = {"cpu": {"shares": 1024}, "memory": {"limit": MIB}}
    assert plan(resources, hybrid) == [("cpu.weight", "100"), ("memory.limit_in_bytes", str(MIB))]


def test_an_update_keeps_what_is_not_given_in_a_file_of_two_values() -> None:
    assert plan({"cpu": {"quota": 10_000}}, V2, Present(period=50_000)) == [("cpu.max", "10000 50000")]
    assert plan({"cpu": {"period": 50_000}}, V2, Present(quota=10_000)) == [("cpu.max", "10000 50000")]
    assert plan({"memory": {"swap": 3 * MIB}}, V2, Present(memory=MIB)) == [("memory.swap.max", str(2 * MIB))]


@pytest.mark.parametrize(
    ("wanted", "memsw_now", "first"),
    [
        ({"limit": 8 * MIB, "swap": 8 * MIB}, 4 * MIB, "memory.memsw.limit_in_bytes"),
        ({"limit": -1, "swap": -1}, 4 * MIB, "memory.memsw.limit_in_bytes"),
        ({"limit": 2 * MIB, "swap": 2 * MIB}, 4 * MIB, "memory.limit_in_bytes"),
        ({"limit": 2 * MIB}, 4 * MIB, "memory.limit_in_bytes"),
    ],
)
def test_v1_grows_from_the_outside_and_shrinks_from_the_inside(
    wanted: dict[str, int], memsw_now: int, first: str
) -> None:
    assert plan({"memory": wanted}, V1, Present(memsw=memsw_now))[0][0] == first
    assert cgroup_v1.widening_first([], memsw_now) == []


@pytest.mark.parametrize(
    "memory", [{"swappiness": 10}, {"disableOOMKiller": True}], ids=["swappiness", "disableOOMKiller"]
)
def test_v2_refuses_what_it_has_no_file_for(memory: dict[str, Any]) -> None:
    with pytest.raises(Unsupported, match=next(iter(memory))):
        plan({"memory": memory}, V2)
    assert plan({"memory": memory}, V1)


def test_a_missing_controller_is_named() -> None:
    with pytest.raises(Unsupported, match=r"pids\.limit .* controller pids"):
        plan({"pids": {"limit": 4}}, machine(lambda _: 0))


@pytest.mark.parametrize(
    "resources",
    [
        {"cpu": {"shares": 262_145}},
        {"cpu": {"quota": 999}},
        {"cpu": {"period": 1_000_001}},
        {"cpu": {"quota": 10_000, "burst": 20_000}},
        {"cpu": {"cpus": "1,,2"}},
        {"memory": {"limit": -2}},
        {"memory": {"swappiness": 101}},
        {"memory": {"limit": -1, "swap": MIB}},
        {"memory": {"limit": 2 * MIB, "swap": MIB}},
    ],
    ids=str,
)
def test_nonsense_is_refused(resources: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as caught:
        check(resources, driver="test")  # type: ignore[arg-type]
    assert caught.value.fix


def test_swap_without_a_limit_makes_no_sense_on_v2() -> None:
    with pytest.raises(InvalidInput, match="memory and swap together"):
        plan({"memory": {"swap": MIB}}, V2)


@pytest.mark.parametrize("resources", [{"tower": {"x": 1}}, {"blockIO": {"tower": 1}}, {"network": {"tower": 1}}])
def test_parts_that_the_format_does_not_have_are_refused_by_name(resources: dict[str, Any]) -> None:
    with pytest.raises(Unsupported, match="tower"):
        check(resources, driver="test")  # type: ignore[arg-type]
    check({"tower": {}}, driver="test")  # type: ignore[typeddict-unknown-key]


def test_every_write_has_a_meaning() -> None:
    writes = writes_for({"cpu": {"shares": 512}, "memory": {"limit": 64 * MIB}}, V2, driver="test")
    assert [one.meaning for one in writes] == ["cpu weight 59 (from shares 512)", "memory limit 64 MiB"]


@pytest.mark.parametrize(
    ("count", "text"), [(-1, "unlimited"), (1023, "1023 bytes"), (64 * MIB, "64 MiB"), (1536 * MIB, "1.5 GiB")]
)
def test_sizes_in_words(count: int, text: str) -> None:
    assert size(count) == text
