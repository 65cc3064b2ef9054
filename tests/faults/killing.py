"""Kill a process of the engine at its Nth state-changing system call: strace injects it, the product has no part.

strace(1), "Tampering": with ``inject=CALL:signal=KILL:when=N`` the tracee dies on entering its Nth CALL, which is then
never made. A first run that nothing happens to tells which calls there are; then one after the other is the last.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tests.machine.engine_root import EngineRoot

COMMAND_CALLS = (
    "mkdir,mkdirat,rmdir,unlink,unlinkat,rename,renameat,renameat2,pwrite64,ftruncate,fsync,fdatasync,sendto,"
    "clone,clone3,fork,vfork,mount,umount2,move_mount"
)
"""What changes anything from a command: its directories and files, the store (pwrite64), the shim's plan (sendto)."""
SHIM_CALLS = f"{COMMAND_CALLS},write,unshare,bind,listen,fsmount,kill,pidfd_send_signal"
"""The same for the shim, and its journal and cgroup files (write), its socket, and the mounts it makes."""

_AS_SHIM = """\
import sys, types
python, sys.executable = sys.executable, {wrapper!r}
from engine.containers import programs
programs.sys = types.SimpleNamespace(executable=python)  # the same process still: strace follows it already
from engine.cli.main import main
main()
"""


class Point(NamedTuple):
    """The Nth call of that name: strace counts each call of a set by itself."""

    call: str
    number: int


class Killer:
    """Runs commands of one engine with a death in them."""

    def __init__(self, engine: EngineRoot) -> None:
        self.engine = engine
        self.strace = shutil.which("strace") or "strace"

    def command_points(self, *arguments: str) -> list[Point]:
        """Run a command unharmed and return the calls worth dying at: the first and the last of each row of one call.

        Between two writes to the store, or to a container's cgroup files, there is nothing but more of the same.
        """
        log = self.engine.place / "strace.log"
        self._run([self.strace, "-o", str(log), "-e", f"trace={COMMAND_CALLS}", *self.engine.command(*arguments)])
        return _edges(log)

    def shim_points(self, *arguments: str) -> list[Point]:
        """Return the same for the command's shim."""
        self._through_wrapper(f"-e trace={SHIM_CALLS}", *arguments)
        return _edges(self.engine.place / "strace.log")

    def shim_points_to_its_end(self, *arguments: str, after: str) -> list[Point]:
        """Return the points of a shim that outlives its command, from a call with ``after`` in it on.

        What the shim executes in its own place is the same process, and belongs to it.
        """
        self._through_wrapper(f"-e trace={SHIM_CALLS}", *arguments)
        self.await_end_of_shim()
        log = self.engine.place / "strace.log"
        lines = log.read_text().splitlines(keepends=True)
        first = next(number for number, line in enumerate(lines) if after in line)
        counts = Counter(point.call for point in _points(lines[:first]))
        return [point for point in _edges(log) if point.number > counts[point.call]]

    def await_end_of_shim(self, seconds: float = 30) -> None:
        """Wait until strace has seen the end of the shim that it follows."""
        log, deadline = self.engine.place / "strace.log", time.monotonic() + seconds
        while not (log.exists() and log.read_text().rstrip().endswith("+++")):
            assert time.monotonic() < deadline, f"the shim still runs: {log.read_text()[-500:]}"
            time.sleep(0.02)

    def command(self, point: Point, *arguments: str) -> bool:
        """Run a command whose own process dies at that call; return whether it came to that."""
        return self._run([self.strace, "-o", "/dev/null", *self._injection(point), *self.engine.command(*arguments)])

    def shim(self, point: Point, *arguments: str) -> bool:
        """Run a command whose shim dies at that call; return whether it came to that.

        The shim is started through a wrapper that puts strace between, as a grandchild (``-D``), so that the shim keeps
        the pid that its launcher knows.
        """
        self._through_wrapper(" ".join(self._injection(point)), *arguments)
        return self.shim_died()

    def shim_died(self) -> bool:
        """Return whether strace has seen the death of the shim that it follows."""
        log = self.engine.place / "strace.log"
        return log.exists() and "killed by SIGKILL" in log.read_text()

    def _through_wrapper(self, options: str, *arguments: str) -> None:
        wrapper, log = self.engine.place / "shim-python", self.engine.place / "strace.log"
        log.unlink(missing_ok=True)
        wrapper.write_text(f'#!/bin/sh\nexec {self.strace} -D -o {log} {options} {self._python()} "$@"\n')
        wrapper.chmod(0o755)
        program = _AS_SHIM.format(wrapper=str(wrapper))
        self._run([self._python(), "-c", program, *self.engine.command(*arguments)[1:]])

    def _injection(self, point: Point) -> list[str]:
        inject = f"inject={point.call}:signal=KILL:when={point.number}"
        return ["-e", f"trace={point.call}", "-e", inject]

    def _run(self, command: list[str]) -> bool:
        done = subprocess.run(
            command, env=self.engine.environment, capture_output=True, stdin=subprocess.DEVNULL, timeout=60, check=False
        )
        return done.returncode in (-9, 137)

    def _python(self) -> str:
        return os.fspath(Path(self.engine.command()[0]).parent / "python")


def _points(lines: Iterable[str]) -> list[Point]:
    """Return each call in strace's output."""
    counts: Counter[str] = Counter()
    points = []
    for line in lines:
        if "(" in line and not line.startswith(("---", "+++")):
            name = line.partition("(")[0].split()[-1]
            counts[name] += 1
            points.append(Point(name, counts[name]))
    return points


def _edges(log: Path) -> list[Point]:
    """Return where rows of one call begin and end in strace's output."""
    points = _points(log.read_text().splitlines())
    rows = [list(row) for _name, row in itertools.groupby(points, key=lambda point: point.call)]
    return list(dict.fromkeys(edge for row in rows for edge in (row[0], row[-1])))
