"""`--restart`: what is started again, what is seen of it meanwhile, and that a stop wins."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from tests.e2e.box import Box, Container, alive, refused, until

SHORT = "echo run; sleep 0.2; exit 3"
"""A run that fails soon."""


def restarted(container: Container, times: int) -> bool:
    return int(container.inspect()["RestartCount"]) >= times


def is_waiting(container: Container) -> bool:
    return bool(container.state["Restarting"])


def runs(container: Container) -> int:
    return container.logs().count("run\n")


@contextmanager
def waiting(box: Box) -> Iterator[Container]:
    """Give a container in a back-off of 1.6 seconds or more."""
    with box.container("--restart", "always", script="echo run; exit 3") as container:
        until(lambda: restarted(container, 4) and is_waiting(container), "a long back-off")
        yield container


@pytest.mark.parametrize(
    ("policy", "script", "expected"),
    [
        ("no", "echo run; exit 3", 1),
        ("on-failure", "echo run", 1),
        ("on-failure:2", "echo run; exit 3", 3),
        ("on-failure", "echo run; test -e /twice || { test -e /once && touch /twice; touch /once; exit 1; }", 3),
    ],
)
def test_a_policy_ends(policy: str, script: str, expected: int, box: Box) -> None:
    with box.container("--restart", policy, script=script) as container:
        until(lambda: container.state["Status"] == "exited" and runs(container) >= expected, f"{expected} runs")
        time.sleep(0.5)
        assert (runs(container), container.state["Status"]) == (expected, "exited")
        assert container.inspect()["RestartCount"] == expected - 1


@pytest.mark.parametrize("policy", ["always", "unless-stopped"])
def test_a_policy_without_end_also_restarts_success(policy: str, box: Box) -> None:
    with box.container("--restart", policy, script="echo run; sleep 0.1") as container:
        until(lambda: runs(container) >= 3, "three runs")


@contextmanager
def held_still(container: Container) -> Iterator[None]:
    """Stop the shim of a container that waits, for the block."""
    shim = container.state["ShimPid"]
    os.kill(shim, signal.SIGSTOP)
    try:
        assert is_waiting(container)
        yield
    finally:
        os.kill(shim, signal.SIGCONT)


def test_what_is_seen_of_a_container_that_waits(box: Box) -> None:
    """Its shim is held still, so that the back-off lasts as long as there is something to see."""
    with waiting(box) as container, held_still(container):
        shown = box.done("ps", "--filter", f"name={container.name}", "--format", "{{.Status}}").stdout
        assert re.fullmatch(r"Restarting \(3\) (Less than a second|\d seconds?) ago\n", shown)
        assert container.name in box.done("ps", "--filter", "status=restarting", "--format", "{{.Names}}").stdout
        found = container.inspect()
        state = found["State"]
        assert (state["Running"], state["Restarting"], state["Pid"], state["ExitCode"]) == (True, True, 0, 3)
        assert alive(state["ShimPid"])
        assert found["HostConfig"]["RestartPolicy"] == {"Name": "always", "MaximumRetryCount": 0}
        assert "about to be restarted" in box.done("why", container.name).stdout
        for command in ("attach", "pause", "rm", "top", "kill --signal HUP"):
            refused(box(*command.split(), container.name), container.name)
        assert box.done("start", container.name).stdout == f"{container.name}\n"
        assert container.name not in box.done("container", "prune", "--force").stdout
        assert alive(state["ShimPid"])


def test_times_and_counts_of_a_second_run(box: Box) -> None:
    with box.container(
        "--restart", "on-failure", script="echo run; test -e /once && exec sleep 600; touch /once; exit 4"
    ) as container:
        until(lambda: restarted(container, 1) and container.pid, "a second run")
        state = container.state
        assert (state["Status"], state["Restarting"], state["ExitCode"]) == ("running", False, 0)
        finished, started = (datetime.fromisoformat(state[key][:26]) for key in ("FinishedAt", "StartedAt"))
        assert 0.1 <= (started - finished).total_seconds() < 20
        assert runs(container) == 2
        box.done("restart", "-t", "0", container.name)
        assert container.inspect()["RestartCount"] == 0


def stays_down(container: Container) -> None:
    """Check that a container does not run, and is not started again either."""
    assert container.state["Status"] == "exited"
    count = runs(container)
    time.sleep(0.6)
    assert (container.state["Status"], runs(container)) == ("exited", count)


@pytest.mark.parametrize("command", [["stop", "-t", "5"], ["kill"], ["kill", "-s", "TERM"]])
def test_whoever_ends_a_run_ends_it_for_good(command: list[str], box: Box) -> None:
    with box.container(
        "--restart", "always", script="trap 'exit 9' TERM; echo run; while :; do sleep 0.02; done"
    ) as one:
        one.wait_for_log("run")
        box.done(*command, one.name)
        until(lambda: one.state["Status"] == "exited", "its end")
        stays_down(one)


@pytest.mark.parametrize("command", [["stop"], ["kill"]])
def test_whoever_ends_a_back_off_is_heard_at_once(command: list[str], box: Box) -> None:
    with waiting(box) as container:
        began = time.monotonic()
        box.done(*command, container.name)
        assert time.monotonic() - began < 1.2
        assert container.state["ExitCode"] == 3
        stays_down(container)


def test_a_stop_wins_at_any_moment(box: Box) -> None:
    """Stops that fall into runs, ends, back-offs and starts: a fifth of a second holds all of them."""
    for number in range(6):
        with box.container("--restart", "always", script="echo run; sleep 0.05; exit 1") as container:
            time.sleep(0.08 * number)
            box.done("stop", "-t", "5", container.name)
            stays_down(container)


def test_a_signal_that_is_no_stop_leaves_the_policy_alone(box: Box) -> None:
    with box.container(
        "--restart", "always", script="trap 'exit 5' HUP; echo run; while :; do sleep 0.02; done"
    ) as one:
        one.wait_for_log("run")
        box.done("kill", "-s", "HUP", one.name)
        until(lambda: runs(one) == 2, "a second run")


def test_the_engines_own_ends_are_failures(box: Box) -> None:
    with box.container("--restart", "on-failure:1", "--timeout", "300ms", script="echo run; sleep 600") as container:
        until(lambda: runs(container) == 2 and container.state["Status"] == "exited", "two runs")
        assert container.state["Error"] == "timeout"
    eat = "echo run; dd if=/dev/zero of=/dev/null bs=200M count=1"
    with box.container("--restart", "on-failure:1", "--memory", "16m", "--memory-swap", "16m", script=eat) as container:
        until(lambda: runs(container) == 2 and container.state["Status"] == "exited", "two runs")
        assert container.state["OOMKilled"]


def test_rm_by_force_and_restart_end_a_back_off(box: Box) -> None:
    with waiting(box) as container:
        box.done("restart", container.name)
        assert container.inspect()["RestartCount"] < 4
    with waiting(box) as container:
        box.done("rm", "--force", container.name)
        assert container.name not in box.done("ps", "--all").stdout


def test_files_are_reached_during_a_back_off(box: Box) -> None:
    with waiting(box) as container, held_still(container):
        assert box.done("cp", f"{container.name}:/etc/passwd", "-").stdout
        box.done("commit", container.name, "committed")
        box.done("rmi", "committed")


def end(container: Container) -> None:
    """Have it end by itself, perhaps before the process has that asks for it."""
    container.box("exec", container.name, "touch", "/end")


def test_update_changes_the_policy_of_the_run_at_hand(box: Box) -> None:
    with box.container(script="echo run; while test ! -e /end; do sleep 0.02; done; rm /end") as container:
        box.done("update", "--restart", "always", container.name)
        end(container)
        until(lambda: runs(container) == 2, "a second run")
        box.done("update", "--restart", "no", container.name)
        end(container)
        until(lambda: container.state["Status"] == "exited", "its end")
        stays_down(container)
        box.done("update", "--restart", "always", container.name)
        stays_down(container)
        refused(box("update", "--restart", "goat", container.name), "goat")
    with box.container("--rm") as container:
        refused(box("update", "--restart", "always", container.name), "--rm")


def test_wait_and_run_return_with_the_first_end_and_logs_go_on(box: Box) -> None:
    with box.to_be_removed() as name:
        command = ("run", "--name", name, "--restart", "on-failure:2", box.image, "sh", "-c", SHORT)
        done = box(*command)
        assert (done.returncode, done.stdout) == (3, "run\n")
        container = Container(box, name)
        following = box.root.popen("logs", "--follow", name, stdout=-1)
        assert container.wait() == 3
        assert following.communicate(timeout=20)[0] == "run\n" * 3
        until(lambda: container.state["Status"] == "exited", "its end")
        assert container.inspect()["RestartCount"] == 2


def test_a_signal_to_the_command_in_the_foreground_ends_it_for_good(box: Box) -> None:
    with box.to_be_removed() as name:
        script = "trap 'exit 9' TERM; echo run; while :; do sleep 0.02; done"
        running = box.root.popen("run", "--name", name, "--restart", "always", box.image, "sh", "-c", script, stdout=-1)
        container = Container(box, name)
        until(lambda: name in box.done("ps", "--format", "{{.Names}}").stdout, "a start")
        container.wait_for_log("run")
        running.terminate()
        running.communicate(timeout=20)
        assert running.returncode == 9
        stays_down(container)


def test_nothing_restarts_after_the_death_of_a_shim(box: Box) -> None:
    with waiting(box) as container:
        count = runs(container)
        os.kill(container.state["ShimPid"], signal.SIGKILL)
        until(lambda: container.state["Status"] == "exited", "its end")
        time.sleep(2)
        assert runs(container) == count
        assert container.state["ExitCode"] == 3
        box.done("start", container.name)
        until(lambda: runs(container) > count, "a run by hand")


def test_a_restart_sees_what_the_machine_has_mounted_since(box: Box, tmp_path: Path) -> None:
    """The shim's own mount namespace is a copy of before: what starts again belongs to the machine's."""
    tmpfs = ["mount", "-t", "tmpfs", "none", str(tmp_path)]
    subprocess.run([*tmpfs, "-o", "size=64k"], check=True)
    try:
        subprocess.run(["mount", "--make-private", str(tmp_path)], check=True)
        (tmp_path / "below").mkdir()
        script = "ls /place/below; while test ! -e /end; do sleep 0.02; done; rm /end"
        flags = ("--restart", "always", "-v", f"{tmp_path}:/place")
        with box.container(*flags, script=script) as container:
            tmpfs[-1] = str(tmp_path / "below")
            subprocess.run(tmpfs, check=True)
            (tmp_path / "below" / "new").touch()
            end(container)
            container.wait_for_log("new")
            subprocess.run(["umount", tmpfs[-1]], check=True)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
