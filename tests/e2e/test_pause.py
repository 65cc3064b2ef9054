"""`pause` and `unpause`: what stands still, what the kernel and `ps` say of it, and what still works on it."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.box import Box, Container, alive, refused, until

COUNTING = "trap 'exit 9' TERM; trap 'echo hup' HUP; while :; do echo >>/data/ticks; sleep 0.01; done"


def ticks(directory: Path) -> int:
    """Return how far the container in `ticking` has counted."""
    try:
        return (directory / "ticks").stat().st_size
    except FileNotFoundError:
        return 0


@contextmanager
def ticking(box: Box, directory: Path, *flags: str) -> Iterator[Container]:
    """Give a container that counts on and on."""
    with box.container("-v", f"{directory}:/data", *flags, script=COUNTING) as container:
        until(lambda: ticks(directory) > 1, "the container counts")
        yield container


def listed(box: Box, container: Container) -> dict[str, str]:
    """Return the line of `ps` for a container."""
    rows = map(json.loads, box.done("ps", "--format", "json").stdout.splitlines())
    found: dict[str, str] = next(row for row in rows if row["Names"] == container.name)
    return found


@pytest.mark.parametrize("runtime", ["native", "runc"])
def test_a_paused_container_stands_still_until_it_goes_on(runtime: str, box: Box, tmp_path: Path) -> None:
    with ticking(box, tmp_path, "--runtime", runtime) as container:
        assert box.done("pause", container.name).stdout == f"{container.name}\n"
        before = ticks(tmp_path)
        time.sleep(0.3)
        assert ticks(tmp_path) == before
        assert (container.state["Status"], container.state["Running"], container.state["Paused"]) == (
            "paused", True, True,
        )  # fmt: skip
        assert (listed(box, container)["State"], listed(box, container)["Status"][-8:]) == ("paused", "(Paused)")
        assert box.done("unpause", container.name).stdout == f"{container.name}\n"
        until(lambda: ticks(tmp_path) > before, "the container goes on")
        assert (container.state["Status"], container.state["Paused"]) == ("running", False)


def test_ps_asks_the_kernel_and_remembers_nothing(box: Box, tmp_path: Path) -> None:
    """The cgroup is thawed behind the engine's back."""
    with ticking(box, tmp_path) as container:
        box.done("pause", container.name)
        for line in Path(f"/proc/{container.pid}/cgroup").read_text().splitlines():
            _number, controllers, path = line.split(":", 2)
            for file, text in ((f"/sys/fs/cgroup/freezer{path}/freezer.state", "THAWED"),
                               (f"/sys/fs/cgroup/unified{path}/cgroup.freeze", "0"),
                               (f"/sys/fs/cgroup{path}/cgroup.freeze", "0")):  # fmt: skip
                if Path(file).exists() and controllers in {"", "freezer"}:
                    Path(file).write_text(text)
        until(lambda: container.state["Status"] == "running", "the end of the pause in inspect")
        refused(box("unpause", container.name), "is not paused")


def test_what_is_refused_says_what_to_do(box: Box, tmp_path: Path) -> None:
    with ticking(box, tmp_path) as container:
        refused(box("unpause", container.name), "is not paused")
        box.done("pause", container.name)
        refused(box("pause", container.name), "is paused already")
        refused(box("exec", container.name, "true"), "is paused")
        assert f"engine unpause {container.name}" in box("exec", container.name, "true").stderr
        refused(box("start", container.name), "is paused")
        refused(box("rm", container.name), "is running")
        box.done("kill", container.name)
        assert container.wait() == 137
        refused(box("pause", container.name), "is not running")
    refused(box("pause", "no-such-container"), "no-such-container")
    refused(box("unpause", "no-such-container"), "no-such-container")


def test_one_of_several_that_fails_does_not_keep_the_others(box: Box, tmp_path: Path) -> None:
    with ticking(box, tmp_path) as container:
        done = box("pause", "no-such-container", container.name)
        assert (done.returncode, done.stdout) == (125, f"{container.name}\n")
        assert container.state["Paused"]


def test_stop_of_a_paused_container_asks_it_politely(box: Box, tmp_path: Path) -> None:
    with ticking(box, tmp_path) as container:
        box.done("pause", container.name)
        began = time.monotonic()
        box.done("stop", container.name)
        assert container.state["ExitCode"] == 9
        assert time.monotonic() - began < 8


def test_kill_and_rm_of_a_paused_container(box: Box, tmp_path: Path) -> None:
    with ticking(box, tmp_path) as container:
        box.done("pause", container.name)
        box.done("kill", container.name)
        assert container.wait() == 128 + signal.SIGKILL
    with ticking(box, tmp_path) as container:
        box.done("pause", container.name)
        pid = container.pid
        box.done("rm", "--force", container.name)
        assert not alive(pid)
        assert box.left() == []


def test_a_signal_waits_until_it_goes_on_and_the_stop_signal_does_not(box: Box, tmp_path: Path) -> None:
    with ticking(box, tmp_path) as container:
        box.done("pause", container.name)
        box.done("kill", "--signal", "HUP", container.name)
        assert (container.state["Paused"], container.logs()) == (True, "")
        box.done("unpause", container.name)
        container.wait_for_log("hup")
        box.done("pause", container.name)
        box.done("kill", "--signal", "TERM", container.name)
        assert container.wait() == 9


def test_nothing_is_left_of_a_paused_container_whose_shim_was_killed(box: Box, tmp_path: Path) -> None:
    with ticking(box, tmp_path) as container:
        box.done("pause", container.name)
        os.kill(container.state["ShimPid"], signal.SIGKILL)
        box.done("rm", "--force", container.name)
        assert box.left() == []
