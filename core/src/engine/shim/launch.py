"""Start a shim: the command's side of `engine.shim.main`.

The interpreter is isolated (``-I``: no environment, no user site; ``-S``: no site at all), so it starts in the time of
a bare one and cannot be led to import anything but the engine's own directories. It is executed from a read-only mount,
so that no container can write to it through /proc (`engine.linux.interpreter`). It may be started before the plan is
known: it imports its modules while the command still computes.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import sys

from engine.errors import EngineError
from engine.linux import interpreter
from engine.shim.protocol import LAUNCHER_FD, PROGRAM_FD

_PROGRAM = "import sys; sys.path[:0] = {paths!r}; from engine.shim.main import main; main()"


class Launched:
    """A shim that was started: its pid and the socket to it."""

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid, self.connection = pid, connection

    def close(self) -> None:
        """Close the socket; a shim that has got no plan ends then."""
        self.connection.close()

    def reap(self) -> None:
        """Wait for the shim to end: it does so at once when told that all is done."""
        try:
            os.waitpid(self.pid, 0)
        except ChildProcessError:  # whoever started us ignores SIGCHLD, so the kernel has reaped it
            return


class _Descriptor:
    """A descriptor moved out of the way of those that the shim gets by number, and closed at the end of the block."""

    def __init__(self, fd: int) -> None:
        self._fd = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, PROGRAM_FD + 1)
        os.close(fd)

    def __enter__(self) -> int:
        return self._fd

    def __exit__(self, *_exc: object) -> None:
        os.close(self._fd)


_prepared: list[Launched] = []


def prepare() -> None:
    """Start a shim now that `launch` will hand out: it imports while the command still parses its arguments."""
    try:
        _prepared.append(_spawn())
    except EngineError:  # `launch` says so again, once the command knows that it needs one
        return


def launch() -> Launched:
    """Return a shim that waits for its plan: the prepared one, or a new one. Raises `EngineError` when none starts."""
    return _prepared.pop() if _prepared else _spawn()


def _interpreter() -> int:
    try:
        return interpreter.read_only()
    except PermissionError as error:
        raise EngineError(
            "containers need mounts and namespaces that the kernel does not allow this user to make",
            fix="Run the engine as root.",
        ) from error


def _spawn() -> Launched:
    """Start a shim in a session of its own, with an empty environment and /dev/null as its standard streams."""
    source = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    interpreter_fd = _interpreter()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with _Descriptor(interpreter_fd) as program, _Descriptor(theirs.detach()) as channel:
        pid = os.posix_spawn(
            f"/proc/self/fd/{PROGRAM_FD}",
            [sys.executable, "-I", "-S", "-X", "utf8", "-c", _PROGRAM.format(paths=[source])],
            {},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0),
                (os.POSIX_SPAWN_DUP2, program, PROGRAM_FD),
                (os.POSIX_SPAWN_DUP2, channel, LAUNCHER_FD),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGCHLD,),  # ignored, as some parents leave it, it would take away exit statuses
        )
    return Launched(pid, ours)
