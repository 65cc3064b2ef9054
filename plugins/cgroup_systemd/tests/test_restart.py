"""Restart policies with scopes of a real systemd, which are made anew for each run; and what a boot brings back."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from plugins.cgroup_systemd.tests.held import ENGINE, Held, take_image
from tests.machine import marks
from tests.testbed.systemd_machine import CHECKOUT, SystemdMachine, native_mode


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


@contextmanager
def held(machine: SystemdMachine, *flags: str, script: str = "exec sleep 600") -> Iterator[Held]:
    container = Held(machine, *flags, script=script)
    try:
        yield container
    finally:
        container.done("rm", "-f", container.id)


@pytest.fixture
def machine(systemd_machine: SystemdMachine, busybox_rootfs_tar: Path) -> SystemdMachine:
    take_image(systemd_machine, busybox_rootfs_tar)
    return systemd_machine


def assert_nothing_left(container: Held) -> None:
    assert container.gone()
    assert container.left() == []
    failed = container.machine.run(["systemctl", "list-units", "--all", "--failed", "--plain", "--no-legend"]).stdout
    assert container.id not in failed


def test_a_scope_is_made_anew_with_its_limits_until_a_stop(machine: SystemdMachine) -> None:
    with held(machine, "--restart", "always", "--pids-limit", "33") as container:
        unit, before = container.unit, container.shown("InvocationID")
        for times in (1, 2):
            machine.run(["kill", "-KILL", str(container.inspected("State")["Pid"])])
            restarted = lambda: container.inspected("RestartCount") >= times and container.unit  # noqa: B023, E731
            until(restarted, "it is restarted")
            now = container.shown("InvocationID", "TasksMax", "ActiveState")
            assert container.unit == unit
            assert (now["TasksMax"], now["ActiveState"]) == ("33", "active")
            assert now["InvocationID"] != before["InvocationID"], "a scope of its own"
            assert container.file("pids/pids.max", "pids.max") == "33"
            before = now
        container.done("stop", "--time", "0", container.id)
        assert_nothing_left(container)
        time.sleep(0.5)
        assert container.inspected("State")["Status"] == "exited"
        assert not container.unit


def test_a_policy_that_ends_leaves_nothing(machine: SystemdMachine) -> None:
    with held(machine, "--restart", "on-failure:2", script="echo run; exit 3") as container:
        until(lambda: container.inspected("State")["Status"] == "exited", "the last run ends")
        assert container.done("logs", container.id) == "run\n" * 3
        assert_nothing_left(container)


TRAPPED = "trap 'echo TERM' TERM; trap 'echo INT; exit' INT; echo run; while :; do sleep 0.1; done"


@contextmanager
def booted(disk: Path) -> Iterator[SystemdMachine]:
    machine = SystemdMachine(f"{marks.of_run()}-boot-{os.getpid()}", native_mode(), disk=disk)
    try:
        machine.start()
        yield machine
    finally:
        machine.stop()


def install_unit(machine: SystemdMachine) -> None:
    """Install the unit that the documentation gives."""
    text = re.search(r"```ini\n(.*?)```", (CHECKOUT / "docs/containers.md").read_text(), re.DOTALL)
    assert text
    unit = text[1].replace("/usr/local/bin/engine", ENGINE)
    assert machine.run(["sh", "-c", "cat >/etc/systemd/system/engine.service"], input=unit).returncode == 0
    done = machine.run(["systemctl", "enable", "--now", "engine"])
    assert done.returncode == 0, done.stderr


@pytest.fixture
def disk() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix=f"{marks.of_run()}-disk-", dir=marks.PLACE))
    yield path
    shutil.rmtree(path)


def test_a_shutdown_stops_each_as_it_asks_and_a_boot_brings_them_back(disk: Path, busybox_rootfs_tar: Path) -> None:
    """Nobody but the unit sends signals: systemd's own, to all of a scope, come after it."""
    with booted(disk) as machine:
        take_image(machine, busybox_rootfs_tar)
        install_unit(machine)
        flags = ["--stop-signal", "INT", "--memory", "50m"]
        kept, stopped = (
            Held(machine, "--restart", "unless-stopped", "--name", name, *flags, script=TRAPPED)
            for name in ("kept", "stopped")
        )
        run = [ENGINE, "run", "-d", "--cgroup-driver", "cgroupfs", "--name", "cgroupfs", "--restart", "always"]
        assert machine.run([*run, "--stop-signal", "INT", "busybox", "sh", "-c", TRAPPED]).returncode == 0
        stopped.done("stop", stopped.id)
        machine.power_off()
    with booted(disk) as machine:
        assert machine.run(["systemctl", "is-active", "engine"]).stdout == "active\n"
        kept.machine = stopped.machine = machine
        for name, output in (("kept", "run\nINT\nrun\n"), ("cgroupfs", "run\nINT\nrun\n"), ("stopped", "run\nINT\n")):
            assert kept.done("logs", name) == output
        assert kept.shown("ActiveState") == {"ActiveState": "active"}
        assert kept.applied("memory.limit") == str(50 << 20)
        assert not stopped.unit
        assert kept.done("ps", "--format", "{{.Names}}").split() == ["cgroupfs", "kept"]
        assert machine.run(["systemctl", "stop", "engine"]).returncode == 0
        assert kept.done("ps", "--quiet") == ""
        assert kept.gone()
