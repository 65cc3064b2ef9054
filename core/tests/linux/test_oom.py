"""Kills for memory are counted while the group is there, and known from the kernel's log when it is gone."""

from __future__ import annotations

import os
import secrets
import select
import signal
import subprocess
import sys
import time

import pytest

from engine.linux import cgroups, oom
from engine.linux.cgroups import Group


@pytest.fixture
def group() -> Group:
    found = cgroups.discover()
    name = f"test-{secrets.token_hex(8)}"
    if "memory" not in found.v1:
        pytest.skip("the memory controller is not on v1 here")
    return Group({"memory": f"{found.v1['memory'].mount_point}/{name}"}, "")


def allocate_too_much(group: Group) -> None:
    os.makedirs(group.v1["memory"], exist_ok=True)
    for name in ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"):
        if os.path.exists(f"{group.v1['memory']}/{name}"):
            cgroups.write_value(group.v1["memory"], name, 20 << 20)
    join = f"open({group.v1['memory']!r} + '/cgroup.procs', 'w').write('0')"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", f"{join}; held = b'x' * (100 << 20)"])
    assert done.returncode == -signal.SIGKILL


def test_a_kill_is_counted_and_outlives_the_group(group: Group) -> None:
    began = time.clock_gettime(time.CLOCK_MONOTONIC_RAW)
    try:
        allocate_too_much(group)
        assert oom.kills(group, began) == 1
    finally:
        cgroups.remove(group)
    assert oom.kills(group, began) == 1
    assert oom.kills(group, began + 1000) == 0, "a kill of an earlier run is not this one's"


def test_it_is_told_as_it_happens(group: Group) -> None:
    os.mkdir(group.v1["memory"])
    try:
        watch = oom.watch(group)
        assert watch is not None
        poll = select.poll()
        poll.register(watch.fd, watch.events)
        assert not poll.poll(0)
        allocate_too_much(group)
        assert poll.poll(5000)
        watch.clear()
        assert not poll.poll(0)
        os.close(watch.fd)
    finally:
        cgroups.remove(group)


def test_a_group_that_is_gone_in_peace(group: Group) -> None:
    assert oom.kills(group, 0) == 0
