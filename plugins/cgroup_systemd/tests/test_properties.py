"""OCI limits and device rules as systemd's properties, and when the kernel's answer counts as the same."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import InvalidInput, Unsupported
from engine.spec.cgroup_devices import ANY, Device, Policy
from engine.spec.cgroup_machine import BFQ, Machine, Present
from engine_cgroup_systemd.devices import allowed, drivers
from engine_cgroup_systemd.properties import device_properties, properties
from engine_cgroup_systemd.values import INFINITY, cpu_mask, quota_per_second
from engine_cgroup_systemd.verify import same, same_line

MIB = 1 << 20
KNOWN = {("c", 136): "pts", ("b", 8): "sd"}


def made(resources: dict[str, Any], version: int, now: Present | None = None) -> dict[str, Any]:
    return {one.name: one.value for one in properties(resources, Machine(lambda _: version, weights={"8:0": BFQ}), now)}  # type: ignore[arg-type]


RESOURCES = {
    "cpu": {"shares": 1024, "quota": 50_000, "period": 200_000, "cpus": "0,2-3", "mems": "0"},
    "memory": {"limit": 64 * MIB, "swap": 96 * MIB, "reservation": 32 * MIB, "swappiness": 10},
    "pids": {"limit": 100},
}


def test_v2() -> None:
    assert made(RESOURCES, 2) == {
        "CPUWeight": 100, "CPUQuotaPeriodUSec": 200_000, "CPUQuotaPerSecUSec": 250_000, "AllowedCPUs": [0b1101],
        "AllowedMemoryNodes": [1], "MemoryMax": 64 * MIB, "MemorySwapMax": 32 * MIB, "MemoryLow": 32 * MIB,
        "TasksMax": 100,
    }  # fmt: skip


def test_block_devices_on_v2() -> None:
    device = {"major": 8, "minor": 0}
    block = {
        "weight": 550, "weightDevice": [{**device, "weight": 10}], "throttleReadBpsDevice": [{**device, "rate": MIB}],
        "throttleWriteIOPSDevice": [{**device, "rate": 0}],
    }  # fmt: skip
    assert made({"blockIO": block}, 2) == {
        "IOWeight": 5050, "IODeviceWeight": [["/dev/block/8:0", 10]], "IOReadBandwidthMax": [["/dev/block/8:0", MIB]],
        "IOWriteIOPSMax": [["/dev/block/8:0", INFINITY]],
    }  # fmt: skip
    assert made({"blockIO": block}, 1) == {}


UNIFIED = {
    "memory.high": ("48M", {"MemoryHigh": 48 * MIB}),
    "memory.min": ("4096", {"MemoryMin": 4096}),
    "memory.swap.max": ("max", {"MemorySwapMax": INFINITY}),
    "cpu.weight": ("42", {"CPUWeight": 42}),
    "cpu.idle": ("1", {"CPUWeight": 0}),
    "cpu.max": ("50000 200000", {"CPUQuotaPeriodUSec": 200_000, "CPUQuotaPerSecUSec": 250_000}),
    "cpuset.cpus": ("0-1", {"AllowedCPUs": [3]}),
    "pids.max": ("7", {"TasksMax": 7}),
    "io.max": ("8:0 rbps=1M wiops=max", {"IOReadBandwidthMax": [["/dev/block/8:0", MIB]],
                                         "IOWriteIOPSMax": [["/dev/block/8:0", INFINITY]]}),
    "io.weight": ("default 50\n8:0 70", {"IOWeight": 50, "IODeviceWeight": [["/dev/block/8:0", 70]]}),
    "io.latency": ("8:0 target=5000", {"IODeviceLatencyTargetUSec": [["/dev/block/8:0", 5000]]}),
    "memory.oom.group": ("1", {}),
}  # fmt: skip


@pytest.mark.parametrize("file", UNIFIED)
def test_files_that_systemd_owns_become_properties(file: str) -> None:
    text, wanted = UNIFIED[file]
    assert made({"unified": {file: text}}, 2) == wanted


@pytest.mark.parametrize(("file", "text"), [("memory.high", "much"), ("io.max", "8:0 tower=1"), ("cpu.max", "-")])
def test_values_that_are_none(file: str, text: str) -> None:
    with pytest.raises(InvalidInput, match=file):
        made({"unified": {file: text}}, 2)


def test_files_that_systemd_writes_without_a_property_are_refused() -> None:
    with pytest.raises(Unsupported, match=r"io\.bfq\.weight") as caught:
        made({"unified": {"io.bfq.weight": "50"}}, 2)
    assert "--blkio-weight" in caught.value.fix


def test_idle_is_a_weight_of_none() -> None:
    assert made({"cpu": {"idle": 1, "shares": 1024}}, 2) == {"CPUWeight": 0}
    assert made({"cpu": {"idle": 0}}, 2) == {"CPUWeight": 100}


def test_v1_has_no_properties_for_cpusets_swap_and_reservation() -> None:
    assert made(RESOURCES, 1) == {
        "CPUShares": 1024, "CPUQuotaPeriodUSec": 200_000, "CPUQuotaPerSecUSec": 250_000, "MemoryMax": 64 * MIB,
        "TasksMax": 100,
    }  # fmt: skip


def test_no_limit_is_infinity() -> None:
    found = made({"cpu": {"quota": -1}, "memory": {"limit": -1, "swap": -1}, "pids": {"limit": 0}}, 2)
    assert set(found.values()) == {INFINITY}
    assert found.keys() == {"CPUQuotaPerSecUSec", "MemoryMax", "MemorySwapMax", "TasksMax"}


def test_an_update_works_with_what_is_there() -> None:
    assert made({"cpu": {"period": 50_000}}, 2, Present(quota=10_000)) == {
        "CPUQuotaPeriodUSec": 50_000,
        "CPUQuotaPerSecUSec": 200_000,
    }
    assert made({"cpu": {"quota": 10_000}}, 2, Present(period=50_000)) == {"CPUQuotaPerSecUSec": 200_000}


@pytest.mark.parametrize(
    ("quota", "period", "per_second"),
    [(50_000, 100_000, 500_000), (1_500, 100_000, 20_000), (250_000, 100_000, 2_500_000), (-1, 100_000, INFINITY)],
)
def test_a_quota_is_rounded_up_to_a_percent(quota: int, period: int, per_second: int) -> None:
    assert quota_per_second(quota, period) == per_second


@pytest.mark.parametrize(
    ("members", "mask"), [("0", [1]), ("0-2,4", [0b10111]), ("8", [0, 1]), ("63", [0] * 7 + [128])]
)
def test_cpu_lists_become_masks(members: str, mask: list[int]) -> None:
    assert cpu_mask(members) == mask


def test_devices_by_node_and_by_driver() -> None:
    policy = Policy(False, ((Device("c", 1, 3), "rwm"), (Device("c", 136, ANY), "rw"), (Device("b", ANY, ANY), "m")))
    assert allowed(policy, KNOWN) == ("strict", [("/dev/char/1:3", "rwm"), ("char-pts", "rw"), ("block-*", "m")])
    rows = [one.value for one in device_properties(policy, KNOWN) if one.name == "DeviceAllow"]
    assert rows[0] == [], "the rows of before are forgotten first"


def test_everything_allowed_is_no_policy() -> None:
    assert allowed(Policy(True, ()), KNOWN) == ("auto", [])


@pytest.mark.parametrize(
    "policy",
    [
        Policy(True, ((Device("c", 1, 3), "w"),)),
        Policy(False, ((Device("c", 250, ANY), "rwm"),)),
        Policy(False, ((Device("c", ANY, 3), "rwm"),)),
    ],
    ids=["deny list", "unknown driver", "any major"],
)
def test_what_systemd_cannot_say_is_refused(policy: Policy) -> None:
    with pytest.raises(Unsupported, match="systemd cannot"):
        allowed(policy, KNOWN)


def test_the_kernel_s_table_of_drivers() -> None:
    text = "Character devices:\n  1 mem\n  4 /dev/vc/0\n  4 tty\n\nBlock devices:\n  7 loop\n"
    assert drivers(text) == {("c", 1): "mem", ("c", 4): "/dev/vc/0", ("b", 7): "loop"}


@pytest.mark.parametrize(
    ("file", "wanted", "found", "answer"),
    [
        ("memory.max", "4097", "4096", True),
        ("memory.max", "8192", "4096", False),
        ("memory.limit_in_bytes", "-1", "9223372036854771712", True),
        ("memory.max", "max", "max", True),
        ("memory.max", "max", "4096", False),
        ("pids.max", "10", "11", False),
        ("cpu.max", "15500 100000", "16000 100000", True),
        ("cpu.max", "50000 100000", "max 100000", False),
        ("cpu.cfs_quota_us", "50000", "-1", False),
        ("cpuset.cpus", "0,1,2", "0-2", True),
        ("cpuset.cpus", "0-1", "0", False),
        ("cpu.weight", "100", "", False),
    ],
)
def test_what_counts_as_the_same(file: str, wanted: str, found: str, answer: bool) -> None:
    assert same(file, wanted, found) is answer


@pytest.mark.parametrize(
    ("wanted", "found", "answer"),
    [
        ("8:0 rbps=5", "8:0 rbps=5 wbps=max riops=max wiops=max", True),
        ("8:0 rbps=5", "8:0 rbps=6 wbps=max riops=max wiops=max", False),
        ("8:0 rbps=max", "", True),
        ("default 50", "default 50", True),
        ("8:0 5", "", False),
    ],
)
def test_what_counts_as_the_same_line(wanted: str, found: str, answer: bool) -> None:
    assert same_line(wanted, found) is answer
