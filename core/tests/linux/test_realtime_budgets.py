"""Realtime budgets on cgroup v1 come out of those of the groups above, which get what all below them have."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator

import pytest

from engine.linux import cgroup_tree, cgroups

PERIOD = 1_000_000
TAKE = """
import sys
from engine.linux import cgroup_tree
for number in range(20):
    path = f"{sys.argv[1]}/{sys.argv[2]}{number}"
    cgroup_tree.make(path)
    cgroup_tree.allow_realtime(path, 1000, 1000000)
"""


@pytest.fixture
def top() -> Iterator[str]:
    """Return a directory of the cpu hierarchy that does not exist yet."""
    cpu = cgroups.discover().v1.get("cpu")
    if cpu is None or not os.path.exists(f"{cpu.mount_point}/cpu.rt_runtime_us"):
        pytest.skip("the driver does not offer realtime here")
    path = f"{cpu.mount_point}/test-{secrets.token_hex(4)}"
    yield path
    for directory, _, _ in os.walk(path, topdown=False):
        os.rmdir(directory)


def take(path: str, runtime: int) -> None:
    cgroup_tree.make(path)
    cgroup_tree.allow_realtime(path, runtime, PERIOD)


def budget(path: str) -> int:
    return int(cgroups.read_value(path, "cpu.rt_runtime_us"))


def test_each_group_gets_its_own_whatever_lies_beside_it_or_its_parents(top: str) -> None:
    wanted = {f"{top}/a/one": 20_000, f"{top}/a/two": 30_000, f"{top}/b/three": 10_000, f"{top}/a/four": 5_000}
    for path, runtime in wanted.items():
        take(path, runtime)
    assert {path: budget(path) for path in wanted} == wanted
    assert budget(f"{top}/a") >= 55_000
    assert budget(top) >= 65_000


def test_those_that_want_some_of_the_same_parents_at_once_all_get_it(top: str) -> None:
    names = [f"{top}/{name}" for name in ("a", "b")]
    takers = [
        subprocess.Popen([sys.executable, "-c", TAKE, parent, letter], env={"PYTHONPATH": ":".join(sys.path)})
        for parent in names
        for letter in "xyz"
    ]
    assert [taker.wait(60) for taker in takers] == [0] * len(takers)
    assert [budget(f"{parent}/{letter}19") for parent in names for letter in "xyz"] == [1000] * len(takers)
