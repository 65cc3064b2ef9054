"""The driver on a user's own systemd, which a real one starts for root and for a user without any privilege."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from plugins.cgroup_systemd.tests.held import ENGINE, take_image
from tests.testbed import inner
from tests.testbed.systemd_machine import SystemdMachine, native_mode

INSIDE = Path(__file__).with_name("contract_user_inside.py")
UNITS = {
    "/run/systemd/user/dbus.socket": "[Socket]\nListenStream=%t/bus\n",
    "/run/systemd/user/dbus.service": "[Service]\nType=notify\nExecStart=/usr/bin/dbus-daemon --session"
    " --address=systemd: --nofork --nopidfile --systemd-activation --syslog-only\n",
    # The packages that make a session of a login are not in the machine.
    "/run/systemd/system/user@.service.d/test.conf": "[Service]\nPAMName=\nEnvironment=XDG_RUNTIME_DIR=/run/user/%i\n",
}


def start_manager(machine: SystemdMachine, uid: int) -> list[str]:
    """Start a user's systemd with its bus; return the words before a command that the user runs in it."""
    for path, text in UNITS.items():
        script = f"mkdir -p {Path(path).parent} && cat >{path}"
        assert machine.run(["sh", "-c", script], input=text).returncode == 0
    script = f"id {uid} 2>/dev/null || echo user{uid}:x:{uid}:{uid}::/tmp:/bin/sh >>/etc/passwd\n"
    script += f"mkdir -p /run/user/{uid} && chown {uid}:{uid} /run/user/{uid} && chmod 700 /run/user/{uid}\n"
    script += f"systemctl daemon-reload && systemctl start user@{uid}.service"
    done = machine.run(["sh", "-ec", script])
    assert done.returncode == 0, done.stderr
    own = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"] if uid else []
    user = [*own, "env", "--chdir=/", f"XDG_RUNTIME_DIR=/run/user/{uid}"]
    assert machine.run([*user, "systemctl", "--user", "start", "dbus.socket"]).returncode == 0
    return user


@inner.WHOLE
@pytest.mark.parametrize(("mode", "uid"), [("hybrid", 0), ("v2", 0), ("v2", 1234)])
def test_contract(mode: str, uid: int, systemd_machines: Callable[[str], SystemdMachine]) -> None:
    if native_mode() not in ("hybrid", mode):
        pytest.skip(f"this machine's cgroups are {native_mode()} alone")
    machine = systemd_machines(mode)
    user = start_manager(machine, uid)
    if machine.run([*user, sys.executable, "-c", f"import engine, pytest; open({str(INSIDE)!r}).close()"]).returncode:
        pytest.skip(f"user {uid} may not go where this checkout or its interpreter is")
    done = machine.run([*user, *inner.suite(INSIDE, f"/tmp/user-{uid}")], timeout=inner.ALL)
    assert inner.outcome(done).passed > 40


KMSG = "mknod /tmp/kmsg c 1 11; head -c 0 /dev/zero && ! cat </tmp/kmsg"
"""Succeeds where /dev/zero can be opened and the kernel's log, of which there is a node, cannot."""


def of_user(machine: SystemdMachine) -> list[str]:
    """Return the words before a command of `engine` that root's own systemd is to make scopes for."""
    settings = '[options.cgroup.systemd]\nbus = "user"\n'
    script = "mkdir -p /tmp/users/engine && cat >/tmp/users/engine/engine.toml"
    assert machine.run(["sh", "-c", script], input=settings).returncode == 0
    return [*start_manager(machine, 0), "XDG_CONFIG_HOME=/tmp/users"]


@pytest.mark.parametrize("mode", ["hybrid", "v2"])
def test_devices_are_restricted_in_a_scope_of_root_s_own(
    mode: str, systemd_machines: Callable[[str], SystemdMachine], busybox_rootfs_tar: Path
) -> None:
    """That systemd sets no filter, so the engine does; systemd leaves it alone."""
    if native_mode() not in ("hybrid", mode):
        pytest.skip(f"this machine's cgroups are {native_mode()} alone")
    machine = systemd_machines(mode)
    take_image(machine, busybox_rootfs_tar)
    user = of_user(machine)
    run = [ENGINE, "run", "-d", "--cgroup-driver", "systemd", "--cgroupns", "host", "busybox", "sleep", "600"]
    done = machine.run([*user, *run])
    assert done.returncode == 0, done.stderr
    known = done.stdout.strip()
    try:
        assert (
            "/user@0.service/app.slice/" in machine.run([*user, ENGINE, "exec", known, "cat", "/proc/1/cgroup"]).stdout
        )
        for _ in range(2):
            done = machine.run([*user, ENGINE, "exec", known, "sh", "-c", f"rm -f /tmp/kmsg; {KMSG}"])
            assert (done.returncode, "not permitted" in done.stderr) == (0, True), done.stderr
            assert machine.run([*user, "systemctl", "--user", "daemon-reload"]).returncode == 0
    finally:
        machine.run([*user, ENGINE, "rm", "-f", known])
    assert known not in machine.run([*user, "systemctl", "--user", "list-units", "--all", "--plain"]).stdout


def test_without_v2_root_s_own_systemd_is_refused_at_once(
    systemd_machines: Callable[[str], SystemdMachine], busybox_rootfs_tar: Path
) -> None:
    if native_mode() == "v2":
        pytest.skip("this machine's cgroups are v2 alone")
    machine = systemd_machines("v1")
    take_image(machine, busybox_rootfs_tar)
    user = of_user(machine)
    before = machine.run([*user, ENGINE, "ps", "--all", "--quiet"]).stdout
    done = machine.run([*user, ENGINE, "run", "--cgroup-driver", "systemd", "busybox", "true"])
    assert done.returncode == 125
    assert "there is no cgroup v2 here" in done.stderr
    assert "bus=system" in done.stderr, "and what to do"
    assert machine.run([*user, ENGINE, "ps", "--all", "--quiet"]).stdout == before
