"""A container outlives the command that started it, however that ends: streams, log, status and signals go on."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.box import Box, Container, alive, until

ECHO = "echo ready; while read line; do echo got $line; test $line != end || exit 6; done; echo over; exec sleep 600"


@contextmanager
def started(box: Box, *flags: str, script: str = ECHO) -> Iterator[tuple[Container, subprocess.Popen[str]]]:
    """Give a container in the foreground of a command, and that command."""
    with box.to_be_removed() as name:
        running = box.root.popen(
            "run", *flags, "--name", name, box.image, "sh", "-c", script,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        try:
            yield Container(box, name), running
        finally:
            running.kill()
            running.communicate()


def kill(command: subprocess.Popen[str]) -> None:
    """Kill a command and wait for its end."""
    command.kill()
    command.wait()


def test_log_status_and_signals_go_on_when_the_starter_was_killed(box: Box) -> None:
    script = "trap 'echo asked; exit 8' TERM; echo ready; n=0; while :; do n=$((n+1)); echo line $n; sleep 0.02; done"
    with started(box, script=script) as (container, starter):
        kill(starter)
        lines = container.logs().splitlines()
        until(lambda: len(container.logs().splitlines()) > len(lines) + 5, "a log that goes on")
        assert alive(container.pid)
        box.done("stop", container.name)
        assert container.logs().splitlines()[-1] == "asked"
        assert container.wait() == 8


def test_attach_after_the_starter_was_killed(box: Box) -> None:
    with started(box, "-i") as (container, starter):
        assert starter.stdin is not None
        starter.stdin.write("one\n")
        starter.stdin.flush()
        container.wait_for_log("got one")
        os.kill(starter.pid, signal.SIGSTOP)
        kill(starter)
        done = box("attach", container.name, input="two\nend\n")
        assert (done.returncode, done.stdout) == (6, "got two\ngot end\n")
        assert container.logs() == "ready\ngot one\ngot two\ngot end\n"


def test_a_dead_shim_is_told_of_while_input_is_on_its_way(box: Box) -> None:
    with box.container() as container, open("/dev/zero") as endless:
        running = box.root.popen(
            "exec", "-i", container.name, "sh", "-c", "echo ready; sleep 600",
            stdin=endless, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        os.kill(container.state["ShimPid"], signal.SIGKILL)
        _out, said = running.communicate(timeout=20)
        assert "shim was killed" in said
        assert running.returncode == 125


def test_a_finished_input_reaches_the_process(box: Box) -> None:
    with started(box, "-i") as (container, starter):
        assert starter.stdin is not None
        starter.stdin.close()
        container.wait_for_log("over")
        assert alive(container.pid)
        starter.stdin = None


def test_two_that_are_attached_see_the_same(box: Box) -> None:
    with box.container("-i", script=ECHO) as container:
        container.wait_for_log("ready")
        first = box.root.popen("attach", container.name, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        second = box.root.popen("attach", "--no-stdin", container.name, stdout=subprocess.PIPE)
        assert first.stdin is not None
        assert first.stdout is not None
        assert second.stdout is not None
        shown: list[str] = []
        until(lambda: _say(first, "hello") and second.poll() is None and _poll(second, shown), "both attached")
        first.stdin.write("end\n")
        first.stdin.close()
        first.stdin = None
        assert first.communicate(timeout=20)[0].endswith("got end\n")
        assert second.communicate(timeout=20)[0].endswith("got end\n")
        assert (first.returncode, second.returncode) == (6, 6)


def _say(command: subprocess.Popen[str], text: str) -> bool:
    assert command.stdin is not None
    command.stdin.write(f"{text}\n")
    command.stdin.flush()
    time.sleep(0.05)
    return True


def _poll(command: subprocess.Popen[str], shown: list[str]) -> bool:
    """Read what there is of a command's output, without waiting for more."""
    assert command.stdout is not None
    os.set_blocking(command.stdout.fileno(), False)
    try:
        data = os.read(command.stdout.fileno(), 1 << 16)
    except BlockingIOError:
        data = b""
    os.set_blocking(command.stdout.fileno(), True)
    shown.append(data.decode())
    return bool(data)


def test_a_starter_that_is_stopped_does_not_hold_up_others(box: Box) -> None:
    """It reads nothing. Its container may fill the pipe and wait, but every command on it answers."""
    with started(box, script="echo ready; while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done") as (
        container,
        starter,
    ):
        os.kill(starter.pid, signal.SIGSTOP)
        time.sleep(0.2)
        began = time.monotonic()
        assert container.sh("echo other") == "other\n"
        assert container.name in box.done("ps").stdout
        box.done("stop", "-t", "0", container.name)
        assert time.monotonic() - began < 15
        os.kill(starter.pid, signal.SIGCONT)


def test_with_rm_it_is_gone_though_the_starter_was_killed(box: Box) -> None:
    with started(box, "--rm", "-i") as (container, starter):
        kill(starter)
        assert alive(container.pid)
        box.done("kill", container.name)
        until(lambda: not box.left(), "the removal that --rm promised", 10)
        assert container.name not in box.done("ps", "-a").stdout


def test_a_killed_shim_takes_the_container_with_it_and_the_next_command_cleans_up(box: Box) -> None:
    with box.container() as container:
        state = container.state
        os.kill(state["ShimPid"], signal.SIGKILL)
        until(lambda: not alive(state["Pid"]), "the end of a container whose shim was killed")
        assert container.name not in box.done("ps").stdout
        assert container.state["ExitCode"] == 137
        assert "shim was killed" in container.state["Error"]
        assert box.done("start", container.name).returncode == 0
        assert alive(container.pid)


def test_with_rm_it_is_gone_though_the_shim_was_killed(box: Box) -> None:
    """The next command that makes a container removes it, whether or not anybody is left who saw its end."""
    with started(box, "--rm", "-i") as (container, starter):
        os.kill(container.state["ShimPid"], signal.SIGKILL)
        assert starter.wait(timeout=20) == 125
        assert container.name not in box.done("ps").stdout
        box.run(script="true")
        assert box.left() == []
    with started(box, "--rm", "-i") as (container, starter):
        state = container.state
        kill(starter)
        os.kill(state["ShimPid"], signal.SIGKILL)
        until(lambda: not alive(state["Pid"]), "the end of the process")
        assert container.name not in box.done("ps").stdout
        box.run(script="true")
        assert box.left() == []


def test_a_stopped_shim_holds_up_no_command_on_another(box: Box) -> None:
    with box.container() as hung, box.container() as other:
        shim = hung.state["ShimPid"]
        os.kill(shim, signal.SIGSTOP)
        try:
            began = time.monotonic()
            assert hung.name in box.done("ps").stdout
            assert other.sh("echo fine") == "fine\n"
            assert hung.state["Running"] is True
            box.done("stop", "-t", "0", other.name)
            box.run(script="true")
            assert time.monotonic() - began < 15
        finally:
            os.kill(shim, signal.SIGCONT)


def test_a_stuck_shim_does_not_keep_rm_from_its_work(box: Box) -> None:
    with box.container() as hung:
        state = hung.state
        os.kill(state["ShimPid"], signal.SIGSTOP)
        box.done("rm", "--force", hung.name)
        assert not alive(state["Pid"])
        assert not alive(state["ShimPid"])
        assert box.left() == []


def test_nothing_that_the_starter_had_open_stays_open(box: Box) -> None:
    """Else a lock would be held, and a pipe's reader would wait, for as long as the container lives."""
    reading, writing = os.pipe()
    with box.to_be_removed() as name, os.fdopen(reading, "rb") as reader:
        try:
            command = box.root.command("run", "-d", "--name", name, box.image, "sleep", "600")
            subprocess.run(
                command, env=box.root.environment, pass_fds=(writing,), stdout=subprocess.DEVNULL, check=True
            )
        finally:
            os.close(writing)
        os.set_blocking(reader.fileno(), False)
        assert reader.read() == b"", "nobody has the other end any more"
        assert alive(Container(box, name).pid)
