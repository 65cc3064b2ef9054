"""SIGKILL before every state-changing system call of `run`, `stop` and `rm`, in the command and in the shim.

After each death: `ps` says what the kernel says, the next command works and cleans up, and once every container is
removed nothing is left, on disk or in the kernel.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.killing import Killer
from tests.machine import snapshot
from tests.machine.engine_root import EngineRoot

_SETTLED = 10.0
_MOST = 400
"""More calls than any command makes: a command that is still killed then never ends."""

Kill = Callable[[int], bool]


def run_detached(killer: Killer, victim: str) -> Kill:
    """Kill in `run -d`."""
    return lambda number: getattr(killer, victim)(number, "run", "-d", "--name", "victim", "host:", "sleep", "60")


def run_foreground(killer: Killer, victim: str) -> Kill:
    """Kill in `run --rm`, whose container ends by itself."""
    return lambda number: getattr(killer, victim)(number, "run", "--rm", "--name", "victim", "host:", "true")


def stop(killer: Killer, victim: str) -> Kill:
    """Kill in `stop` of a running container; the shim's calls are counted from the moment it is asked."""
    return lambda number: _prepared(killer, "stop", "-t", "1", "victim", number=number)


def remove(killer: Killer, victim: str) -> Kill:
    """Kill in `rm -f` of a running container."""
    return lambda number: _prepared(killer, "rm", "-f", "victim", number=number)


def _prepared(killer: Killer, *arguments: str, number: int) -> bool:
    started = killer.engine.run("run", "-d", "--name", "victim", "host:", "sleep", "60")
    assert started.returncode == 0, started.stderr
    return killer.command(number, *arguments)


@pytest.mark.parametrize("stride", range(2))
@pytest.mark.parametrize(
    ("case", "victim"),
    [
        (run_detached, "command"),
        (run_detached, "shim"),
        (run_foreground, "command"),
        (run_foreground, "shim"),
        (stop, "command"),
        (remove, "command"),
    ],
)
def test_killed_before_every_deed(
    engine_root: EngineRoot, case: Callable[[Killer, str], Kill], victim: str, stride: int
) -> None:
    """Each stride takes every second call, so that two workers share the work."""
    kill = case(Killer(engine_root), victim)
    engine_root.run("run", "--rm", "host:", "true")  # what only the first command makes is made
    deaths = 0
    for number in range(1 + stride, _MOST, 2):
        died = kill(number)
        deaths += died
        try:
            check_truth(engine_root)
            check_next_command(engine_root)
            check_nothing_left(engine_root)
        except AssertionError as error:
            pytest.fail(f"{victim} killed at call {number} (it died: {died}): {error}")
        if not died:
            break
    else:
        pytest.fail(f"still killed at call {_MOST}")
    assert deaths >= 4, "the signal was never delivered: this test saw nothing"


def check_truth(engine: EngineRoot) -> None:
    """Hold `ps` against the kernel: a container runs if, and only if, its init is a live process in its cgroup."""
    deadline = time.monotonic() + _SETTLED
    while True:
        said = {row["ID"]: row["Pid"] for row in listed(engine) if row["State"] == "running"}
        true = populated(engine)
        if said.keys() == true.keys() and all(said[one] in true[one] for one in said):
            return
        assert time.monotonic() < deadline, f"ps says {said}, the kernel says {true}"
        time.sleep(0.02)


def check_next_command(engine: EngineRoot) -> None:
    """The next command works, and leaves only whole containers: created, running or exited."""
    done = engine.run("run", "--rm", "host:", "echo", "next")
    assert (done.returncode, done.stdout) == (0, "next\n"), done.stderr
    states = [row["State"] for row in listed(engine)]
    assert set(states) <= {"created", "running", "exited"}, states


def check_nothing_left(engine: EngineRoot) -> None:
    """Once every container is removed, the directories of containers, snapshots, states and cgroups are empty."""
    names = [row["ID"] for row in listed(engine)]
    if names:
        removed = engine.run("rm", "--force", *names)
        assert removed.returncode == 0, removed.stderr
    deadline = time.monotonic() + _SETTLED
    while left := leftovers(engine):
        assert time.monotonic() < deadline, f"left behind: {left}"
        time.sleep(0.02)


def listed(engine: EngineRoot) -> list[dict[str, Any]]:
    """Return what `ps -a` says."""
    done = engine.run("ps", "--all", "--no-trunc", "--format", "json")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def populated(engine: EngineRoot) -> dict[str, set[int]]:
    """Return each container whose cgroup has live processes, and their pids."""
    found: dict[str, set[int]] = {}
    for thing in snapshot.cgroups():
        if f"/{engine.cgroups}/" not in thing.name:
            continue
        pids = _live(Path(thing.name))
        if pids:
            found.setdefault(os.path.basename(thing.name), set()).update(pids)
    return found


def _live(directory: Path) -> set[int]:
    try:
        pids = {int(word) for word in (directory / "cgroup.procs").read_text().split()}
    except (FileNotFoundError, OSError):  # it was removed meanwhile
        return set()
    return {pid for pid in pids if Path(f"/proc/{pid}/exe").exists()}


def leftovers(engine: EngineRoot) -> list[str]:
    """Return what is left of containers."""
    directories = [
        engine.root / "containers",
        engine.state / "containers",
        engine.state / "locks",
        engine.root / "storage" / "overlay" / "active",
        engine.root / "storage" / "overlay" / "partial",
    ]
    files = [str(entry) for directory in directories if directory.exists() for entry in directory.iterdir()]
    cgroups = [thing.name for thing in snapshot.cgroups() if f"/{engine.cgroups}/" in thing.name]
    return files + cgroups
