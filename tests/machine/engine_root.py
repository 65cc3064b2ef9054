"""An engine of one test's own, and how everything that it made is taken away again, also when the test fails."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.machine import marks, processes, removal, snapshot

ENGINE = Path(sys.executable).parent / "engine"


class EngineRoot:
    """Root and state of one engine, bearing a mark, and the name of its cgroups below the run's own.

    ``environment`` is what its commands run with; a test may add to it. It is the same for all tests of a run, so that
    what the engine remembers for it (settings, plugins) is found out once.
    """

    def __init__(self, mark: str) -> None:
        self.mark = mark
        self.place = marks.PLACE / mark
        self.root = self.place / "root"
        self.state = self.place / "state"
        self.cgroups = marks.of_engine_root(self.root)
        self.environment = os.environ | {
            "ENGINE_CGROUP_PARENT": f"/{marks.of_run()}",
            "ENGINE_CACHE": str(marks.cache()),
        }
        for name in ("COLUMNS", "LINES"):  # of pytest's own terminal: importing readline sets them
            self.environment.pop(name, None)

    def make(self) -> None:
        """Make its directories, empty."""
        for directory in (self.root, self.state):
            directory.mkdir(parents=True)

    def id_ranges(self) -> list[str]:
        """Return the ids of the host that containers of this engine have: none without containers."""
        file = self.root / "engine.db"
        if not file.exists():
            return []
        with contextlib.closing(sqlite3.connect(file)) as connection:
            rows = connection.execute("SELECT container, first, size FROM id_ranges").fetchall()
        return [f"ids {first}+{size} of {container[:12]}" for container, first, size in rows]

    def command(self, *arguments: str | Path) -> list[str]:
        """Return the whole command line of an engine command."""
        return [str(ENGINE), "--root", str(self.root), "--state", str(self.state), *map(str, arguments)]

    def run(
        self, *arguments: str | Path, env: Mapping[str, str] | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run an engine command to its end and return its status and texts. ``options`` are subprocess.run's."""
        settings: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 60, "stdin": subprocess.DEVNULL}
        if "input" in options:
            del settings["stdin"]
        settings |= options
        return subprocess.run(
            self.command(*arguments), env={**self.environment, **(env or {})}, check=False, **settings
        )

    def popen(
        self, *arguments: str | Path, env: Mapping[str, str] | None = None, **options: Any
    ) -> subprocess.Popen[str]:
        """Start an engine command. ``options`` are subprocess.Popen's."""
        settings = {"text": True, **options}
        return subprocess.Popen(self.command(*arguments), env={**self.environment, **(env or {})}, **settings)

    def close(self) -> list[str]:
        """Remove every container, then take away whatever is still there; return what that was, in words."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            names = self.run("ps", "--all", "--quiet").stdout.split()
            if names:
                self.run("rm", "--force", *names)
        left = self._left_patiently()
        self._take_away()
        return left

    def _left_patiently(self) -> list[str]:
        deadline = time.monotonic() + 5
        while (left := list(self._left())) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left

    def _left(self) -> Iterator[str]:
        """Yield, in words, each process, mount, loop device and cgroup that bears the mark."""
        for process in self.processes():
            yield f"process {process.pid}: {process.command or process.state}"
        for thing in (*snapshot.mounts(), *snapshot.loop_devices(), *self._cgroups()):
            if self._bears_mark(f"{thing.name} {thing.details}"):
                yield f"{thing.kind} {thing.name}"

    def processes(self) -> list[processes.Process]:
        """Return the processes that name the mark, but this one."""
        found = processes.everything().values()
        return [process for process in found if process.pid != os.getpid() and self._bears_mark(process.signs)]

    def _bears_mark(self, text: str) -> bool:
        return self.mark in text or self.cgroups in text

    def _cgroups(self) -> list[snapshot.Thing]:
        """Return the engine's cgroups below the one that holds them: that one stays as long as the root."""
        return [thing for thing in snapshot.cgroups() if f"{self.cgroups}/" in thing.name]

    def _take_away(self) -> None:
        for process in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        removal.remove(self._bears_mark)
        shutil.rmtree(self.place)


@contextlib.contextmanager
def fresh_engine(mark: str) -> Iterator[EngineRoot]:
    """Give an engine for the body. The test fails when something is left after its containers were removed."""
    root = EngineRoot(mark)
    root.make()
    try:
        yield root
    finally:
        left = root.close()
    if left:
        pytest.fail("left behind after every container was removed:\n" + "\n".join(left), pytrace=False)
