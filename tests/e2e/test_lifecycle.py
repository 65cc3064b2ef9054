"""Create, start, stop, kill, wait, remove, list: what each does, as `ps`, `inspect` and the kernel show it."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

from tests.e2e.box import Box, Container, alive, until

COUNTING = "trap 'echo asked; exit 9' TERM; echo ready; while :; do sleep 0.02; done"


def row(box: Box, name: str) -> dict[str, str]:
    """Return a container's line of `engine ps --all`, by the names of its columns."""
    lines = box.done("ps", "--all", "--no-trunc", "--format", "json").stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    found: dict[str, str] = next(one for one in rows if one["Names"] == name)
    return found


def test_create_makes_and_start_runs(box: Box) -> None:
    with box.to_be_removed() as name:
        container = Container(box, name)
        made = box.done("create", "--name", name, box.image, "sh", "-c", "echo it runs; exec sleep 600").stdout.strip()
        assert (container.state["Status"], container.pid) == ("created", 0)
        assert row(box, name)["Status"] == "Created"
        assert box.done("start", name).stdout == f"{name}\n"
        assert alive(container.pid)
        assert row(box, name)["ID"] == made
        container.wait_for_log("it runs")


def test_start_attached_relays_and_ends_as_it_ends(box: Box) -> None:
    with box.to_be_removed() as name:
        box.done("create", "--interactive", "--name", name, box.image, "sh", "-c", "cat; echo bad >&2; exit 7")
        done = box("start", "--attach", "--interactive", name, input="typed\n")
        assert (done.returncode, done.stdout, done.stderr) == (7, "typed\n", "bad\n")


def test_a_container_starts_again_with_what_it_wrote(box: Box) -> None:
    with box.to_be_removed() as name:
        box.done("run", "--name", name, box.image, "sh", "-c", "cat /kept 2>/dev/null; echo once more >>/kept")
        assert box.done("start", "--attach", name).stdout == "once more\n"
        assert box.done("start", "--attach", name).stdout == "once more\nonce more\n"
        assert Container(box, name).logs() == "once more\n" * 3


def test_stop_asks_and_the_status_is_its_own(box: Box) -> None:
    with box.container(script=COUNTING) as container:
        container.wait_for_log("ready")
        assert box.done("stop", container.name).stdout == f"{container.name}\n"
        assert container.logs() == "ready\nasked\n"
        assert container.state["ExitCode"] == 9
        assert row(box, container.name)["Status"].startswith("Exited (9)")
        assert box.done("stop", container.name).returncode == 0, "one that has ended stays so"


def test_stop_kills_what_does_not_end(box: Box) -> None:
    with box.container(script="trap '' TERM; echo ready; sleep 600 & wait; sleep 600") as container:
        container.wait_for_log("ready")
        pids = [int(pid) for pid in box.done("exec", container.name, "sh", "-c", "echo $PPID").stdout.split()]
        began = time.monotonic()
        box.done("stop", "--time", "0", container.name)
        assert time.monotonic() - began < 8
        assert container.state["ExitCode"] == 137
        assert pids


def test_stop_with_another_signal(box: Box) -> None:
    with box.container(script="trap 'exit 3' HUP; echo ready; while :; do sleep 0.02; done") as container:
        container.wait_for_log("ready")
        box.done("stop", "--signal", "HUP", container.name)
        assert container.state["ExitCode"] == 3


@pytest.mark.parametrize(("typed", "status"), [(["USR1"], 40), (["sigusr2"], 50), (["12"], 50)])
def test_kill_sends_the_signal(typed: list[str], status: int, box: Box) -> None:
    script = "trap 'exit 40' USR1; trap 'exit 50' USR2; echo ready; while :; do sleep 0.02; done"
    with box.container(script=script) as container:
        container.wait_for_log("ready")
        box.done("kill", "-s", *typed, container.name)
        assert container.wait() == status


def test_kill_kills_without_more(box: Box) -> None:
    with box.container() as container:
        pid = container.pid
        box.done("kill", container.name)
        assert container.wait() == 128 + signal.SIGKILL
        assert not alive(pid)


def test_wait_returns_when_it_ends_and_not_before(box: Box) -> None:
    with box.container(script="until test -e /now; do sleep 0.02; done; exit 21") as container:
        waiting = box.root.popen("wait", container.name, stdout=-1)
        time.sleep(0.3)
        assert waiting.poll() is None
        container.sh("touch /now")
        assert waiting.communicate(timeout=20)[0] == "21\n"
        assert box.done("wait", container.name).stdout == "21\n", "also for one that has ended before"


def test_rm_takes_a_running_one_only_by_force(box: Box) -> None:
    with box.container() as container:
        refused = box("rm", container.name)
        assert refused.returncode == 125
        assert "is running" in refused.stderr
        pid = container.pid
        assert alive(pid)
        assert box.done("rm", "--force", container.name).stdout == f"{container.name}\n"
        assert not alive(pid)
        assert box.left() == []
        assert box("inspect", container.name).returncode == 125


def test_rm_of_several_removes_those_it_can(box: Box) -> None:
    with box.to_be_removed() as first, box.to_be_removed() as second:
        for name in (first, second):
            box.done("create", "--name", name, box.image, "true")
        done = box("rm", first, "no-such-container", second)
        assert (done.returncode, done.stdout) == (125, f"{first}\n{second}\n")
        assert "no-such-container" in done.stderr
        assert box.left() == []


def test_ps_lists_what_runs_and_with_all_the_rest(box: Box) -> None:
    with box.container() as running, box.to_be_removed() as ended:
        box("run", "--name", ended, box.image, "false")
        assert running.name in box.done("ps").stdout
        assert ended not in box.done("ps").stdout
        assert row(box, ended)["Status"].startswith("Exited (1)")
        assert row(box, running.name)["Status"].startswith("Up ")
        assert row(box, running.name)["Command"] == '"/bin/sh -c exec sleep 600"'
        assert box.done("ps", "--quiet", "--no-trunc").stdout.strip() == running.inspect()["Id"]


def test_ps_says_what_the_kernel_says(box: Box) -> None:
    """The process is killed behind the engine's back."""
    with box.container() as container:
        os.kill(container.pid, signal.SIGKILL)
        until(lambda: container.name not in box.done("ps").stdout, "the end of a container in ps")
        assert container.state["ExitCode"] == 137


@pytest.mark.parametrize("part", ["name", "id", "short id"])
def test_a_container_is_found_by(part: str, box: Box) -> None:
    with box.container() as container:
        known = container.inspect()["Id"]
        wanted = {"name": container.name, "id": known, "short id": known[:12]}[part]
        assert box.done("exec", wanted, "echo", "here").stdout == "here\n"


STATUSES: list[tuple[list[str], int]] = [
    (["true"], 0),
    (["sh", "-c", "exit 3"], 3),
    (["sh", "-c", "exit 255"], 255),
    (["no-such-command"], 127),
    (["/no/such/command"], 127),
    (["/etc/passwd"], 126),
    (["/etc"], 126),
]


@pytest.mark.parametrize(("command", "status"), STATUSES, ids=str)
def test_exit_status_of_run(command: list[str], status: int, box: Box) -> None:
    done = box("run", "--rm", box.image, *command)
    assert done.returncode == status, done.stderr
    assert (done.stderr != "") is (status in {126, 127})


def test_exit_status_of_exec(box: Box) -> None:
    with box.container() as container:
        for command, status in STATUSES:
            done = box("exec", container.name, *command)
            assert done.returncode == status, (command, done.stderr)
        assert alive(container.pid)


def test_a_command_that_cannot_be_run_leaves_a_container_that_says_why(box: Box) -> None:
    """As Docker has it: without --rm the container stays, and bears the exit status."""
    with box.to_be_removed() as name:
        assert box("run", "--name", name, box.image, "no-such-command").returncode == 127
        assert Container(box, name).state["Running"] is False
        assert name in box.done("ps", "--all").stdout
