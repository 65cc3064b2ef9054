"""A container on a terminal: a shell, its size, its keys, its end, and a terminal that is left as it was found."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.box import Box, Container, alive, until
from tests.e2e.terminal import Terminal


@contextmanager
def shell(box: Box, *flags: str) -> Iterator[tuple[Terminal, Container]]:
    """Give a terminal with a container's shell on it, which has shown its prompt."""
    with box.to_be_removed() as name:
        command = box.root.command("run", "-it", *flags, "--name", name, "--env", "PS1=ready> ", box.image, "/bin/sh")
        with Terminal(command, box.root.environment, rows=33, columns=77) as terminal:
            terminal.wait_for("ready> ")
            yield terminal, Container(box, name)


def ask(terminal: Terminal, command: str) -> str:
    """Return what a command typed at the prompt shows, which ends at a sum that only a shell works out.

    What is typed before the prompt is there is shown twice: by the terminal and by the shell.
    """
    terminal.type(f"{command}; echo $((1000 + 234))\n")
    return terminal.wait_for("1234\r\n").replace("\r\n", "\n").rpartition("234))\n")[2]


def test_a_shell_knows_its_terminal_and_its_size(box: Box) -> None:
    with shell(box) as (terminal, container):
        assert ask(terminal, "tty") == "/dev/pts/0\n"
        assert ask(terminal, "stty size") == "33 77\n"
        assert ask(terminal, "echo $TERM; test -t 0 && test -t 1 && test -t 2 && echo all") == "xterm\nall\n"
        assert os.readlink(f"/proc/{container.pid}/fd/0") == "/dev/pts/0"
        terminal.type("exit 23\n")
        assert terminal.end() == 23
        assert terminal.attributes() == terminal.before


def test_a_new_size_is_seen_inside(box: Box) -> None:
    with shell(box) as (terminal, _):
        ask(terminal, "trap 'echo resized' WINCH")
        terminal.resize(50, 132)
        until(lambda: "50 132" in ask(terminal, "stty size"), "the new size")
        terminal.resize(20, 60)
        until(lambda: "20 60" in ask(terminal, "stty size"), "the second new size")


def test_it_is_the_controlling_terminal_and_job_control_works(box: Box) -> None:
    with shell(box) as (terminal, _):
        assert ask(terminal, "echo through >/dev/tty") == "through\n"
        terminal.type("sleep 600\n")
        terminal.wait_for("sleep 600")
        until(lambda: _stopped(terminal), "a job that Ctrl-Z stops")
        assert "sleep 600" in ask(terminal, "jobs")


def _stopped(terminal: Terminal) -> bool:
    terminal.type("\x1a")
    try:
        terminal.wait_for("Stopped", 1)
    except AssertionError:
        return False
    return True


def test_ctrl_c_goes_inside(box: Box) -> None:
    """It ends what runs in the foreground of the container's terminal, and not the command outside."""
    with shell(box) as (terminal, container):
        terminal.type("sleep 600\n")
        until(lambda: "sleep 600" in container.sh("ps -o args"), "the sleep")
        terminal.type("\x03")
        assert ask(terminal, "echo status $?") == "status 130\n"
        assert "sleep 600" not in container.sh("ps -o args")


def test_ctrl_d_ends_the_shell(box: Box) -> None:
    with shell(box) as (terminal, container):
        pid = container.pid
        terminal.type("\x04")
        assert terminal.end() == 0
        assert not alive(pid)
        assert terminal.attributes() == terminal.before


def test_detach_and_attach_again(box: Box) -> None:
    """Ctrl-P alone goes inside once it is clear that no Ctrl-Q follows."""
    with shell(box) as (terminal, container):
        ask(terminal, "kept=here")
        terminal.type("\x10\x11")
        assert terminal.end() == 0
        assert terminal.attributes() == terminal.before
        assert alive(container.pid)
        command = box.root.command("attach", container.name)
        with Terminal(command, box.root.environment, rows=44, columns=88) as again:
            again.type("\n")
            again.wait_for("ready> ")
            assert "here" in ask(again, "echo $kept")
            until(lambda: "44 88" in ask(again, "stty size"), "the size of the second terminal")
            again.type("exit 4\n")
            assert again.end() == 4
            assert again.attributes() == again.before


def test_exec_on_a_terminal(box: Box) -> None:
    with box.container() as container:
        command = box.root.command("exec", "-it", "--env", "PS1=ready> ", container.name, "/bin/sh")
        with Terminal(command, box.root.environment, rows=31, columns=91) as terminal:
            terminal.wait_for("ready> ")
            until(lambda: "31 91" in ask(terminal, "stty size"), "the terminal's size")
            assert ask(terminal, "tty") == "/dev/pts/0\n"
            terminal.type("\x03")
            terminal.wait_for("ready> ")
            terminal.type("exit 17\n")
            assert terminal.end() == 17
            assert terminal.attributes() == terminal.before
        assert alive(container.pid)


def test_detach_from_exec_and_it_goes_on(box: Box) -> None:
    with box.container() as container:
        flags = ["-it", "--detach-keys", "ctrl-a,d", "--env", "PS1=ready> "]
        command = box.root.command("exec", *flags, container.name, "/bin/sh")
        with Terminal(command, box.root.environment) as terminal:
            terminal.wait_for("ready> ")
            terminal.type("sleep 604\n")
            until(lambda: "sleep 604" in container.sh("ps -o args"), "the sleep")
            terminal.type("\x01d")
            assert terminal.end() == 0
            assert terminal.attributes() == terminal.before
        assert "sleep 604" in container.sh("ps -o args")


def test_start_again_on_a_terminal_and_detach_with_keys_of_ones_own(box: Box) -> None:
    with box.to_be_removed() as name:
        box.done("create", "-it", "--name", name, "--env", "PS1=ready> ", box.image, "/bin/sh")
        command = box.root.command("start", "-ai", "--detach-keys", "ctrl-]", name)
        for kept in ("", "kept\n"):
            with Terminal(command, box.root.environment, rows=29, columns=99) as terminal:
                terminal.wait_for("ready> ")
                assert ask(terminal, "cat /kept 2>/dev/null") == kept
                assert ask(terminal, "stty size") == "29 99\n"
                ask(terminal, "echo kept >/kept")
                terminal.type("\x1d")
                assert terminal.end() == 0
            assert alive(Container(box, name).pid)
            box.done("stop", "-t", "0", name)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_the_terminal_is_as_it_was_when_the_command_is_killed(number: signal.Signals, box: Box) -> None:
    with shell(box) as (terminal, container):
        assert terminal.attributes() != terminal.before
        terminal.process.send_signal(number)
        terminal.end()
        until(lambda: terminal.attributes() == terminal.before, "a terminal as it was")
        assert alive(container.pid)


def test_the_terminal_is_as_it_was_when_the_shim_is_killed(box: Box) -> None:
    with shell(box) as (terminal, container):
        os.kill(container.state["ShimPid"], signal.SIGKILL)
        assert terminal.end() == 125
        assert "shim was killed" in terminal.shown
        assert terminal.attributes() == terminal.before


def test_output_is_kept_in_the_log_too(box: Box) -> None:
    with shell(box) as (terminal, container):
        ask(terminal, "echo for the log")
        terminal.type("exit\n")
        terminal.end()
        assert "for the log\n" in container.logs(), "read as text, a terminal's line ends are a newline"


def test_t_without_a_terminal_is_refused_with_i(box: Box) -> None:
    done = box("run", "--rm", "-it", box.image, "true")
    assert done.returncode == 125
    assert len(done.stderr.splitlines()) == 2
