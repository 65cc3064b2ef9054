"""Containers under a real systemd, by commands: what is changed stays changed, whatever is reloaded or restarted."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugins.cgroup_systemd.tests.held import Held, take_image
from tests.testbed.systemd_machine import SystemdMachine

MIB = 1 << 20


@pytest.fixture
def held(systemd_machine: SystemdMachine, busybox_rootfs_tar: Path) -> Iterator[Held]:
    take_image(systemd_machine, busybox_rootfs_tar)
    found = Held(
        systemd_machine, "--memory", "64m", "--cpus", "0.5", "--pids-limit", "50", "--memory-reservation", "8m"
    )
    yield found
    found.engine("rm", "-f", found.id)
    assert found.gone()


def test_update_is_systemd_s_and_survives_its_reload(held: Held) -> None:
    held.done("update", "--pids-limit", "33", "--memory", "96m", "--cpus", "0.25", "--cpu-shares", "512", held.id)
    for _ in range(2):
        assert held.shown("TasksMax", "CPUQuotaPerSecUSec") == {"TasksMax": "33", "CPUQuotaPerSecUSec": "250ms"}
        assert str(96 * MIB) in held.shown("MemoryMax", "MemoryLimit").values()
        assert (held.applied("pids.limit"), held.applied("memory.limit")) == ("33", str(96 * MIB))
        assert held.file("pids/pids.max", "pids.max") == "33"
        assert held.file("memory/memory.soft_limit_in_bytes", "memory.low") == str(8 * MIB), "the delegated part"
        assert held.machine.run(["systemctl", "daemon-reload"]).returncode == 0


def test_update_that_systemd_cannot_do_changes_nothing(held: Held) -> None:
    before = held.shown("TasksMax", "CPUQuotaPerSecUSec")
    done = held.engine("update", "--pids-limit", "20", "--cpu-rt-runtime", "5000", held.id)
    assert done.returncode == 125
    assert "realtime" in done.stderr
    assert held.shown("TasksMax", "CPUQuotaPerSecUSec") == before


def test_pause_and_unpause(held: Held) -> None:
    spin = ["exec", "-d", held.id, "sh", "-c", "while :; do :; done"]
    held.done(*spin)
    held.done("pause", held.id)
    used = [held.used() for _ in range(2)]
    assert used[0] == used[1], "no processor time while it is paused"
    assert held.machine.run(["systemctl", "daemon-reload"]).returncode == 0
    assert json.loads(held.done("inspect", held.id))[0]["State"]["Paused"] is True
    held.done("unpause", held.id)
    deadline = time.monotonic() + 10
    while held.used() == used[1]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    "restart", [["systemctl", "daemon-reexec"], ["systemctl", "restart", "dbus.service"]], ids=["systemd", "bus"]
)
def test_a_restart_of_systemd_or_its_bus_in_between(restart: list[str], held: Held) -> None:
    assert held.machine.run(restart).returncode == 0
    held.done("update", "--pids-limit", "44", held.id)
    assert held.shown("TasksMax") == {"TasksMax": "44"}
    other = Held(held.machine, "--memory", "32m")
    other.done("rm", "-f", other.id)
    assert other.gone()


def test_a_container_that_is_killed_leaves_no_failed_unit(held: Held) -> None:
    unit = held.unit
    held.done("kill", held.id)
    held.done("wait", held.id)
    assert held.gone()
    assert unit not in held.machine.run(["systemctl", "list-units", "--all", "--failed", "--plain"]).stdout
    held.done("start", held.id)
    assert held.unit == unit, "the name is free for the next run"


def test_a_slice_of_the_user_s_choice(held: Held) -> None:
    other = Held(held.machine, "--cgroup-parent", "machine-engine.slice")
    try:
        assert other.shown("Slice") == {"Slice": "machine-engine.slice"}
        path = other.shown("ControlGroup")["ControlGroup"]
        assert path.endswith(f"/machine.slice/machine-engine.slice/{other.unit}")
    finally:
        other.done("rm", "-f", other.id)


def test_a_slice_that_hands_on_no_controllers_is_told(held: Held) -> None:
    """On v1 the scope has no directory there, on v2 not the file of the limit: nothing would be limited."""
    held.machine.run(["sh", "-c", "cat >/run/systemd/system/tight.slice"], input="[Slice]\nDisableControllers=memory\n")
    assert held.machine.run(["systemctl", "daemon-reload"]).returncode == 0
    flags = ["--name", "tight", "--cgroup-driver", "systemd", "--cgroup-parent", "tight.slice", "--memory", "50m"]
    done = held.engine("run", *flags, "busybox", "true")
    assert done.returncode == 125
    assert "its slice does not hand on that controller" in done.stderr
    left = ["find", "/sys/fs/cgroup", "-path", "*/tight.slice/*", "-type", "d"]
    assert held.machine.run(left).stdout == ""
    held.done("rm", "tight")


def test_without_a_bus_a_start_says_so_and_can_be_repeated(held: Held) -> None:
    stop, start = (["systemctl", verb, "dbus.socket", "dbus.service"] for verb in ("stop", "start"))
    held.done("kill", held.id)
    held.done("wait", held.id)
    held.machine.run(stop)
    try:
        done = held.engine("start", held.id)
        assert done.returncode == 125
        assert "no D-Bus answers" in done.stderr
    finally:
        held.machine.run(start)
    held.done("start", held.id)
    assert held.unit
