"""A systemd booted as PID 1 in namespaces of this machine: half a second, eleven megabytes, no virtual machine.

Its root filesystem is Debian's, read-only below a tmpfs; the checkout is in it at its own path, read-only, so the
tests' own interpreter and `engine` run inside. Everything ends with the process that started it, also when that is
killed: its death kills `unshare` (PR_SET_PDEATHSIG), that one's kills PID 1, PID 1's kills the rest.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.machine import marks
from tests.testbed import rootfs

CHECKOUT = Path(__file__).resolve().parent.parent.parent
NAMESPACES = ("--mount", "--cgroup", "--uts", "--ipc", "--pid", "--net")
BOOT_TIMEOUT = 60.0
"""Seconds. A boot takes 0.3 to 0.7 on a quiet machine."""


def hierarchies() -> dict[str, str]:
    """Return the cgroup mounts of this machine: mount point to v1 options, empty for v2."""
    found: dict[str, str] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        fstype, _, options = after.split(" ", 2)
        if fstype == "cgroup":
            found[before.split()[4]] = ",".join(word for word in options.split(",") if word not in {"rw", "ro"})
        elif fstype == "cgroup2":
            found[before.split()[4]] = ""
    return found


def native_mode() -> str:
    """Return how this machine's cgroups are laid out: ``v2``, ``hybrid`` or ``v1``."""
    options = hierarchies().values()
    if not any(options):
        return "v2"
    return "hybrid" if "" in options else "v1"


class SystemdMachine:
    """One booted machine. ``pid`` is its PID 1 as seen from outside; ``scratch`` a writable directory inside.

    What is written to it is lost when it stops, unless ``disk`` is a directory to hold that: the next one starts there.
    """

    scratch = "/tmp"

    def __init__(self, name: str, mode: str, shared: Iterable[Path] = (), disk: Path | None = None) -> None:
        self.name = name
        self.mode = mode
        self.disk = disk
        self.shared = [CHECKOUT, rootfs.CACHE, *shared]
        if not Path(sys.base_prefix).is_relative_to("/usr"):
            self.shared.append(Path(sys.base_prefix))
        self.work = Path("/var/tmp", name)
        self.groups = [self._own_cgroup(place, options) / name for place, options in hierarchies().items()]
        self.pid = 0
        self._unshare: subprocess.Popen[bytes] | None = None

    @property
    def bus_socket(self) -> Path:
        """The system bus's socket, reachable from outside."""
        return Path(f"/proc/{self.pid}/root/run/dbus/system_bus_socket")

    def start(self) -> None:
        """Boot it, and return when it is up. Raises RuntimeError with its log when it does not come up."""
        for group in self.groups:
            make_cgroup(group)
        self.work.mkdir()
        spec = {
            "name": self.name, "mode": self.mode, "work": str(self.work), "rootfs": str(rootfs.build(rootfs.SYSTEMD)),
            "hierarchies": hierarchies(), "shared": [str(path) for path in self.shared], "disk": str(self.disk or ""),
            "environment": {name: os.environ[name] for name in (marks.RUN, marks.TEST) if name in os.environ},
        }  # fmt: skip
        inside = [sys.executable, "-I", str(Path(__file__).with_name("inside.py")), json.dumps(spec)]
        unshare = ["unshare", *NAMESPACES, "--fork", "--kill-child", "--propagation", "slave", "--", *inside]
        self._unshare = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *self._joined(self.groups, unshare)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self._wait_until_up(time.monotonic() + BOOT_TIMEOUT)

    def run(self, command: Sequence[str | Path], **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command inside, in a cgroup of its own there. ``options`` are subprocess.run's."""
        settings: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 60, "check": False, **options}
        if "input" not in settings:
            settings.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run(self.command(command), **settings)

    def command(self, command: Sequence[str | Path]) -> list[str]:
        """Return the command line that runs a command inside."""
        for group in self.groups:
            make_cgroup(group / "client")
        enter = ["nsenter", "--target", str(self.pid), "--all", "--wd=/", "--", *map(str, command)]
        return self._joined([group / "client" for group in self.groups], enter)

    def power_off(self, patience: float = 60.0) -> None:
        """Shut it down as its administrator does, and return when it is off; `stop` is needed all the same."""
        assert self._unshare
        self.run(["systemctl", "poweroff"])
        self._unshare.wait(patience)
        self.pid = 0

    def stop(self) -> None:
        """Kill it with everything in it, and remove its cgroups and its directory."""
        if self._unshare:
            for pid in (self.pid, self._unshare.pid):
                if pid:
                    _kill(pid)
            self._unshare.communicate(timeout=30)
        for group in self.groups:
            remove_cgroups(group)
        shutil.rmtree(self.work, ignore_errors=False)

    @staticmethod
    def _joined(groups: Iterable[Path], command: list[str]) -> list[str]:
        """Return a command that enters cgroups first, and then is ``command``.

        systemd removes empty cgroups that it does not know, at times between our making one and entering it: try again.
        """
        join = (
            'until mkdir -p "$group" && echo 0 > "$group/cgroup.procs"; do tries=${tries}x; test $tries != xxxxx; done'
        )
        places = " ".join(shlex.quote(str(group)) for group in groups)
        return ["sh", "-ec", f'for group in {places}; do tries=; {join} 2>/dev/null; done; exec "$@"', "sh", *command]

    @staticmethod
    def _own_cgroup(place: str, options: str) -> Path:
        """Return where in a hierarchy the machine's cgroup goes: below our own, or, on v2 alone, at the top.

        A v2 cgroup with processes in it, such as our own, cannot give its children controllers.
        """
        if native_mode() == "v2":
            return Path(place)
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if set(controllers.split(",")) == set(options.split(",")):
                return Path(place, path.lstrip("/"))
        return Path(place)

    def _wait_until_up(self, deadline: float) -> None:
        assert self._unshare
        while time.monotonic() < deadline:
            if self._unshare.poll() is not None:
                raise RuntimeError(f"systemd did not start: {self._unshare.communicate()[1].decode()}")
            self.pid = self.pid or _first_process(self._unshare.pid)
            if self.pid and self.bus_socket.exists():
                state = self.run(["systemctl", "is-system-running"]).stdout.strip()
                if state in {"running", "degraded"}:
                    return
            time.sleep(0.05)
        log = Path(f"/proc/{self.pid}/root/run/boot.log")
        raise RuntimeError(f"systemd is not up after {BOOT_TIMEOUT} s: {log.read_text() if log.exists() else 'no log'}")


def make_cgroup(group: Path) -> None:
    """Make a cgroup; a v1 cpuset starts empty, and takes no process before it has processors and memory."""
    group.mkdir(exist_ok=True)
    for name in ("cpuset.cpus", "cpuset.mems"):
        if (group / name).exists() and not (group / "cgroup.controllers").exists():
            (group / name).write_text((group.parent / name).read_text())


def remove_cgroups(group: Path, patience: float = 20.0) -> None:
    """Remove a cgroup and all below it; the kernel answers EBUSY for a while after the last process died."""
    deadline = time.monotonic() + patience
    for directory, _, _ in os.walk(group, topdown=False):
        while True:
            try:
                os.rmdir(directory)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)


def _first_process(parent: int) -> int:
    """Return the child that is PID 1 of a pid namespace, or 0 while there is none."""
    for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        try:
            status = Path(f"/proc/{child}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if status.partition("NSpid:")[2].partition("\n")[0].split()[1:] == ["1"]:
            return int(child)
    return 0


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
