"""What the cgroup suite's checks share: containers started from a plan as the shim starts them, and looking at them."""

from __future__ import annotations

import hashlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from engine.actions import execute
from engine.actions.base import Phase, Step, to_plain
from engine.contracts.cgroup import Capability, CgroupConfig, CgroupDriver, CgroupPlan
from engine.errors import from_plain
from engine.linux import cgroups
from engine.spec.runtime import Resources

MakeDriver = Callable[[CgroupConfig], CgroupDriver]
PATIENCE = 20.0
"""Seconds to wait for what takes milliseconds on a quiet machine. A test may lower it: it is read when it is needed."""
MIB = 1 << 20

SLEEP = "import time; print('up', flush=True); time.sleep(600)"
SPIN = "print('up', flush=True)\nwhile True: pass"


class Container:
    """A process in a group of its own: ``program`` is Python (-I -S), with one pipe to it and one from it."""

    def __init__(self, driver: CgroupDriver, plan: CgroupPlan, program: str) -> None:
        self.plan = plan
        self.group = plan.group
        self.steps: tuple[Step, ...] = (*plan.before, *plan.inside, *plan.after)
        self.pid = 0
        self._status: int | None = None
        self._text = b""
        try:
            self._launch(driver, plan, [sys.executable, "-I", "-S", "-c", program])
        except BaseException:
            self.remove()
            raise

    def _launch(self, driver: CgroupDriver, plan: CgroupPlan, argv: list[str]) -> None:
        stdin, self._in = os.pipe2(os.O_CLOEXEC)
        self._out, stdout = os.pipe2(os.O_CLOEXEC)
        self._shim = subprocess.Popen(
            [sys.executable, "-m", "engine.testing.cgroup_shim"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=(stdin, stdout),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )  # fmt: skip
        os.close(stdin)
        os.close(stdout)
        request = {"steps": [to_plain(step) for step in self.steps], "unit": plan.unit is not None, "argv": argv}
        self._tell(json.dumps({**request, "streams": [stdin, stdout]}))
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
        deadline = time.monotonic() + PATIENCE
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
        shim = getattr(self, "_shim", None)
        if shim is None or shim.stdin.closed:
            return
        shim.stdin.close()
        try:
            shim.wait(PATIENCE)
        finally:
            shim.kill()
            shim.stdout.close()
            os.close(self._in)
            os.close(self._out)

    def _tell(self, line: str) -> None:
        assert self._shim.stdin is not None
        self._shim.stdin.write(line + "\n")
        self._shim.stdin.flush()

    def _hear(self) -> dict[str, Any]:
        assert self._shim.stdout is not None
        ready, _, _ = select.select([self._shim.stdout], [], [], PATIENCE)
        line = self._shim.stdout.readline() if ready else ""
        if not line:
            pytest.fail("the shim of the suite did not answer")
        answer: dict[str, Any] = json.loads(line)
        return answer


class Bench:
    """What a check gets: the driver, others like it, and containers that are removed when the check ends."""

    def __init__(self, make_driver: MakeDriver, node: str, parent: str, *, parents_stay: bool = False) -> None:
        self.mark = hashlib.sha256(f"{node} {os.getpid()} {time.monotonic_ns()}".encode()).hexdigest()[:8]
        self.make_driver = make_driver
        self.parent = parent
        self.parents_stay = parents_stay
        self.driver = self.with_mark(self.mark)
        self._containers: list[Container] = []
        self._names = 0

    def with_mark(self, mark: str) -> CgroupDriver:
        """Return another driver, for another root of the engine."""
        return self.make_driver(CgroupConfig("", mark, {}))

    @staticmethod
    def beside(other: Bench) -> Bench:
        """Return another bench, with a driver that looks at the machine as it is now."""
        return Bench(other.make_driver, other.mark, other.parent, parents_stay=other.parents_stay)

    def name(self) -> str:
        """Return a name that no other container has."""
        self._names += 1
        return f"check{self._names}{self.mark}"

    def start(self, resources: Resources, program: str, *, parent: str = "", name: str = "") -> Container:
        """Start a container with these limits and wait for nothing."""
        return self.run(self.driver.plan(name or self.name(), resources, parent=parent), program)

    def run(self, plan: CgroupPlan, program: str) -> Container:
        """Start a container from a plan."""
        container = Container(self.driver, plan, program)
        self._containers.append(container)
        return container

    def needs(self, *capabilities: Capability) -> None:
        """Skip the check unless the driver declares all of these."""
        for capability in capabilities:
            if capability not in self.driver.capabilities:
                pytest.skip(f"the driver does not offer {capability.value} here")

    def close(self) -> None:
        """Remove every container, whatever the check did."""
        for container in self._containers:
            container.remove()


class CgroupChecks:
    """The base of the suite's parts: the fixtures."""

    parent = "/engine-suite"
    """A parent other than the default, in the driver's own syntax."""
    parents_stay = False
    """Whether parents that were made along with a group stay when it goes, as systemd's slices do."""

    @pytest.fixture
    def make_driver(self) -> MakeDriver:
        """Return what makes the driver under test from a `CgroupConfig`. A subclass overrides it."""
        raise NotImplementedError("a cgroup driver's test class provides the fixture 'make_driver'")

    @pytest.fixture
    def bench(self, make_driver: MakeDriver, request: pytest.FixtureRequest) -> Iterator[Bench]:
        """Make the driver, and clean up after the check."""
        bench = Bench(make_driver, request.node.nodeid, self.parent, parents_stay=self.parents_stay)
        try:
            yield bench
        finally:
            bench.close()


def members(directory: str) -> list[int]:
    """Return the processes of one directory."""
    return [int(pid) for pid in cgroups.read_value(directory, "cgroup.procs").split()]


def existing(plan: CgroupPlan) -> list[str]:
    """Return the directories of a plan's group that exist."""
    return [path for path in plan.group.directories if os.path.exists(path)]


def made_by(plan: CgroupPlan) -> list[Step]:
    """Return the steps that run before the clone."""
    return [step for step in plan.before if step.phase is Phase.PARENT_BEFORE]


def eventually(condition: Callable[[], bool], what: str, seconds: float | None = None) -> None:
    """Wait for something, and fail the check when it does not come true (within `PATIENCE`, if nothing is given)."""
    patience = PATIENCE if seconds is None else seconds
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {patience:g} s")
        time.sleep(0.005)


def limits(**parts: Mapping[str, Any]) -> Resources:
    """Return a Resources object, of any keys."""
    return parts  # type: ignore[return-value]
