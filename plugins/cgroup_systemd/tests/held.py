"""A container under a real systemd, for tests that run commands in its machine."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.testbed.systemd_machine import SystemdMachine

ENGINE = str(Path(sys.executable).parent / "engine")
Done = subprocess.CompletedProcess[str]


def take_image(machine: SystemdMachine, tar: Path) -> None:
    """Import a root filesystem of busybox as the image ``busybox``."""
    with open(tar, "rb") as file:
        assert machine.run([ENGINE, "import", "-", "busybox"], stdin=file).returncode == 0


class Held:
    """A container in a scope of the machine's systemd; it sleeps, if it gets no ``script`` for its shell."""

    def __init__(self, machine: SystemdMachine, *flags: str, script: str = "exec sleep 600") -> None:
        self.machine = machine
        run = ["run", "-d", "--cgroup-driver", "systemd", *flags, "busybox", "sh", "-c", script]
        done = self.engine(*run)
        assert done.returncode == 0, done.stderr
        self.id = done.stdout.strip()

    def engine(self, *words: str) -> Done:
        return self.machine.run([ENGINE, *words])

    def done(self, *words: str) -> str:
        done = self.engine(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def unit(self) -> str:
        units = self.machine.run(["systemctl", "list-units", "--all", "--no-legend", "--plain", "--type=scope"]).stdout
        return next((line.split()[0] for line in units.splitlines() if self.id in line), "")

    def shown(self, *names: str) -> dict[str, str]:
        lines = self.machine.run(["systemctl", "show", self.unit, *(f"-p{name}" for name in names)]).stdout.splitlines()
        return dict(line.split("=", 1) for line in lines)

    def applied(self, limit: str) -> str:
        found = json.loads(self.done("inspect", self.id))[0]["Limits"]
        return next(str(row["Applied"]) for row in found if row["Name"] == limit)

    def file(self, v1: str, v2: str) -> str:
        return self.done("exec", self.id, "sh", "-c", f"cat /sys/fs/cgroup/{v1} || cat /sys/fs/cgroup/{v2}").strip()

    def used(self) -> int:
        """Return the processor time as `engine stats` counts it; that takes half a second."""
        row = json.loads(self.done("stats", "--no-stream", "--format", "json", self.id))
        return int(row["Counters"]["cpu_ns"])

    def inspected(self, name: str) -> Any:
        """Return one of the fields at the top of `engine inspect`."""
        return json.loads(self.done("inspect", self.id))[0][name]

    def left(self) -> list[str]:
        """Return what is left of it in the cgroup hierarchies."""
        return self.machine.run(["find", "/sys/fs/cgroup", "-name", f"*{self.id}*"]).stdout.splitlines()

    def gone(self) -> bool:
        deadline = time.monotonic() + 10
        while self.unit and time.monotonic() < deadline:
            time.sleep(0.05)
        return not self.unit
