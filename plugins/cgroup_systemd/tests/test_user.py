"""The driver on a user's own systemd, which a real one starts for root and for a user without any privilege."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

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


@pytest.mark.parametrize(("mode", "uid"), [("hybrid", 0), ("v2", 0), ("v2", 1234)])
def test_contract(mode: str, uid: int, systemd_machines: Callable[[str], SystemdMachine]) -> None:
    if native_mode() not in ("hybrid", mode):
        pytest.skip(f"this machine's cgroups are {native_mode()} alone")
    machine = systemd_machines(mode)
    user = start_manager(machine, uid)
    if machine.run([*user, sys.executable, "-c", f"import engine, pytest; open({str(INSIDE)!r}).close()"]).returncode:
        pytest.skip(f"user {uid} may not go where this checkout or its interpreter is")
    arguments = ["-p", "no:cacheprovider", "-c", "/dev/null", "--noconftest", "--import-mode=importlib", "--tb=short"]
    pytest_inside = [sys.executable, "-m", "pytest", *arguments, "--basetemp", f"/tmp/user-{uid}"]
    done = machine.run([*user, *pytest_inside, str(INSIDE)], timeout=170)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed
    assert int(passed[1]) > 40
