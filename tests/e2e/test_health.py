"""Health checks: what they find, what they leave, and what happens when something ends in the middle of one."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.e2e.box import Box, Container, alive, refused, until
from tests.e2e.flag_health import FAILING, OFTEN, becomes, results, status

RUNTIMES = pytest.mark.parametrize("runtime", ["native", "runc"])


def running(container: Container, command: str) -> list[int]:
    """Return the pids of the processes of that command in a container, as the host has them."""
    rows = container.box("top", container.name, "--format", "{{.PID}} {{.Command}}").stdout.splitlines()
    return [int(pid) for pid, _, words in (row.partition(" ") for row in rows) if words == command]


def listed(box: Box, container: Container, *flags: str) -> list[str]:
    words = ("ps", "--all", "--filter", f"name={container.name}", "--format", "{{.Status}}", *flags)
    return box.done(*words).stdout.splitlines()


@RUNTIMES
def test_health_is_shown_filtered_and_told(runtime: str, box: Box) -> None:
    well = ("--health-cmd", "echo looked; test -e /well", "--health-retries", "1", "--runtime", runtime)
    with box.container(*well, "--health-interval", "1h") as container:
        assert listed(box, container, "--filter", "health=starting")[0].endswith(" (health: starting)")
        assert container.state["Health"] == {"Status": "starting", "FailingStreak": 0, "Log": []}
    with box.container(*well, "--health-interval", "200ms") as container:
        becomes(container, "unhealthy")
        assert listed(box, container)[0].endswith(" (unhealthy)")
        assert results(container)[0]["Output"] == "looked\n"
        container.sh("touch /well")
        becomes(container, "healthy")
        assert listed(box, container, "--filter", "health=healthy")[0].endswith(" (healthy)")
        assert listed(box, container, "--filter", "health=unhealthy", "--filter", "health=none") == []
        assert container.state["Health"]["FailingStreak"] == 0
        told = box.done("events", "--since", "5m", "--until", "0s", "-f", f"container={container.name}",
                        "-f", "event=health_status", "--format", "{{.Action}}").stdout  # fmt: skip
        assert told == "health_status: unhealthy\nhealth_status: healthy\n"
        box.done("stop", "-t", "0", container.name)
        assert status(container) == "healthy", "the last that was known of it"
        assert listed(box, container)[0].startswith("Exited")
    refused(box("ps", "--filter", "health=goat"), "goat")


def test_five_results_are_kept_and_the_beginning_of_their_output(box: Box) -> None:
    long = "head -c 5000 /dev/zero | tr '\\0' x; echo; exit 1"
    with box.container("--health-cmd", long, "--health-interval", "50ms") as container:
        until(lambda: container.state["Health"]["FailingStreak"] > 5, "six checks")
        found = results(container)
    assert len(found) == 5
    assert {row["Output"] for row in found} == {"x" * 4096 + "..."}
    assert [row["Start"] for row in found] == sorted(row["Start"] for row in found)


@RUNTIMES
def test_what_takes_too_long_is_killed_with_all_that_it_started(runtime: str, box: Box) -> None:
    hung = "echo begun; sleep 3131 & (trap '' TERM; sleep 3132; true); sleep 3133"
    flags = ("--health-cmd", hung, "--health-interval", "200ms", "--health-timeout", "400ms", "--runtime", runtime)
    with box.container(*flags) as container:
        until(lambda: running(container, "sleep 3131") and running(container, "sleep 3132"), "a check that hangs")
        begun = running(container, "sleep 3131") + running(container, "sleep 3132")
        until(lambda: not any(map(alive, begun)), "the end of what it started")
        until(lambda: results(container), "a result")
        assert results(container)[0]["Output"] == "Health check exceeded timeout (0.4s): begun\n"
        assert container.sh("echo $PPID") == "0\n", "exec goes on meanwhile"


@RUNTIMES
def test_stop_and_the_end_do_not_wait_for_a_check(runtime: str, box: Box) -> None:
    flags = ("--health-cmd", "sleep 3134", "--health-timeout", "1h", *OFTEN, "--runtime", runtime)
    with box.container(*flags, script="trap 'exit 9' TERM; while :; do sleep 0.05; done") as container:
        until(lambda: running(container, "sleep 3134"), "a check that hangs")
        (pid,) = running(container, "sleep 3134")
        began = time.monotonic()
        box.done("stop", container.name)
        assert time.monotonic() - began < 8
        assert container.state["ExitCode"] == 9
        assert not alive(pid)
        assert status(container) == "starting"


@RUNTIMES
def test_nothing_is_left_of_a_check_whose_shim_was_killed(runtime: str, box: Box) -> None:
    flags = ("--health-cmd", "sleep 3135", "--health-timeout", "1h", *OFTEN, "--runtime", runtime)
    with box.container(*flags) as container:
        until(lambda: running(container, "sleep 3135"), "a check that hangs")
        (pid,) = running(container, "sleep 3135")
        shim = container.state["ShimPid"]
        helpers = [int(word) for word in Path(f"/proc/{shim}/task/{shim}/children").read_text().split()]
        os.kill(shim, signal.SIGKILL)
        box.done("rm", "--force", container.name)
        until(lambda: not alive(pid) and not any(map(alive, helpers)), "the end of the check")


def helpers(container: Container) -> list[int]:
    """Return the pids of the shim's children that make a check: each leads a process group."""
    shim = container.state["ShimPid"]
    children = map(int, Path(f"/proc/{shim}/task/{shim}/children").read_text().split())
    return [pid for pid in children if alive(pid) and _makes_a_check(pid)]


def _makes_a_check(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text() == "engine-health\n" and os.getpgid(pid) == pid
    except (FileNotFoundError, ProcessLookupError):  # it has ended since
        return False


def test_one_that_waits_for_its_files_is_given_up(box: Box) -> None:
    """The child that makes the check is stopped, which stands for one that the kernel does not let go on."""
    with box.container("--health-cmd", "sleep 3136", "--health-timeout", "200ms", *OFTEN) as container:

        def stop() -> bool:
            found = helpers(container)
            for pid in found:
                os.kill(pid, signal.SIGSTOP)
            return bool(found)

        until(stop, "a check in the making")
        assert container.sh("echo on") == "on\n"
        until(lambda: any("exceeded" in row["Output"] for row in results(container)), "that it is given up")
        box.done("stop", "-t", "0", container.name)


def test_a_paused_container_is_not_checked(box: Box) -> None:
    flags = ("--health-cmd", "exit 1", "--health-interval", "50ms", "--health-timeout", "200ms")
    with box.container(*flags, "--health-retries", "1000000") as container:
        until(lambda: container.state["Health"]["FailingStreak"], "a check")
        box.done("pause", container.name)
        assert listed(box, container)[0].endswith(" (Paused)")
        until(lambda: not helpers(container), "the end of a check that was being made")
        before = container.state["Health"]["FailingStreak"]
        for _ in range(20):
            time.sleep(0.02)
            assert helpers(container) == []
        assert container.state["Health"]["FailingStreak"] == before
        box.done("unpause", container.name)
        until(lambda: container.state["Health"]["FailingStreak"] > before, "a check after it went on")


def test_a_check_that_stood_still_with_its_container_counts_for_nothing(box: Box) -> None:
    flags = ("--health-cmd", "sleep 3137", "--health-timeout", "1500ms", "--health-retries", "1000000", *OFTEN)
    with box.container(*flags) as container:
        until(lambda: running(container, "sleep 3137"), "a check that hangs")
        box.done("pause", container.name)
        before, begun = container.state["Health"]["FailingStreak"], running(container, "sleep 3137")
        time.sleep(2.5)
        assert container.state["Health"]["FailingStreak"] == before
        box.done("unpause", container.name)
        until(lambda: not any(map(alive, begun)), "the end of that check")
        until(lambda: container.state["Health"]["FailingStreak"] > before, "the next one")


@RUNTIMES
def test_the_shim_keeps_no_dead_child(runtime: str, box: Box) -> None:
    """A container that is paused in the middle of a check does not let go of it in time."""
    flags = ("--health-cmd", "sleep 3138", "--health-timeout", "300ms", *OFTEN, "--runtime", runtime)
    with box.container(*flags) as container:
        shim = container.state["ShimPid"]
        for _ in range(2):
            until(lambda: running(container, "sleep 3138"), "a check that hangs")
            box.done("pause", container.name)
            until(lambda: not helpers(container), "the end of the child that made it")
            box.done("unpause", container.name)

        def dead() -> list[str]:
            children = Path(f"/proc/{shim}/task/{shim}/children").read_text().split()
            return [pid for pid in children if not alive(int(pid))]

        until(lambda: not dead(), "no child that nobody waits for")


def test_the_image_says_it_and_flags_say_it_over(box: Box) -> None:
    image = f"{box.root.mark}-well"
    change = 'HEALTHCHECK --interval=100ms --timeout=2s --retries=1 CMD ["/bin/sh", "-c", "exit 5"]'
    with box.container() as container:
        box.done("commit", "--change", change, container.name, image)
    try:
        with box.container(image=image) as container:
            becomes(container, "unhealthy")
            assert results(container)[0]["ExitCode"] == 5
            assert container.inspect()["Config"]["Healthcheck"] == {
                "Test": ["CMD", "/bin/sh", "-c", "exit 5"], "Interval": 10**8, "Timeout": 2 * 10**9, "Retries": 1,
                "StartPeriod": 0, "StartInterval": 5 * 10**9,
            }  # fmt: skip
        with box.container("--health-cmd", "exit 6", image=image) as container:
            becomes(container, "unhealthy")
            assert results(container)[0]["ExitCode"] == 6, "the image's interval and retries hold"
        with box.container("--no-healthcheck", image=image) as container:
            assert "Health" not in container.state
    finally:
        box.done("rmi", image)


def test_an_image_of_a_container_has_its_check(box: Box) -> None:
    image = f"{box.root.mark}-kept"
    with box.container("--health-cmd", "true", "--health-interval", "7s") as container:
        box.done("commit", container.name, image)
    try:
        (found,) = json.loads(box.done("image", "inspect", image).stdout)
        assert found["Config"]["Healthcheck"]["Test"] == ["CMD-SHELL", "true"]
        assert found["Config"]["Healthcheck"]["Interval"] == 7 * 10**9
    finally:
        box.done("rmi", image)


def test_a_check_that_cannot_be_run_says_why(box: Box) -> None:
    image = f"{box.root.mark}-broken"
    with box.container() as container:
        box.done(
            "commit", "--change", 'HEALTHCHECK --interval=100ms --retries=1 CMD ["/no/such"]', container.name, image
        )
    try:
        with box.container(image=image) as container:
            becomes(container, "unhealthy")
            assert results(container)[0]["ExitCode"] == -1
            assert "/no/such" in results(container)[0]["Output"]
    finally:
        box.done("rmi", image)


def test_it_begins_anew_with_each_run(box: Box) -> None:
    with box.container(*FAILING, *OFTEN, "--health-retries", "1") as container:
        becomes(container, "unhealthy")
        box.done("stop", "-t", "0", container.name)
        box.done("start", container.name)
        becomes(container, "unhealthy")
        wanted = ("-f", f"container={container.name}", "-f", "event=health_status", "-f", "event=start")
        told = box.done("events", "--since", "5m", "--until", "0s", *wanted, "--format", "{{.Action}}").stdout
        assert told.splitlines() == ["start", "health_status: unhealthy"] * 2


def test_it_begins_anew_with_a_restart(box: Box) -> None:
    flags = ("--restart", "always", "--health-cmd", "test -e /well", *OFTEN, "--health-retries", "1")
    with box.container(*flags, script="until test -e /end; do sleep 0.02; done; rm /end /well; exit 1") as container:
        container.sh("touch /well")
        becomes(container, "healthy")
        container.sh("touch /end")
        becomes(container, "unhealthy")
        assert container.inspect()["RestartCount"] == 1


def test_its_environment_user_and_directory_are_the_containers(box: Box) -> None:
    flags = ("--env", "WHO=me", "--user", "7:9", "--workdir", "/tmp", "--health-cmd", "echo $WHO $(id -u) $(pwd)")
    with box.container(*flags, *OFTEN) as container:
        becomes(container, "healthy")
        assert results(container)[0]["Output"] == "me 7 /tmp\n"
