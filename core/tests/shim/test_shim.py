"""The shim as a process: started for real, spoken to over its sockets, with a stage that only forks and executes."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.actions.task import Task
from engine.linux import processes
from engine.shim import protocol, records
from engine.shim.launch import Launched, launch
from engine.shim.plan import Plan
from engine.shim.protocol import Exit

HERE = Path(__file__).parent


class Kept:
    """A container directory, its state directory, and the shims started over them."""

    def __init__(self, tmp_path: Path) -> None:
        self.directory = tmp_path / "container"
        self.state = tmp_path / ("state" * 30)  # longer than a socket's address may be
        (self.directory / "rootfs").mkdir(parents=True)
        self.launched: list[Launched] = []
        self.peers: list[socket.socket] = []

    def start(self, *args: str, **changes: Any) -> socket.socket:
        """Start a shim with a plan and return the launcher's connection, its first answer not read."""
        self.state.mkdir()
        task = Task("c0ffee", str(self.directory), (), (), (), (), {"args": list(args), "terminal": False}, {})
        fields: dict[str, Any] = {
            "directory": str(self.directory), "state": str(self.state), "stage": "plain_stage", "paths": [str(HERE)],
            "task": task, "group": None, "unit": False, "sink": None, "stdin": "once", "attach": True, "sync": True,
            "timeout": 0, "reaper": (), "again": (), "environment": {},
        }  # fmt: skip
        shim = launch()
        self.launched.append(shim)
        plan = Plan(**{**fields, **changes})
        shim.connection.sendall(protocol.control({"op": "start", "plan": plan.to_plain()}))
        return shim.connection

    def connect(self, request: dict[str, Any]) -> socket.socket:
        """Connect as another client and send a request."""
        fd = os.open(self.state, os.O_RDONLY | os.O_DIRECTORY)
        try:
            peer = protocol.connect(fd)
        finally:
            os.close(fd)
        self.peers.append(peer)
        peer.sendall(protocol.control(request))
        return peer

    def exit_record(self) -> Exit | None:
        """Return what the shim recorded."""
        fd = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return records.read_exit(fd)
        finally:
            os.close(fd)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    made = Kept(tmp_path)
    yield made
    for peer in made.peers:
        peer.close()
    for shim in made.launched:
        shim.close()
        try:
            init = json.loads((made.state / "init").read_text())
            os.kill(init[0], signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            pass
        shim.reap()


def read_all(connection: socket.socket) -> tuple[bytes, bytes, Exit | None]:
    """Return everything written to stdout and stderr until the EXIT frame, and that."""
    connection.settimeout(20)
    written = {protocol.STDOUT: b"", protocol.STDERR: b""}
    while (received := protocol.receive(connection)) is not None:
        kind, payload = received
        if kind == protocol.EXIT:
            return written[protocol.STDOUT], written[protocol.STDERR], Exit(*json.loads(payload))
        if kind in written:
            written[kind] += payload
    return written[protocol.STDOUT], written[protocol.STDERR], None


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_output_and_status_reach_the_launcher(kept: Kept) -> None:
    connection = kept.start("/bin/sh", "-c", "echo out; echo err >&2; exit 7")
    out, err, ended = read_all(connection)
    assert (out, err) == (b"out\n", b"err\n")
    assert ended is not None
    assert (ended.code, ended.signal, ended.oom) == (7, 0, False)
    assert kept.exit_record() == ended
    assert not kept.state.exists(), "a container that has ended leaves no state"


def test_a_signal_is_told_from_an_exit_status(kept: Kept) -> None:
    _out, _err, ended = read_all(kept.start("/bin/sh", "-c", "kill -TERM $$"))
    assert ended is not None
    assert (ended.code, ended.signal) == (143, signal.SIGTERM)


def test_input_goes_in_and_its_end_too(kept: Kept) -> None:
    connection = kept.start("/bin/cat")
    data = os.urandom(1 << 20)  # more than any pipe or socket holds: both directions must flow
    message = protocol.frame(protocol.STDIN, data) + protocol.frame(protocol.STDIN_END)
    sender = threading.Thread(target=connection.sendall, args=(message,))
    sender.start()
    out, _err, ended = read_all(connection)
    sender.join()
    assert out == data
    assert ended is not None
    assert ended.code == 0


def test_the_container_outlives_its_launcher(kept: Kept) -> None:
    connection = kept.start("/bin/sh", "-c", "read line; echo got $line; exit 3", stdin="open")
    assert protocol.receive(connection) is not None
    connection.close()
    later = kept.connect({"op": "attach"})
    assert protocol.receive(later) is not None
    later.sendall(protocol.frame(protocol.STDIN, b"word\n"))
    out, _err, ended = read_all(later)
    assert out == b"got word\n"
    assert ended is not None
    assert ended.code == 3


def test_a_slow_client_holds_the_process_up_and_loses_nothing(kept: Kept) -> None:
    connection = kept.start("/bin/sh", "-c", "head -c 8000000 /dev/zero; echo done")
    assert protocol.receive(connection) is not None
    time.sleep(0.3)  # nothing is read meanwhile: the writer must be waiting, with a bounded amount in the shim
    resident = int(Path(f"/proc/{kept.launched[0].pid}/statm").read_text().split()[1]) * 4096
    assert resident < 40 << 20
    out, _err, ended = read_all(connection)
    assert len(out) == 8000005
    assert ended is not None


def test_input_that_is_not_taken_holds_up_neither_signals_nor_the_end(kept: Kept) -> None:
    connection = kept.start("/bin/sleep", "60")
    connection.settimeout(20)
    assert protocol.receive(connection) is not None
    connection.sendall(protocol.frame(protocol.STDIN, bytes(1 << 20)))
    assert protocol.receive(connection) == (protocol.STDIN_WAIT, b"")
    later = kept.connect({"op": "attach"})
    assert [protocol.receive(later) for _ in range(2)][1] == (protocol.STDIN_WAIT, b"")
    connection.sendall(protocol.frame(protocol.SIGNAL, b"9"))
    assert protocol.receive(connection) == (protocol.STDIN_GO, b""), "nobody will read it any more"
    assert read_all(connection)[2] == kept.exit_record()


def test_who_leaves_while_input_waits_is_let_go(kept: Kept) -> None:
    connection = kept.start("/bin/sleep", "60")
    assert protocol.receive(connection) is not None
    open_files = Path(f"/proc/{kept.launched[0].pid}/fd")
    before = len(list(open_files.iterdir()))
    peer = kept.connect({"op": "attach"})
    peer.sendall(protocol.frame(protocol.STDIN, bytes(1 << 20)))
    assert [protocol.receive(peer) for _ in range(2)][1] == (protocol.STDIN_WAIT, b"")
    peer.close()
    until(lambda: len(list(open_files.iterdir())) <= before)


def test_exec_runs_beside_the_init_with_its_own_status(kept: Kept) -> None:
    connection = kept.start("/bin/sleep", "60")
    assert protocol.receive(connection) is not None
    process = {"args": ["/bin/sh", "-c", "cat; exit 5"], "terminal": False}
    peer = kept.connect({"op": "exec", "process": process, "steps": [], "stdin": True, "attach": True})
    peer.sendall(protocol.frame(protocol.STDIN, b"through exec") + protocol.frame(protocol.STDIN_END))
    out, _err, ended = read_all(peer)
    assert out == b"through exec"
    assert ended is not None
    assert ended.code == 5


def test_an_exec_that_fails_answers_with_its_error(kept: Kept) -> None:
    connection = kept.start("/bin/sleep", "60")
    assert protocol.receive(connection) is not None
    request = {"op": "exec", "process": {"args": ["missing"]}, "steps": [], "stdin": False, "attach": True}
    answer = protocol.receive(kept.connect(request))
    assert answer is not None
    assert answer[0] == protocol.ERROR
    assert json.loads(answer[1])["error"] == "CommandNotFound"


def test_the_container_outlives_a_defect_of_its_stage(kept: Kept) -> None:
    connection = kept.start("/bin/sleep", "60")
    assert protocol.receive(connection) is not None
    request = {"op": "exec", "process": {"args": ["defect"]}, "steps": [], "stdin": False, "attach": True}
    answer = protocol.receive(kept.connect(request))
    assert answer is not None
    assert "LookupError: a defect" in json.loads(answer[1])["what"]
    assert "Traceback" in (kept.directory / "shim.log").read_text()
    assert protocol.receive(kept.connect({"op": "signal", "signal": 9})) is not None
    assert read_all(connection)[2] == kept.exit_record()


def test_the_container_outlives_more_clients_than_there_are_descriptors(kept: Kept) -> None:
    connection = kept.start("/bin/sleep", "60")
    assert protocol.receive(connection) is not None
    pid = kept.launched[0].pid
    room = len(list(Path(f"/proc/{pid}/fd").iterdir())) + 3
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (room, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    *others, last = [kept.connect({"op": "attach"}) for _ in range(10)]
    until((kept.directory / "shim.log").read_text)
    for peer in others:
        peer.close()
    last.settimeout(10)
    assert protocol.receive(last) is not None, "it was let in when the others had gone"
    connection.sendall(protocol.frame(protocol.SIGNAL, b"9"))
    assert read_all(last)[2] == kept.exit_record()


def test_stop_kills_what_ignores_the_stop_signal(kept: Kept) -> None:
    connection = kept.start("/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.01; done")
    assert protocol.receive(connection) is not None
    assert protocol.receive(connection) == (protocol.STDOUT, b"ready\n")
    began = time.monotonic()
    _out, _err, ended = read_all(kept.connect({"op": "stop", "signal": signal.SIGTERM, "timeout": 0.3}))
    assert 0.25 < time.monotonic() - began < 5
    assert ended is not None
    assert ended.signal == signal.SIGKILL


def test_a_timeout_ends_the_container_and_says_so(kept: Kept) -> None:
    _out, _err, ended = read_all(kept.start("/bin/sleep", "60", timeout=0.2))
    assert ended is not None
    assert (ended.signal, ended.reason) == (signal.SIGKILL, "timeout")


def test_it_imports_what_it_is_to_expect_before_the_plan_comes(kept: Kept, tmp_path: Path) -> None:
    mark = tmp_path / "imported"
    (tmp_path / "expected_module.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    shim = launch()
    message = {"op": "expect", "modules": ["expected_module"], "paths": [str(tmp_path)]}
    shim.connection.sendall(protocol.control(message))
    until(mark.exists)
    shim.close()
    shim.reap()


def test_a_launcher_that_dies_before_the_plan_leaves_nothing(kept: Kept) -> None:
    shim = launch()
    shim.close()
    assert os.waitstatus_to_exitcode(os.waitpid(shim.pid, 0)[1]) == 0


def test_the_reaper_runs_when_the_launcher_is_gone(kept: Kept, tmp_path: Path) -> None:
    done = tmp_path / "removed"
    program = f"open({str(done)!r}, 'w').close()"
    connection = kept.start("/bin/true", attach=False, reaper=(sys.executable, "-I", "-c", program))
    connection.close()
    kept.launched.pop().reap()
    assert done.exists()


def test_the_reaper_does_not_run_when_the_launcher_did_its_work(kept: Kept, tmp_path: Path) -> None:
    done = tmp_path / "removed"
    program = f"open({str(done)!r}, 'w').close()"
    connection = kept.start("/bin/true", reaper=(sys.executable, "-I", "-c", program))
    read_all(connection)
    connection.sendall(protocol.control({"op": "settled"}))
    kept.launched[0].close()
    kept.launched.pop().reap()
    assert not done.exists()


def test_a_killed_shim_takes_no_exit_record_with_it(kept: Kept) -> None:
    connection = kept.start("/bin/sleep", "60")
    assert protocol.receive(connection) is not None
    os.kill(kept.launched[0].pid, signal.SIGKILL)
    assert read_all(connection)[2] is None
    assert kept.exit_record() is None
    fd = os.open(kept.state, os.O_RDONLY | os.O_DIRECTORY)
    init = records.read_identity(fd, "init")
    os.close(fd)
    assert init is not None
    assert processes.alive(init), "the plain stage asks for no death signal: the record must still find it"


SINK = """
import os


class Sink:
    def __init__(self, directory_fd, arguments):
        self.directory_fd, self.held = directory_fd, b""

    def write(self, stream, data, nanoseconds):
        self.held += data

    def close(self):
        fd = os.open("kept", os.O_WRONLY | os.O_CREAT, dir_fd=self.directory_fd)
        os.write(fd, self.held)


open = Sink
"""
BROKEN = SINK.replace("self.held += data", "raise OSError(28, 'No space left on device')")


@pytest.mark.parametrize(("source", "expected"), [(SINK, b"all of it\n"), (BROKEN, b"")])
def test_a_sink_is_closed_at_the_end_and_its_failure_stops_nothing(
    kept: Kept, tmp_path: Path, source: str, expected: bytes
) -> None:
    (tmp_path / "a_sink.py").write_text(source)
    connection = kept.start("/bin/echo", "all of it", sink=("a_sink", {}), paths=[str(HERE), str(tmp_path)])
    out, _err, ended = read_all(connection)
    assert out == b"all of it\n"
    assert ended is not None
    assert ended.code == 0
    assert (kept.directory / "kept").read_bytes() == expected
    report = (kept.directory / "shim.log").read_text()
    assert ("No space left" in report) == (source == BROKEN)


def test_an_unknown_request_is_refused(kept: Kept) -> None:
    connection = kept.start("/bin/sleep", "60")
    assert protocol.receive(connection) is not None
    answer = protocol.receive(kept.connect({"op": "dance"}))
    assert answer is not None
    assert answer[0] == protocol.ERROR
    assert b"dance" in answer[1]
