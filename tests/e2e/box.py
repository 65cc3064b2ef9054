"""An engine with images in it, and the containers that tests make there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.machine import snapshot
from tests.machine.engine_root import EngineRoot

Done = subprocess.CompletedProcess[str]
BUSYBOX = "busybox"
HOST = "host:"
PATIENCE = 20.0
"""Seconds that something may take on a busy machine before a test calls it missing."""


def until(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Wait until a condition holds; fail with ``what`` when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Return whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def refused(done: Done, what: str, status: int = 125) -> None:
    """Check an error: the status, and two lines of which the first names what is wrong."""
    assert (done.returncode, done.stdout) == (status, ""), done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 2, done.stderr
    assert re.match(r"engine: \S.*[^.]$", lines[0]), lines[0]
    assert what in lines[0], lines[0]
    assert re.match(r"  [A-Z`].*\S$", lines[1]), lines[1]
    assert "defect" not in lines[1], done.stderr


class Container(NamedTuple):
    """A container of a test's own, by its name."""

    box: Box
    name: str

    def inspect(self) -> dict[str, Any]:
        """Return what `engine inspect` shows of it."""
        found: list[dict[str, Any]] = json.loads(self.box.done("inspect", self.name).stdout)
        return found[0]

    @property
    def state(self) -> dict[str, Any]:
        """The part of it that says whether it runs, and how it ended."""
        state: dict[str, Any] = self.inspect()["State"]
        return state

    @property
    def pid(self) -> int:
        """The pid of its first process on the host, 0 when it does not run."""
        return int(self.state["Pid"])

    def sh(self, script: str, *flags: str) -> str:
        """Return what a shell script prints that `engine exec` runs in it."""
        return self.box.done("exec", *flags, self.name, "/bin/sh", "-c", script).stdout

    def logs(self, *flags: str) -> str:
        """Return its output and its errors, as `engine logs` shows them."""
        done = self.box.done("logs", *flags, self.name)
        return done.stdout + done.stderr

    def wait_for_log(self, text: str) -> None:
        """Wait until it has written a text."""
        until(lambda: text in self.logs(), f"{text!r} in the output of {self.name}")

    def wait(self) -> int:
        """Wait until it has ended; return its exit status."""
        return int(self.box.done("wait", self.name).stdout)


class Box:
    """An engine, its root, and the image that a test's containers are made of unless it says another."""

    def __init__(self, root: EngineRoot, image: str = BUSYBOX) -> None:
        self.root = root
        self.image = image

    def __call__(self, *arguments: str | Path, **options: Any) -> Done:
        """Run an engine command, whatever comes of it."""
        return self.root.run(*arguments, **options)

    def done(self, *arguments: str | Path, **options: Any) -> Done:
        """Run an engine command that must succeed."""
        done = self(*arguments, **options)
        assert done.returncode == 0, f"engine {' '.join(map(str, arguments))}: {done.returncode}\n{done.stderr}"
        return done

    def run(self, *flags: str | Path, script: str = "true", image: str = "", status: int = 0, **options: Any) -> str:
        """Return what a shell script prints in a container that is gone afterwards; its status must be ``status``."""
        done = self("run", "--rm", *flags, image or self.image, "/bin/sh", "-c", script, **options)
        assert done.returncode == status, f"run {' '.join(map(str, flags))}: {done.returncode}\n{done.stderr}"
        return str(done.stdout)

    def name(self) -> str:
        """Return a name that no other container of this run has."""
        return f"{self.root.mark}-{os.urandom(3).hex()}"

    @contextmanager
    def container(
        self, *flags: str | Path, script: str = "exec sleep 600", image: str = "", env: Mapping[str, str] | None = None
    ) -> Iterator[Container]:
        """Give a container that runs a shell script, started and left running; it is removed at the block's end."""
        with self.to_be_removed() as name:
            command = ["/bin/sh", "-c", script]
            self.done("run", "--detach", "--name", name, *flags, image or self.image, *command, env=env)
            yield Container(self, name)

    @contextmanager
    def to_be_removed(self) -> Iterator[str]:
        """Give a name for a container, and remove the container of that name at the block's end."""
        name = self.name()
        try:
            yield name
        finally:
            self.done("rm", "--force", name)

    def left(self) -> list[str]:
        """Return the directories, snapshots, cgroups and ids of this engine's containers: none without containers."""
        places = (
            self.root.root / "containers", self.root.state / "containers", self.root.state / "locks",
            *self.root.root.glob("storage/*/active"),
        )  # fmt: skip
        files = [str(entry) for place in places if place.is_dir() for entry in place.iterdir()]
        groups = [thing.name for thing in snapshot.cgroups() if f"{self.root.cgroups}/" in thing.name]
        return files + groups + self.root.id_ranges()
