"""One check of a container's health, in a child of the shim: a process is started as `engine exec` does, and awaited.

The child holds nothing of the shim's but the pipe by which it tells the result, and dies with the shim; what it starts
dies with it or, when the container ends, with its cgroup.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
from time import monotonic, sleep

from engine.actions.task import Executed, Streams
from engine.errors import EngineError
from engine.linux import cgroups, processes
from engine.shim import streams
from engine.tuples import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import NoReturn

    from engine.linux.cgroups import Group
    from engine.shim.container import Container
    from engine.shim.verdict import Settings

_MOST_OUTPUT = 4096
"""Bytes of a check's output that are kept, as in Docker."""
_CHUNK = 1 << 16
_ROUNDS, _PAUSE = 100, 0.01
"""How often, and how many seconds apart, what a check has started is looked for to be killed."""


def run(container: Container, settings: Settings, pipe: int) -> NoReturn:
    """Make one check in a new child, which it ends.

    To ``pipe`` goes a line with the pid of what was started, if it was; then exit status and output as JSON.
    """
    code = 1
    try:
        gc.disable()  # nothing of the shim's may be closed by chance: its descriptors have other meanings here
        _let_go(container, pipe)
        told = json.dumps(_check(container, settings, pipe)).encode()
        while told:
            told = told[os.write(pipe, told) :]
        code = 0
    finally:
        os._exit(code)


def too_long(seconds: float) -> str:
    """Return what is said of a check that took longer than that."""
    return f"Health check exceeded timeout ({seconds:g}s)"


def _let_go(container: Container, pipe: int) -> None:
    """Die with the shim, be the parent of what is left behind, and close everything that is not needed here."""
    shim = container.pid
    processes.set_parent_death_signal(signal.SIGKILL)
    if os.getppid() != shim:
        os._exit(1)
    os.setpgid(0, 0)  # whom it leaves behind before they lead a session are known by it
    processes.set_name("engine-health")
    processes.set_child_subreaper()
    assert container.init is not None
    kept = sorted({2, pipe, container.init.pidfd})
    for fd, following in zip(kept, (*kept[1:], None), strict=True):
        if following is None:
            processes.close_range(fd + 1)
        elif following > fd + 1:
            processes.close_range(fd + 1, following - 1)


def _check(container: Container, settings: Settings, pipe: int) -> tuple[int, str]:
    """Return the exit status and the output of a check; -1 and the reason when there is none."""
    deadline = monotonic() + settings.timeout
    output = _Output()
    try:
        made = _start(container, settings, output)
    except (EngineError, OSError) as error:
        return -1, str(error)
    os.write(pipe, b"%d\n" % made.pid)
    code = _await(made, output, deadline)
    if code is None:
        _end(made, container.plan.group)
        said = output.text()
        return -1, f"{too_long(settings.timeout)}{': ' if said else ''}{said}"
    return code, output.text()


def _start(container: Container, settings: Settings, output: _Output) -> Executed:
    inner = Streams(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC), output.writing, os.dup(output.writing))
    try:
        return container.start_process(settings.request, inner)
    finally:
        streams.close(inner)


def _await(made: Executed, output: _Output, deadline: float) -> int | None:
    """Return the exit status of the check, or None when it has not ended at the deadline."""
    poll = select.poll()
    poll.register(made.pidfd, select.POLLIN)
    poll.register(output.reading, select.POLLIN)
    while (left := deadline - monotonic()) > 0:
        ready = {fd for fd, _events in poll.poll(left * 1000)}
        if output.reading in ready and not output.take():
            poll.unregister(output.reading)
        if made.pidfd in ready:
            ended = processes.wait(made.pid)
            output.drain()
            return None if ended is None else ended.exit_status
    return None


def _end(made: Executed, group: Group | None) -> None:
    """Kill the check and what it has started, by the session that it leads. What left that is the container's own."""
    session = os.getsid(made.pid)
    processes.pidfd_send_signal(made.pidfd, signal.SIGKILL)
    for _ in range(_ROUNDS):
        found = [] if group is None or session != made.pid else _members(group, session)
        if not found and processes.wait(made.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            break
        for pid in found:
            _kill(pid, session)
        sleep(_PAUSE)
    processes.wait(made.pid, os.WEXITED | os.WNOHANG)  # last: until then no other session has its number


def _members(group: Group, session: int) -> list[int]:
    return [pid for pid in cgroups.processes(group) if _session(pid) == session]


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return -1


def _kill(pid: int, session: int) -> None:
    """Kill one process, and never another that has its pid by now."""
    try:
        pidfd = processes.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if _session(pid) == session:
            processes.pidfd_send_signal(pidfd, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        os.close(pidfd)


class _Output:
    """A pipe for what a check writes, and the beginning of that."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.reading, False)
        self._kept = bytearray()
        self._cut = False

    def take(self) -> bool:
        """Read what is there now; tell whether there may be more."""
        try:
            data = os.read(self.reading, _CHUNK)
        except BlockingIOError:
            return True
        room = _MOST_OUTPUT - len(self._kept)
        self._kept += data[:room]
        self._cut = self._cut or len(data) > room
        return bool(data)

    def drain(self) -> None:
        """Read all that is in the pipe now, as far as it is kept."""
        while not self._cut:
            before = len(self._kept)
            if not self.take() or len(self._kept) == before:
                return

    def text(self) -> str:
        """Return what is kept, with dots where the rest was."""
        return self._kept.decode("utf-8", "replace") + ("..." if self._cut else "")
