"""A hundred containers at once, and thousands one after the other: nothing is left, and nothing grows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.box import Box, alive, until
from tests.machine import snapshot
from tests.machine.engine_root import EngineRoot

pytestmark = pytest.mark.timeout(600)  # the image may have to be built first
HUNDRED = 100
STORE = 6 << 20
"""Bytes that the store may take at most: SQLite writes its log from the start again once it has a thousand pages."""
GROWTH = 2 << 10
"""Kibibytes by which a program's heap may grow over its first thousands of runs, before it stays as it is."""
ROOT = Path(__file__).parent.parent.parent


def test_a_hundred_containers_at_once(small_box: Box, tmp_path: Path) -> None:
    box, names = small_box, [small_box.name() for _ in range(HUNDRED)]
    written = ("--memory", "32m", "--volume", f"{tmp_path}:/out")

    def start(name: str) -> None:
        script = f"echo {name} > /out/{name}; exec sleep 600"
        box.done("run", "--detach", "--name", name, *written, box.image, "sh", "-c", script)

    def ask(name: str) -> str:
        return box.done("exec", "--env", f"NAME={name}", name, "sh", "-c", 'echo "$NAME $(cat /proc/1/comm)"').stdout

    try:
        _two_at_a_time(start, names)
        until(lambda: len(list(tmp_path.iterdir())) == HUNDRED, "a file of each container")
        assert [(tmp_path / name).read_text() for name in names] == [f"{name}\n" for name in names]
        listed = box.done("ps", "--format", "{{.Names}} {{.State}}").stdout.splitlines()
        assert {line for line in listed if line.startswith(box.root.mark)} == {f"{name} running" for name in names}
        assert _two_at_a_time(ask, names[::5]) == [f"{name} sleep\n" for name in names[::5]]
        states = [found["State"] for found in json.loads(box.done("inspect", *names).stdout)]
    finally:
        box.done("rm", "--force", *names)
    assert not [state for state in states if alive(state["Pid"]) or alive(state["ShimPid"])]
    assert box.done("ps", "--all", "--quiet").stdout == ""


def _two_at_a_time(function: Callable[[str], object], names: list[str]) -> list[object]:
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(function, names))


class Left(NamedTuple):
    """What an engine has on the machine: in its directories, in the kernel, and what a command of it takes."""

    files: frozenset[str]
    cgroups: int
    mounts: int
    processes: int
    store: int
    """Bytes of the metadata store and its log."""
    peak: int
    """Kibibytes of memory that one command needed."""


def left(root: EngineRoot, peak: int) -> Left:
    """Count what there is now; the journal of events has a bound of its own, and begins a second file at it."""
    files = [file for place in (root.root, root.state) for file in place.rglob("*") if file.parent.name != "events"]
    store = sum(file.stat().st_size for file in root.root.glob("*.db*"))
    bearing = [thing for thing in snapshot.mounts() if root.mark in f"{thing.name} {thing.details}"]
    groups = [thing for thing in snapshot.cgroups() if root.cgroups in thing.name]
    return Left(frozenset(str(file) for file in files), len(groups), len(bearing), len(root.processes()), store, peak)


def test_runs_in_a_row_leave_nothing_and_grow_nothing(small_box: Box, runs: int) -> None:
    """Each is a command of its own, as a shell's loop makes them."""
    command = small_box.root.command("run", "--rm", small_box.image, "sh", "-c", "exit 7")
    peaks = [_peak(command, small_box.root) for _ in range(20)]
    before = left(small_box.root, max(peaks))
    peaks = [_peak(command, small_box.root) for _ in range(runs)]
    after = left(small_box.root, max(peaks[-20:]))
    print(f"{runs} runs: {before._replace(files=frozenset())} -> {after._replace(files=frozenset())}")
    assert after.files == before.files
    assert after[1:4] == before[1:4]
    assert after.store <= STORE
    assert after.peak <= before.peak * 1.05


def _peak(command: list[str], root: EngineRoot) -> int:
    """Run a container to its end; return the most memory that its command had, in kibibytes."""
    pid = os.posix_spawn(command[0], command, root.environment)
    _, status, usage = os.wait4(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 7
    return usage.ru_maxrss


def test_runs_of_one_program_leave_nothing_and_grow_nothing(small_box: Box, runs: int) -> None:
    """A program that uses the engine as a library holds after the last run what it held after the first ones."""
    root = small_box.root
    done = subprocess.run(
        [sys.executable, "-m", "tests.workloads.program", root.root, root.state, str(runs), small_box.image],
        cwd=ROOT, env=root.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, last = map(json.loads, done.stdout.splitlines())
    print(f"{runs} runs: {first} -> {last}")
    assert last["memory"] <= first["memory"] + GROWTH
    assert {**last, "memory": 0} == {**first, "memory": 0}


@pytest.fixture
def runs(request: pytest.FixtureRequest) -> int:
    """How many containers are run one after the other: ``--runs``."""
    return int(request.config.getoption("--runs"))
