"""SIGKILL before every state-changing system call of `run`, `stop` and `rm`, in the command and in the shim.

After each death: `ps` says what the kernel says, the next command works and cleans up, and once every container is
removed nothing is left, on disk or in the kernel.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.faults.killing import Killer, Point
from tests.machine import snapshot
from tests.machine.engine_root import EngineRoot

_SETTLED = 10.0
RUN_DETACHED = ("run", "-d", "--name", "victim", "host:", "sleep", "60")
RUN_FOREGROUND = ("run", "--rm", "--name", "victim", "--userns", "private", "host:", "true")
STOP = ("stop", "-t", "1", "victim")
REMOVE = ("rm", "-f", "victim")


@pytest.mark.parametrize("share", range(2))
@pytest.mark.parametrize(
    ("command", "victim"),
    [
        (RUN_DETACHED, "command"),
        (RUN_DETACHED, "shim"),
        (RUN_FOREGROUND, "command"),
        (RUN_FOREGROUND, "shim"),
        (STOP, "command"),
        (REMOVE, "command"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_killed_before_every_deed(engine_root: EngineRoot, command: tuple[str, ...], victim: str, share: int) -> None:
    """Each share takes every second point, so that two workers divide the work."""
    killer = Killer(engine_root)
    engine_root.run("run", "--rm", "host:", "true")  # what only the first command makes is made
    prepare(engine_root, command)
    points = getattr(killer, f"{victim}_points")(*command)
    check_nothing_left(engine_root)
    deaths = 0
    for point in points[share::2]:
        prepare(engine_root, command)
        died = getattr(killer, victim)(point, *command)
        deaths += died
        try:
            check_truth(engine_root)
            check_next_command(engine_root)
            check_events(engine_root)
            check_nothing_left(engine_root)
        except AssertionError as error:
            pytest.fail(f"{victim} killed at {point} (it died: {died}): {error}")
    assert deaths >= len(points[share::2]) * 2 // 3, "the signal was rarely delivered: this test saw next to nothing"


def test_what_was_to_be_removed_is_when_its_recovery_was_killed_too(engine_root: EngineRoot) -> None:
    started = engine_root.run("run", "-d", "--rm", "--name", "victim", "host:", "sleep", "60")
    assert started.returncode == 0, started.stderr
    state = engine_root.state / "containers" / started.stdout.strip()
    os.kill(json.loads(engine_root.run("inspect", "victim").stdout)[0]["State"]["ShimPid"], signal.SIGKILL)
    command = engine_root.command("container", "prune", "--force")
    inject = ["-o", "/dev/null", "-P", str(state), "-e", "trace=rmdir", "-e", "inject=rmdir:signal=KILL:when=1"]
    done = subprocess.run(
        ["strace", *inject, *command], env=engine_root.environment, capture_output=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode in (-9, 137), (done.returncode, done.stderr)
    assert os.listdir(state) == []
    check_next_command(engine_root)
    check_events(engine_root)
    assert (listed(engine_root), state.exists()) == ([], False)


def test_what_was_to_be_removed_is_when_its_shim_was_killed_before_that(engine_root: EngineRoot) -> None:
    """Its last deed is to execute what removes the container; all else of the run is gone by then."""
    killer = Killer(engine_root)
    killer.shim(Point("execve", 1), "run", "-d", "--rm", "--name", "victim", "host:", "true")
    killer.await_end_of_shim()
    assert killer.shim_died()
    assert os.listdir(engine_root.state / "containers") == []
    assert [row["State"] for row in listed(engine_root)] == ["exited"]
    check_next_command(engine_root)
    check_events(engine_root)
    assert listed(engine_root) == []


def prepare(engine: EngineRoot, command: tuple[str, ...]) -> None:
    """Start the container that a command is to end."""
    if command in (STOP, REMOVE):
        started = engine.run(*RUN_DETACHED)
        assert started.returncode == 0, started.stderr


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


def check_events(engine: EngineRoot) -> None:
    """No event is there twice, and every container that started and does not run has told its end."""
    shown = engine.run("events", "--since", "1h", "--until", "0s", "--format", "{{.ID}} {{.Action}}")
    assert shown.returncode == 0, shown.stderr
    once = ("create", "start", "die", "destroy")
    counts = Counter(line for line in shown.stdout.splitlines() if line.endswith(once))
    assert not [line for line, count in counts.items() if count > 1]
    running = {row["ID"] for row in listed(engine) if row["State"] == "running"}
    started = {line.split()[0] for line in counts if line.endswith(" start")} - running
    odd = started ^ {line.split()[0] for line in counts if line.endswith(" die")}
    assert not odd, [line for line in shown.stdout.splitlines() if line.split()[0] in odd]


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
    return files + cgroups + engine.id_ranges()
