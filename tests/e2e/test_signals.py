"""Signals: those that a process inside begins with, and those that reach it through the command in the foreground."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from tests.e2e.box import Box, until

FRESH = "SigPnd:\t0000000000000000\nShdPnd:\t0000000000000000\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"
LOOK = ("cat", "/proc/self/status")
FOREGROUND = "trap 'echo {0}; exit 5' {0}; echo ready; while :; do sleep 0.02; done"


def dispositions(status: str) -> str:
    """Return what /proc/PID/status says of signals, but for what the program itself catches."""
    return "".join(f"{line}\n" for line in status.splitlines() if line[:3] in {"Sig", "Shd"} and line[3:6] in KINDS)


KINDS = {"Pnd", "Blk", "Ign"}


def test_a_process_begins_with_fresh_signals(box: Box) -> None:
    """A test run ignores and blocks some itself: nothing of that passes through."""
    code = (
        "import signal, os, sys\n"
        "for number in (1, 2, 3, 13, 15, 17, 20, 21, 22, 25, 28, 34, 64): signal.signal(number, signal.SIG_IGN)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals) - {9, 19})\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    command = box.root.command("run", "--rm", box.image, *LOOK)
    done = subprocess.run(
        [sys.executable, "-c", code, *command], env=box.root.environment, capture_output=True, text=True
    )
    assert (dispositions(done.stdout), done.stderr) == (FRESH, "")
    with box.container() as container:
        assert dispositions(box.done("exec", container.name, *LOOK).stdout) == FRESH
        with open(f"/proc/{container.pid}/status") as status:
            assert dispositions(status.read()) == FRESH


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP", "QUIT", "USR1", "USR2"])
def test_the_foreground_command_passes_signals_on(name: str, box: Box) -> None:
    with box.to_be_removed() as container:
        command = ("sh", "-c", FOREGROUND.format(name))
        running = box.root.popen("run", "--name", container, box.image, *command, stdout=subprocess.PIPE)
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        running.send_signal(signal.Signals[f"SIG{name}"])
        assert running.communicate(timeout=20)[0] == f"{name}\n"
        assert running.returncode == 5


def test_signals_overtake_input_that_nobody_reads(box: Box) -> None:
    with box.to_be_removed() as container, open("/dev/zero") as endless:
        command = ("run", "-i", "--name", container, box.image, "sh", "-c", FOREGROUND.format("INT"))
        running = box.root.popen(*command, stdin=endless, stdout=subprocess.PIPE)
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        time.sleep(0.3)  # until all that lies on the way is full
        running.send_signal(signal.SIGINT)
        assert running.communicate(timeout=20)[0] == "INT\n"
        assert running.returncode == 5


def test_an_attached_command_passes_signals_on_unless_told_not_to(box: Box) -> None:
    with box.container(script=FOREGROUND.format("TERM")) as container:
        container.wait_for_log("ready")
        quiet = box.root.popen("attach", "--sig-proxy=false", container.name, stdout=subprocess.PIPE)
        until(lambda: _is_connected(quiet.pid), "a connection of attach")
        quiet.terminate()
        assert quiet.communicate(timeout=20)[0] == ""
        assert container.state["Running"] is True
        loud = box.root.popen("attach", container.name, stdout=subprocess.PIPE)
        until(lambda: _catches(loud.pid, signal.SIGTERM), "the handlers of attach")
        loud.terminate()
        assert loud.communicate(timeout=20)[0] == "TERM\n"
        assert loud.returncode == 5


def _is_connected(pid: int) -> bool:
    with open(f"/proc/{pid}/stat") as stat, open(f"/proc/{pid}/wchan") as channel:
        return stat.read().rpartition(")")[2].split()[0] == "S" and "poll" in channel.read()


def _catches(pid: int, number: int) -> bool:
    with open(f"/proc/{pid}/status") as status:
        caught = next(line.split()[1] for line in status if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (number - 1) & 1)


def test_a_reader_that_goes_away_ends_the_command_and_not_the_container(box: Box) -> None:
    """As in `engine logs | head -1`: no error, no traceback."""
    with box.container(script="seq 100000; exec sleep 600") as container:
        container.wait_for_log("100000\n")
        reading = box.root.popen("logs", container.name, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert reading.stdout is not None
        assert reading.stderr is not None
        reading.stdout.readline()
        reading.stdout.close()
        assert reading.stderr.read() == ""
        assert reading.wait(timeout=20) == -signal.SIGPIPE
        reading.stderr.close()
        assert container.state["Running"] is True


def test_with_rm_it_is_gone_also_when_the_reader_went_away(box: Box) -> None:
    running = box.root.popen("run", "--rm", box.image, "seq", "1000000", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert running.stdout is not None
    assert running.stderr is not None
    assert running.stdout.readline() == "1\n"
    running.stdout.close()
    assert running.stderr.read() == ""
    assert running.wait(timeout=20) == -signal.SIGPIPE
    running.stderr.close()
    until(lambda: not box.left(), "the removal that --rm promised")
