"""The engines that are compared: how each is made ready, run once, and stopped.

Every one gets the same busybox root filesystem, no network, and state of its own in a temporary directory.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from tests.machine import snapshot
from tests.machine.engine_root import EngineRoot
from tests.testbed import rootfs

IMAGE = "busybox"
DAEMON_TIMEOUT = 60.0
"""Seconds that dockerd may take to answer; 2 to 5 on a quiet machine."""


class PeerError(Exception):
    """A peer cannot run here; the text says why."""


class Peer(ABC):
    """One engine. ``prepare`` and ``stop`` are called once, ``command`` is what is timed."""

    name = ""

    def __init__(self, work: Path) -> None:
        self.work = work / self.name
        self.cgroup_parent = f"/{work.name}-{self.name}"

    @property
    def environment(self) -> Mapping[str, str]:
        """What its commands run with."""
        return os.environ

    @abstractmethod
    def prepare(self, tar: Path) -> None:
        """Make it ready, with the root filesystem in ``tar`` as its image. Raises PeerError."""

    @abstractmethod
    def command(self, number: int) -> list[str]:
        """Return the command that runs /bin/true in a fresh container; ``number`` differs each time."""

    def version(self) -> str:
        """Return what it says of its version."""
        return self.call(self.name, "--version").splitlines()[0]

    def stop(self) -> None:
        """End what ``prepare`` started. The caller removes its directory and its cgroups."""
        return

    def call(self, *command: str | Path) -> str:
        """Run one of its commands and return its output. Raises PeerError with what it said."""
        try:
            done = subprocess.run(
                command, env=self.environment, capture_output=True, text=True, timeout=120, check=False
            )
        except (FileNotFoundError, subprocess.TimeoutExpired) as error:
            raise PeerError(f"{self.name}: {error}") from error
        if done.returncode:
            raise PeerError(f"{self.name}: {' '.join(map(str, command))}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout


class Engine(Peer):
    """This one, with no service."""

    name = "engine"

    def __init__(self, work: Path) -> None:
        super().__init__(work)
        self.root = EngineRoot(f"{work.name}-engine")

    @property
    def environment(self) -> Mapping[str, str]:
        """The root's."""
        return self.root.environment

    def prepare(self, tar: Path) -> None:
        """Import the image."""
        self.root.make()
        self.call(*self.root.command("import", tar, IMAGE))

    def command(self, number: int) -> list[str]:
        """Return ``engine run``."""
        return self.root.command("run", "--rm", "--network", "none", IMAGE, "/bin/true")

    def version(self) -> str:
        """Return the version."""
        return self.call(*self.root.command("--version")).strip()

    def stop(self) -> None:
        """Remove the root; complain of what was left."""
        if left := self.root.close():
            raise PeerError("engine left behind: " + "; ".join(left))


class Docker(Peer):
    """Docker, with a daemon of its own: no bridge, no firewall rules, private directories and socket."""

    name = "docker"
    daemon: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> Mapping[str, str]:
        """Point the client at the daemon."""
        return os.environ | {"DOCKER_HOST": f"unix://{self.work}/socket", "DOCKER_CONFIG": str(self.work / "client")}

    def prepare(self, tar: Path) -> None:
        """Start the daemon and import the image."""
        self.work.mkdir()
        (self.work / "daemon.json").write_text("{}")
        command: list[str | Path] = [
            "dockerd", "--config-file", self.work / "daemon.json", "--host", f"unix://{self.work}/socket",
            "--data-root", self.work / "data", "--exec-root", self.work / "exec", "--pidfile", self.work / "pid",
            "--bridge=none", "--iptables=false", "--ip6tables=false", "--cgroup-parent", self.cgroup_parent,
        ]  # fmt: skip
        if not shutil.which("dockerd"):
            raise PeerError("docker: there is no dockerd on this machine (Debian's package docker.io has it)")
        with open(self.work / "log", "wb") as log:
            self.daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._wait_for_the_daemon(time.monotonic() + DAEMON_TIMEOUT)
        self.call("docker", "import", tar, IMAGE)

    def _wait_for_the_daemon(self, deadline: float) -> None:
        assert self.daemon
        while time.monotonic() < deadline and self.daemon.poll() is None:
            if (self.work / "socket").exists() and not subprocess.run(
                ["docker", "version"], env=self.environment, capture_output=True
            ).returncode:
                return
            time.sleep(0.1)
        log = (self.work / "log").read_text().splitlines()
        raise PeerError("docker: dockerd did not come up:\n" + "\n".join(log[-5:]))

    def command(self, number: int) -> list[str]:
        """Return ``docker run``."""
        return ["docker", "run", "--rm", "--network", "none", IMAGE, "/bin/true"]

    def version(self) -> str:
        """Return the daemon's version and the client's."""
        return self.call(
            "docker", "version", "--format", "dockerd {{.Server.Version}}, docker {{.Client.Version}}"
        ).strip()

    def stop(self) -> None:
        """Stop the daemon, which stops its containerd."""
        if self.daemon:
            self.daemon.terminate()
            try:
                self.daemon.wait(30)
            except subprocess.TimeoutExpired:
                self.daemon.kill()
                self.daemon.wait()


class Podman(Peer):
    """Podman: no daemon. Its default limits are past what some machines let root have, so they are lowered."""

    name = "podman"

    @property
    def environment(self) -> Mapping[str, str]:
        """Use a configuration of its own."""
        return os.environ | {"CONTAINERS_CONF": str(self.work / "containers.conf")}

    def prepare(self, tar: Path) -> None:
        """Import the image into a storage of its own."""
        self.work.mkdir()
        (self.work / "containers.conf").write_text(
            '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\n'
            '[engine]\ncgroup_manager = "cgroupfs"\nruntime = "runc"\nevents_logger = "none"\n'
            f'static_dir = "{self.work}/static"\nvolume_path = "{self.work}/volumes"\n'
        )
        self.call(*self._podman("import", str(tar), IMAGE))

    def _podman(self, *arguments: str) -> list[str]:
        places = [
            "--root",
            str(self.work / "root"),
            "--runroot",
            str(self.work / "run"),
            "--tmpdir",
            str(self.work / "tmp"),
        ]
        return ["podman", *places, *arguments]

    def command(self, number: int) -> list[str]:
        """Return ``podman run``."""
        options = ["--rm", "--network", "none", "--cgroup-parent", self.cgroup_parent, "--cgroups", "no-conmon"]
        return self._podman("run", *options, IMAGE, "/bin/true")

    def stop(self) -> None:
        """Remove its image, and undo the mount that its storage driver makes."""
        if self.work.exists():
            self.call(*self._podman("rmi", "--all", "--force"))
        for mount in snapshot.mounts():
            if mount.name.startswith(f"{self.work}/"):
                self.call("umount", mount.name.rpartition(" (id ")[0])


class Runc(Peer):
    """runc alone: no image, no layer, no log. What a runtime costs when nothing is around it."""

    name = "runc"

    def prepare(self, tar: Path) -> None:
        """Unpack the image into a bundle."""
        rootfs.unpack(tar, self.work / "rootfs")
        self.call("runc", "spec", "--bundle", self.work)
        config = self.work / "config.json"
        spec = json.loads(config.read_text())
        spec["process"] |= {"args": ["/bin/true"], "terminal": False}
        config.write_text(json.dumps(spec))

    def command(self, number: int) -> list[str]:
        """Return ``runc run``."""
        name = f"{self.work.parent.name}-{number}"
        return ["runc", "--root", str(self.work / "state"), "run", "--bundle", str(self.work), name]


PEERS: tuple[type[Peer], ...] = (Docker, Podman, Runc)
