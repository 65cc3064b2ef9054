"""The terminal that the program makes in the container, received over its ``--console-socket``."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Mapping

from engine.linux import processes, terminal
from engine.tuples import TYPE_CHECKING
from engine_runtime_oci.stage.program import PATIENCE, Program

if TYPE_CHECKING:
    from typing import Any

_NAME = "console.sock"


class Console:
    """A listening socket in the program's directory. Its path is too long for an address: it goes by descriptor."""

    def __init__(self, program: Program) -> None:
        self._directory = os.open(program.directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(f"/proc/self/fd/{self._directory}/{_NAME}")
        self._socket.listen(1)
        self.path = f"/proc/{os.getpid()}/fd/{self._directory}/{_NAME}"
        """By which the program, another process in the same pid namespace, reaches it."""

    def receive(self, program: int, process: Mapping[str, Any]) -> int:
        """Return the terminal's master, with the size that the process asks for; -1 when the program sent none.

        While the program of that pid runs: what it executes may ask for the size at once.
        """
        if not _connects(self._socket.fileno(), program):
            return -1
        self._socket.settimeout(PATIENCE)
        connection, _address = self._socket.accept()
        with connection:
            _data, descriptors, _flags, _sender = socket.recv_fds(connection, 4096, 1)
        if not descriptors:
            return -1
        master = descriptors[0]
        os.set_inheritable(master, False)
        size = process.get("consoleSize")
        if size:
            terminal.set_size(master, size["height"], size["width"])
        return master

    def close(self) -> None:
        """Remove the socket."""
        os.unlink(_NAME, dir_fd=self._directory)
        os.close(self._directory)
        self._socket.close()


def _connects(listening: int, program: int) -> bool:
    """Wait until somebody connects, the program has ended, or it takes too long."""
    pidfd = processes.pidfd_open(program)
    try:
        poll = select.poll()
        poll.register(listening, select.POLLIN)
        poll.register(pidfd, select.POLLIN)
        return any(fd == listening for fd, _events in poll.poll(PATIENCE * 1000))
    finally:
        os.close(pidfd)
