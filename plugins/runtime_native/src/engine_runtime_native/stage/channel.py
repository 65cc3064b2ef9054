"""The socket between the shim and a child that is not yet the container's command: whole messages, and descriptors.

From the shim: ``go``. From the child: ``console`` with the terminal's master, ``executing`` just before execve (with
the times of its steps, when they are measured), or an error as plain data. The child's end is close-on-exec, so the end
of file after ``executing`` says that it was executed.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket

from engine.errors import EngineError, from_plain
from engine.tuples import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

_GO = b"go"
_LARGEST = 1 << 16
_MOST_TEXT = 8192


class Cloned(NamedTuple):
    """A child that the bridge made: its pid, and the pidfd that came along."""

    pid: int
    pidfd: int


class Channel:
    """One end. Every method may raise `OSError`."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    @staticmethod
    def pair() -> tuple[Channel, Channel]:
        """Return the shim's end and the child's."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return Channel(ours), Channel(theirs)

    @staticmethod
    def of_descriptor(fd: int) -> Channel:
        """Return the end that `detach` gave up."""
        return Channel(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, fd))

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._socket.fileno()

    def move(self, first: int) -> None:
        """Take a descriptor of at least that number."""
        moved = fcntl.fcntl(self._socket.fileno(), fcntl.F_DUPFD_CLOEXEC, first)
        self._socket.close()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, moved)

    def detach(self) -> int:
        """Return the descriptor, which this object then no longer owns."""
        return self._socket.detach()

    def close(self) -> None:
        """Close this end."""
        self._socket.close()

    def send_go(self) -> None:
        """Let the child run its steps. A child that is gone already is noticed by `outcome`."""
        try:
            self._socket.send(_GO)
        except BrokenPipeError:
            return

    def wait_go(self) -> bool:
        """Wait for it; False when the shim gave up or died."""
        return self._socket.recv(len(_GO)) == _GO

    def say(self, word: str, more: object = 0) -> None:
        """Send a word, and plain data with it.

        With write(2), which a strict filter of the container lets through where send(2) may not be.
        """
        os.write(self._socket.fileno(), json.dumps({word: more}).encode())

    def send_error(self, error: EngineError) -> None:
        """Say what failed."""
        plain = {key: text[:_MOST_TEXT] for key, text in error.to_plain().items()}
        os.write(self._socket.fileno(), json.dumps(plain).encode())

    def send_descriptor(self, word: str, number: int, fd: int) -> None:
        """Send a descriptor, with what it is and a number."""
        socket.send_fds(self._socket, [json.dumps({word: number}).encode()], [fd])

    def outcome(self, seconds: float) -> tuple[str, Any, int]:
        """Wait for the child's next message: ("", -1, -1) at the end of file, or a word, its data, its descriptor.

        Raises the child's error, and `TimeoutError` when it says nothing for so long.
        """
        self._socket.settimeout(seconds)
        try:
            message, fds, _flags, _address = socket.recv_fds(self._socket, _LARGEST, 1)
        except ConnectionResetError:
            return "", -1, -1
        if not message:
            return "", -1, -1
        data = json.loads(message)
        if "error" in data:
            raise from_plain(data)
        ((word, more),) = data.items()
        return word, more, fds[0] if fds else -1
