"""The booted systemd is a real one, shares no setting with the machine around it, and dies with whoever started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.machine import marks, processes, snapshot
from tests.testbed import systemd_machine as testbed
from tests.testbed.systemd_machine import SystemdMachine

GUARDED = ("fs/nr_open", "fs/file-max", "fs/protected_symlinks", "kernel/core_pattern", "kernel/sysrq")


def test_systemd_is_pid_1_and_starts_units(systemd_machine: SystemdMachine) -> None:
    assert systemd_machine.run(["cat", "/proc/1/comm"]).stdout == "systemd\n"
    done = systemd_machine.run(["systemd-run", "--wait", "--pipe", "-p", "CPUWeight=50", "cat", "/proc/self/cgroup"])
    assert done.returncode == 0, done.stderr
    assert "/system.slice/run-" in done.stdout


def test_the_checkout_and_its_interpreter_work_inside(systemd_machine: SystemdMachine) -> None:
    done = systemd_machine.run([sys.executable, "-c", "import engine; print(engine.__file__)"])
    assert done.stdout.strip() == str(testbed.CHECKOUT / "core/src/engine/__init__.py"), done.stderr
    assert systemd_machine.run(["touch", str(testbed.CHECKOUT / "x")]).returncode != 0


def test_the_bus_can_be_reached_from_outside(systemd_machine: SystemdMachine) -> None:
    assert systemd_machine.bus_socket.is_socket()


def test_input_and_status_pass_through(systemd_machine: SystemdMachine) -> None:
    done = systemd_machine.run(["sh", "-c", "tr a-z A-Z; exit 7"], input="hello")
    assert (done.returncode, done.stdout) == (7, "HELLO")


@pytest.mark.parametrize("mode", ["v1", "hybrid", "v2"])
def test_each_layout_boots_as_asked(mode: str, systemd_machines: Callable[[str], SystemdMachine]) -> None:
    if testbed.native_mode() != "hybrid" and mode != testbed.native_mode():
        pytest.skip(f"this machine's cgroups are {testbed.native_mode()} alone")
    fstype = systemd_machines(mode).run(["stat", "--file-system", "--format=%T", "/sys/fs/cgroup"]).stdout.strip()
    unified = systemd_machines(mode).run(["test", "-d", "/sys/fs/cgroup/unified"]).returncode == 0
    assert (fstype, unified) == {"v1": ("tmpfs", False), "hybrid": ("tmpfs", True), "v2": ("cgroup2fs", False)}[mode]


def test_a_memory_limit_of_a_unit_bites(systemd_machine: SystemdMachine) -> None:
    allocate = "x = bytearray(200 << 20); print(len(x))"
    limited = ["systemd-run", "--wait", "--pipe", "-p", "MemoryMax=50M", "/usr/bin/python3", "-c", allocate]
    if not any("memory" in options.split(",") for options in testbed.hierarchies().values()):
        pytest.skip("the memory controller is not on v1 here")
    assert systemd_machine.run(limited).returncode != 0
    free = ["systemd-run", "--wait", "--pipe", "/usr/bin/python3", "-c", allocate]
    assert systemd_machine.run(free).stdout.strip() == str(200 << 20)


def kernel_settings() -> dict[str, str]:
    settings = {name: Path("/proc/sys", name).read_text() for name in GUARDED if Path("/proc/sys", name).exists()}
    return settings | {"controllers": Path("/proc/cgroups").read_text().replace("\t", " ")}


def controllers_of(text: str) -> list[list[str]]:
    """Name and hierarchy of each controller: the number of cgroups changes all the time."""
    return [line.split()[:2] for line in text.splitlines()]


def test_booting_changes_nothing_around_it() -> None:
    before = kernel_settings()
    machine = SystemdMachine(f"{marks.of('guard')}-{os.getpid()}", testbed.native_mode())
    try:
        machine.start()
        machine.run(["/lib/systemd/systemd-sysctl"])
        machine.run(["sysctl", "-w", "fs.nr_open=4096"])
    finally:
        machine.stop()
    after = kernel_settings()
    assert controllers_of(after.pop("controllers")) == controllers_of(before.pop("controllers"))
    assert after == before
    assert not [thing for thing in snapshot.take() if machine.name in thing.name]


def test_it_dies_with_a_starter_that_is_killed() -> None:
    name = f"{marks.of('killed starter')}-{os.getpid()}"
    script = (
        "import time\nfrom tests.testbed.systemd_machine import SystemdMachine, native_mode\n"
        f"machine = SystemdMachine({name!r}, native_mode())\nmachine.start()\n"
        "print(machine.pid, flush=True)\ntime.sleep(300)\n"
    )
    command = [sys.executable, "-c", script]
    try:
        with subprocess.Popen(command, cwd=testbed.CHECKOUT, stdout=subprocess.PIPE, text=True) as starter:
            assert starter.stdout
            pid = int(starter.stdout.readline())
            starter.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 10
        while (left := processes.read(pid)) and left.state != "Z" and time.monotonic() < deadline:
            time.sleep(0.02)
        assert left is None or left.state == "Z"
    finally:
        SystemdMachine(name, testbed.native_mode()).stop()
