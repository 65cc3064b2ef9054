"""A container of the cgroup suite: a process started from a driver's plan as the shim does it, and a pipe each way."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from typing import Any

import pytest

from engine.actions import execute
from engine.actions.base import Step, to_plain
from engine.contracts.cgroup import CgroupDriver, CgroupPlan
from engine.errors import from_plain


class Shims:
    """A process that has imported the suite's shim and forks one for each container: much faster than executing it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "engine.testing.cgroup_shim"],
                stdin=theirs.fileno(), env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )  # fmt: skip
        self._asking = ours

    def fork(self, stdin: int, stdout: int) -> socket.socket:
        """Return the connection to a new shim, which gives its container these descriptors."""
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._asking, [b"1"], [theirs.fileno(), stdin, stdout])
        return ours

    def close(self) -> None:
        """Fork no more; shims that live go on."""
        self._asking.close()
        self._server.wait()


class Container:
    """A process in a group of its own: ``program`` is Python (-I -S), with one pipe to it and one from it."""

    def __init__(self, driver: CgroupDriver, shims: Shims, plan: CgroupPlan, program: str, patience: float) -> None:
        self.plan = plan
        self.group = plan.group
        self.steps: tuple[Step, ...] = (*plan.before, *plan.inside, *plan.after)
        self.pid = 0
        self._patience = patience
        self._status: int | None = None
        self._text = b""
        self._shim = self._fork(shims)
        self._said = self._shim.makefile(encoding="utf-8")
        try:
            self._launch(driver, plan, [sys.executable, "-I", "-S", "-c", program])
        except BaseException:
            self.remove()
            raise

    def _fork(self, shims: Shims) -> socket.socket:
        stdin, self._in = os.pipe2(os.O_CLOEXEC)
        self._out, stdout = os.pipe2(os.O_CLOEXEC)
        try:
            return shims.fork(stdin, stdout)
        finally:
            os.close(stdin)
            os.close(stdout)

    def _launch(self, driver: CgroupDriver, plan: CgroupPlan, argv: list[str]) -> None:
        request = {"steps": [to_plain(step) for step in self.steps], "unit": plan.unit is not None, "argv": argv}
        self._tell(json.dumps(request))
        answer = self._hear()
        if plan.unit is not None and "unit" in answer:
            driver.run_unit(json.loads(json.dumps(plan.unit.arguments)), answer["unit"])
            self._tell("made")
            answer = self._hear()
        if "error" in answer:
            raise from_plain(answer["error"])
        self.pid = answer["started"]

    def read_line(self) -> str:
        """Return what the process prints next."""
        deadline = time.monotonic() + self._patience
        while b"\n" not in self._text:
            ready, _, _ = select.select([self._out], [], [], max(deadline - time.monotonic(), 0))
            more = os.read(self._out, 4096) if ready else b""
            if not more:
                pytest.fail(f"the process printed only {self._text!r}")
            self._text += more
        line, _, self._text = self._text.partition(b"\n")
        return line.decode()

    def say(self, line: str = "") -> None:
        """Send a line to the process."""
        os.write(self._in, line.encode() + b"\n")

    def wait(self) -> int:
        """Return the exit status of the process, or minus the signal that ended it."""
        if self._status is None:
            self._status = os.waitstatus_to_exitcode(self._hear()["ended"])
        return self._status

    def alive(self) -> bool:
        """Return whether the process has not ended (a zombie has)."""
        try:
            with open(f"/proc/{self.pid}/stat", encoding="ascii", errors="replace") as file:
                return file.read().rpartition(")")[2].split()[0] not in "ZX"
        except (FileNotFoundError, ProcessLookupError):
            return False

    def cpu_time(self) -> int:
        """Return the processor time of the process in clock ticks."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def remove(self) -> list[str]:
        """Undo the steps, as whoever removes a container does; return what could not be undone. May be called again."""
        failed = execute.undo(self.steps, {})
        if self.pid and self.alive() and not failed:
            # Only a broken driver leaves it: it must not outlive the check all the same.
            os.kill(self.pid, signal.SIGKILL)
            failed = [f"process {self.pid} was left alive"]
        self._close()
        return failed

    def _close(self) -> None:
        """Wait for the shim to end, as it does when its container has, or nobody talks to it any more."""
        if self._shim.fileno() < 0:
            return
        self._shim.shutdown(socket.SHUT_WR)
        try:
            while self._hear_line():
                pass
        finally:
            self._said.close()
            self._shim.close()
            os.close(self._in)
            os.close(self._out)

    def _tell(self, line: str) -> None:
        self._shim.sendall(line.encode() + b"\n")

    def _hear(self) -> dict[str, Any]:
        line = self._hear_line()
        if not line:
            pytest.fail("the shim of the suite did not answer")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _hear_line(self) -> str:
        """Return what the shim says next; nothing when it ended."""
        ready, _, _ = select.select([self._said], [], [], self._patience)
        if not ready:
            pytest.fail("the shim of the suite says nothing and does not end")
        return self._said.readline()
