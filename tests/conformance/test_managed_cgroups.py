"""A runtime that manages the cgroup itself: its limits bite, and the engine finds and removes what it made."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import signal
import time
from pathlib import Path

from tests.e2e.box import Box, Container, alive, until

RUNC = ("--runtime", "runc")
MANY = "trap '' TERM; for n in 1 2 3 4 5; do (trap '' TERM; while :; do sleep 600 & wait; done) & done; exec sleep 600"


def shim_of(container: Container) -> int:
    """Return the pid of the container's shim."""
    [record] = container.box.root.state.glob("containers/*/shim")
    return int(json.loads(record.read_text())[0])


def pids_of(box: Box) -> set[int]:
    """Return the processes in this engine's cgroups, in any hierarchy."""
    name = box.root.cgroups.rpartition("/")[2]
    pids: set[int] = set()
    for file in glob.glob(f"/sys/fs/cgroup/**/{name}/*/cgroup.procs", recursive=True):
        with contextlib.suppress(FileNotFoundError):  # removed since it was listed
            pids.update(map(int, Path(file).read_text().split()))
    return pids


def test_a_container_over_its_memory_is_killed_and_says_so(box: Box) -> None:
    with box.to_be_removed() as name:
        done = box(
            "run", *RUNC, "--name", name, "--memory", "16m", "--memory-swap", "16m", box.image, "tail", "/dev/zero"
        )
        assert done.returncode == 137
        assert Container(box, name).state["OOMKilled"] is True


def test_every_limit_is_read_back(box: Box) -> None:
    with box.container(*RUNC, "--memory", "64m", "--pids-limit", "33") as container:
        rows = {row["Name"]: row for row in container.inspect()["Limits"]}
        assert rows["memory.limit"]["Applied"] == str(64 << 20)
        assert rows["pids.limit"]["Applied"] == "33"


def test_it_can_be_paused_and_goes_on(box: Box) -> None:
    with box.container(*RUNC, script="while :; do echo x; sleep 0.05; done") as container:
        container.wait_for_log("x")
        box.done("pause", container.name)
        before = container.logs()
        time.sleep(0.5)
        assert container.logs() == before
        box.done("unpause", container.name)
        until(lambda: len(container.logs()) > len(before), "the output to go on")


def test_processes_that_ignore_everything_end_with_their_container(box: Box) -> None:
    with box.container(*RUNC, script=MANY) as container:
        until(lambda: len(pids_of(box)) >= 6, "the processes")
        pids = pids_of(box)
        box.done("stop", "--time", "0", container.name)
        until(lambda: not any(map(alive, pids)), "the end of all of them")
        until(lambda: not pids_of(box), "empty cgroups")


def test_what_a_killed_shim_leaves_is_removed_by_the_next_command(box: Box) -> None:
    with box.container(*RUNC, "--pid", "host", script=MANY) as container:
        until(lambda: len(pids_of(box)) >= 6, "the processes")
        init, pids = container.pid, pids_of(box)
        os.kill(shim_of(container), signal.SIGKILL)
        until(lambda: not alive(init), "the end of the first process")
        box.done("start", container.name)
        assert not any(map(alive, pids))
        assert container.sh("echo again") == "again\n"
    until(lambda: not box.left(), f"nothing left: {box.left()}")
