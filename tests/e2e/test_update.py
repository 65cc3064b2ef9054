"""`update`: what the kernel holds afterwards, what `inspect` says, and what the next run gets."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.linux import hierarchies
from engine.spec.cgroup_v2 import weight_of_shares
from engine.testing.disks import loop_device
from tests.e2e.box import Box, Container, refused

MIB = 1 << 20
V2 = hierarchies.discover().mode == "v2"
EACH: list[tuple[list[str], list[str], str, object, str]] = [
    (["--memory", "64m"], ["--memory", "128m"], "memory.limit", 128 * MIB, str(128 * MIB)),
    ([], ["-m", "96m"], "memory.limit", 96 * MIB, str(96 * MIB)),
    (["--cpus", "0.25"], ["--cpus", "0.5"], "cpu.quota", 50000, "50000"),
    (["--cpu-shares", "512"], ["--cpu-shares", "256"], "cpu.shares", 256, str(weight_of_shares(256)) if V2 else "256"),
    ([], ["--cpuset-cpus", "0"], "cpu.cpus", "0", "0"),
    (["--pids-limit", "50"], ["--pids-limit", "33"], "pids.limit", 33, "33"),
    ([], ["--memory-reservation", "16m"], "memory.reservation", 16 * MIB, str(16 * MIB)),
    (["--cpu-quota", "20000"], ["--cpu-quota", "30000"], "cpu.quota", 30000, "30000"),
    ([], ["--cpu-period", "50000", "--cpu-quota", "9000"], "cpu.quota", 9000, "9000"),
    *([] if V2 else [([], ["--cpu-rt-runtime", "7000"], "cpu.realtimeRuntime", 7000, "7000")]),
    ([], ["--cgroup-conf", "cgroup.max.depth=3"], "unified.cgroup.max.depth", "3", "3"),
]


def limits(container: Container) -> dict[str, dict[str, Any]]:
    """Return each limit of a container by its name."""
    return {limit["Name"]: limit for limit in container.inspect()["Limits"]}


@pytest.mark.parametrize(("first", "then", "name", "asked", "held"), EACH, ids=lambda value: str(value)[:24])
def test_a_limit_changes_while_it_runs_and_stays(
    first: list[str], then: list[str], name: str, asked: object, held: str, box: Box
) -> None:
    with box.container(*first) as container:
        pid = container.pid
        assert box.done("update", *then, container.name).stdout == f"{container.name}\n"
        found = limits(container)[name]
        assert (found["Asked"], container.pid) == (asked, pid)
        assert held in found["Applied"].split()
        box.done("restart", "--time", "0", container.name)
        assert held in limits(container)[name]["Applied"].split(), "the next run has it too"


def test_the_new_limit_bites_until_it_is_lifted(box: Box) -> None:
    fork = "for n in $(seq 20); do sleep 0.5 & done; wait; echo forked"
    with box.container() as container:
        assert container.sh(fork) == "forked\n"
        box.done("update", "--pids-limit", "8", container.name)
        assert "fork" in box("exec", container.name, "sh", "-c", fork).stderr
        box.done("update", "--pids-limit", "0", container.name)
        assert "pids.limit" not in limits(container)
        assert container.sh(fork) == "forked\n"


@contextlib.contextmanager
def limited(box: Box) -> Iterator[Container]:
    """Give a container with every limit."""
    flags = ["--memory", "64m", "--cpus", "0.5", "--cpu-shares", "512", "--pids-limit", "50"]
    with box.container(*flags) as container:
        yield container


def test_zero_lifts_a_limit_and_leaves_the_others(box: Box) -> None:
    with limited(box) as container:
        box.done("update", "--memory", "0", container.name)
        assert not any(name.startswith("memory.") for name in limits(container))
        assert limits(container)["pids.limit"]["Applied"] == "50"
        # More than the limit was, in memory of its own.
        assert container.sh("head -c 90m /dev/zero | tail -c 80m | wc -c").strip() == str(80 * MIB)
        box.done("update", "--cpus", "0", "--cpu-shares", "0", container.name)
        assert not any(name.startswith("cpu.") for name in limits(container))


def test_swap_follows_the_memory_limit_unless_it_was_spoken_of(box: Box) -> None:
    with box.container("--memory", "64m") as container:
        box.done("update", "--memory", "32m", container.name)
        assert limits(container)["memory.swap"]["Asked"] == 64 * MIB
        box.done("update", "--memory-swap", "80m", container.name)
        assert limits(container)["memory.swap"]["Asked"] == 80 * MIB
        refused(box("update", "--memory", "100m", container.name), "--memory-swap is less than --memory")
        box.done("update", "--memory", "100m", "--memory-swap", "-1", container.name)
        assert limits(container)["memory.limit"]["Applied"] == str(100 * MIB)


def test_block_devices_one_by_one(box: Box, tmp_path: Path) -> None:
    with loop_device(tmp_path) as disk, box.container("--device-read-bps", f"{disk}:1mb") as container:
        box.done("update", "--device-write-iops", f"{disk}:50", container.name)
        assert limits(container)["blockIO.throttleReadBpsDevice"]["Applied"].split()[-1] == str(MIB)
        assert limits(container)["blockIO.throttleWriteIOPSDevice"]["Applied"].split()[-1] == "50"
        box.done("update", "--device-read-bps", f"{disk}:0", container.name)
        assert "blockIO.throttleReadBpsDevice" not in limits(container)
        throttle = "cat /sys/fs/cgroup/blkio/blkio.throttle.read_bps_device 2>/dev/null || cat /sys/fs/cgroup/io.max"
        assert f"{MIB}" not in container.sh(throttle)


def test_one_that_does_not_run_has_it_at_its_next_start(box: Box) -> None:
    with box.to_be_removed() as name:
        box.done("create", "--name", name, box.image, "sleep", "600")
        box.done("update", "--pids-limit", "21", name)
        box.done("start", name)
        assert limits(Container(box, name))["pids.limit"]["Applied"] == "21"


def test_a_paused_one_is_changed_and_stays_paused(box: Box) -> None:
    with box.container() as container:
        box.done("pause", container.name)
        box.done("update", "--pids-limit", "44", container.name)
        assert (limits(container)["pids.limit"]["Applied"], container.state["Paused"]) == ("44", True)


@pytest.mark.parametrize(
    ("flags", "what"),
    [
        ([], "nothing to change"),
        (["--memory", "much"], "--memory 'much' is not a size"),
        (["--memory", "1k"], "less than the least that works"),
        (["--cpus", "4000"], "more than the machine has"),
        (["--cpuset-cpus", "4000"], "has no processor 4000"),
        (["--cpu-shares", "1"], "--cpu-shares 1 is out of range"),
        (["--pids-limit", "some"], "not a whole number"),
        (["--cpu-quota", "30000"], "--cpus contradicts"),
        (["--device-read-bps", "/dev/null:1mb"], "/dev/null is not a block device"),
        (["--cgroup-conf", "cgroup.kill=1"], "cgroup.kill is the engine's own"),
    ],
)
def test_what_makes_no_sense_changes_nothing(flags: list[str], what: str, box: Box) -> None:
    with limited(box) as container:
        before = (container.inspect()["Limits"], container.inspect()["HostConfig"])
        refused(box("update", *flags, container.name), what)
        assert (container.inspect()["Limits"], container.inspect()["HostConfig"]) == before


def test_what_the_kernel_refuses_changes_nothing(box: Box) -> None:
    """What is in memory cannot be reclaimed: a tmpfs, and no swap."""
    fill = "head -c 50m /dev/zero >/full/file; echo full; exec sleep 600"
    flags = ["--tmpfs", "/full", "--memory", "100m", "--memory-swap", "100m"]
    with box.container(*flags, script=fill) as container:
        container.wait_for_log("full")
        before = container.inspect()["Limits"]
        why = "memory.limit cannot become 20 MiB: 5"
        refused(box("update", "--memory", "20m", "--memory-swap", "20m", "--pids-limit", "9", container.name), why)
        assert container.inspect()["Limits"] == before
        assert container.state["Running"]


def test_of_several_those_that_can_are_changed(box: Box) -> None:
    with box.container() as container:
        done = box("update", "--pids-limit", "12", "no-such-container", container.name)
        assert (done.returncode, done.stdout) == (125, f"{container.name}\n")
        assert "no-such-container" in done.stderr
        assert limits(container)["pids.limit"]["Applied"] == "12"


def test_what_came_while_a_start_waited_is_not_undone_by_it(box: Box) -> None:
    with box.to_be_removed() as name, box.to_be_removed() as new:
        known = box.done("create", "--name", name, box.image, "sleep", "600").stdout.strip()
        with held(box, known):
            starting = box.root.popen("start", known)
            time.sleep(0.5)
            updating = box.root.popen("update", "--memory", "77m", known)
            renaming = box.root.popen("rename", known, new)
            time.sleep(0.5)
        assert [one.wait(timeout=30) for one in (starting, updating, renaming)] == [0, 0, 0]
        container = Container(box, known)
        assert (container.inspect()["HostConfig"]["memory"], container.inspect()["Name"]) == (77 * MIB, f"/{new}")
        assert container.inspect()["HostConfig"]["name"] == new
        assert limits(container)["memory.limit"]["Applied"] == str(77 * MIB)


@contextlib.contextmanager
def held(box: Box, container_id: str) -> Iterator[None]:
    """Hold a container's lock for the block, as a command does that works on it."""
    with (box.root.state / "locks" / container_id).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
