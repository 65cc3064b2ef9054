"""What an update of a running container changes: all of what depends on it, and what is gone as lifted."""

from __future__ import annotations

from typing import Any

import pytest

from engine.containers.updating import changed
from engine.spec.devices import DeviceRate
from engine.spec.options import RunOptions
from engine.spec.resource_changes import difference

SDA, SDB = {"major": 8, "minor": 0}, {"major": 8, "minor": 16}


def rows(*found: dict[str, int]) -> dict[str, Any]:
    return {"blockIO": {"throttleReadBpsDevice": list(found)}}


def memory(**changed: int) -> dict[str, Any]:
    return {"memory": {**changed, "checkBeforeUpdate": True}}


ROWS: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({"memory": {"limit": 5}}, {"memory": {"limit": 5}}, {}),
    ({}, {"pids": {"limit": 5}}, {"pids": {"limit": 5}}),
    ({"memory": {"limit": 5, "swap": 9}}, {"memory": {"limit": 6, "swap": 9}}, memory(limit=6, swap=9)),
    ({"memory": {"limit": 5, "reservation": 2}}, {}, memory(limit=-1, reservation=-1)),
    ({"memory": {"limit": 5}}, {"memory": {"limit": 5, "swap": 9}}, memory(limit=5, swap=9)),
    ({"memory": {"limit": 5}}, {"memory": {"limit": 5, "swappiness": 1}}, {"memory": {"limit": 5, "swappiness": 1}}),
    (
        {"cpu": {"quota": 5, "period": 9, "realtimeRuntime": 3}},
        {"cpu": {"shares": 7}},
        {"cpu": {"quota": -1, "period": 100_000, "realtimeRuntime": 0, "shares": 7}},
    ),
    ({"blockIO": {"weight": 300}}, {}, {"blockIO": {"weight": 100}}),
    (
        rows({**SDA, "rate": 5}, {**SDB, "rate": 6}),
        rows({**SDB, "rate": 7}),
        rows({**SDA, "rate": 0}, {**SDB, "rate": 7}),
    ),
    (
        {"unified": {"memory.high": "5", "memory.low": "1"}},
        {"unified": {"memory.high": "6", "memory.low": "1", "io.weight": "3"}},
        {"unified": {"memory.high": "6", "io.weight": "3"}},
    ),
    ({"devices": [{"allow": True}]}, {"devices": []}, {}),
]


@pytest.mark.parametrize(("before", "after", "wanted"), ROWS)
def test_difference(before: dict[str, Any], after: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert difference(before, after) == wanted  # type: ignore[arg-type]


def test_block_devices_and_files_are_changed_one_by_one() -> None:
    options = RunOptions("i", device_read_bps=(DeviceRate("/a", 1), DeviceRate("/b", 2)), cgroup_conf={"x.a": "1"})
    changes = {
        "device_read_bps": (DeviceRate("/b", 0), DeviceRate("/c", 3)),
        "cgroup_conf": {"x.b": "2"},
        "memory": None,
    }
    found = changed(options, changes)
    assert found.device_read_bps == (DeviceRate("/a", 1), DeviceRate("/c", 3))
    assert found.cgroup_conf == {"x.a": "1", "x.b": "2"}
