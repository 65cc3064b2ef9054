"""One process that the shim keeps: its streams, its attached clients, its end.

The container's init and every exec'ed process are alike here. Output goes to the log first and then to whoever is
attached; a client that does not keep up holds up the process, a client that leaves does not.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import select
import signal
from collections.abc import Callable
from time import time_ns

from engine.linux import processes, terminal
from engine.shim import protocol
from engine.shim.connection import Connection
from engine.shim.log import Log
from engine.shim.loop import READ, WRITE, Loop
from engine.shim.protocol import Exit

_CHUNK = 1 << 16
_TERMINAL_HOLDS = 640 << 10
"""Bytes, at the most, that are on their way through a terminal (TTYB_DEFAULT_MEM_LIMIT, drivers/tty/tty_buffer.c)."""
_STDIN_BEHIND = 1 << 16
"""Bytes of input that wait for the process, beyond which clients are told to wait as well."""


class Kept:
    """A running process with its streams.

    ``outputs``   descriptors to read, by stream; a terminal's master is both "stdout" and the input
    ``stdin``     descriptor to write, or -1
    ``log``       where output is kept; exec'ed processes have none
    ``on_exit``   called with the `Kept` once the process was reaped; its output may still have to be drained
    ``on_signal`` called with each signal that a client has sent to it
    """

    def __init__(
        self, loop: Loop, pid: int, pidfd: int, outputs: dict[str, int], stdin: int, *, console: bool, log: Log | None
    ) -> None:
        self.loop, self.pid, self.pidfd = loop, pid, pidfd
        self.outputs, self.stdin, self.console = outputs, stdin, console
        self.log = log
        self.ended: Exit | None = None
        self.stdin_once = True
        self.clients: list[Connection] = []
        self.on_exit: Callable[[Kept], None] = lambda _: None
        self.on_signal: Callable[[int], None] = lambda _: None
        self._input = bytearray()
        self._input_ended = False
        self._held = False
        for fd in (*outputs.values(), stdin):
            if fd >= 0:
                os.set_blocking(fd, False)
        for stream, fd in outputs.items():
            self._watch_output(stream, fd)
        loop.watch(pidfd, READ, lambda _events: self._reap())

    def attach(self, client: Connection) -> None:
        """Send this process's output to ``client`` from now on, and take its frames."""
        self.clients.append(client)
        client.on_frame = self._on_frame
        client.on_close = self._on_close
        client.on_drain = self._regulate
        if self._held:
            client.send(protocol.frame(protocol.STDIN_WAIT))
        if self.ended is not None:
            client.send(protocol.exit_frame(self.ended))

    def drain(self) -> None:
        """Read everything that is in the pipes now, whether clients keep up or not, and close them.

        What the process has left behind may write on, so no more is read than can have been there.
        """
        for stream, fd in list(self.outputs.items()):
            left = _TERMINAL_HOLDS if self.console else fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)
            while left > 0 and (count := self._read(stream, fd)):
                left -= count
            self._close_output(stream)
        if self.stdin >= 0 and not self.console:
            self._close_stdin()

    def signal(self, number: int) -> None:
        """Send a signal to the process; nothing when it has ended."""
        if self.ended is None:
            processes.pidfd_send_signal(self.pidfd, number)

    def resize(self, rows: int, columns: int) -> None:
        """Set the terminal's size; nothing without one."""
        if self.console and self.stdin >= 0:
            terminal.set_size(self.stdin, rows, columns)

    def announce(self, ended: Exit) -> None:
        """Tell every attached client how it ended."""
        for client in list(self.clients):
            client.send(protocol.exit_frame(ended))

    def await_end(self, seconds: float) -> None:
        """Wait for the end of a process that was killed, for so long at the most."""
        if self.ended is None:
            poll = select.poll()
            poll.register(self.pidfd, select.POLLIN)
            poll.poll(seconds * 1000)
            self._reap()

    def _reap(self) -> None:
        ended = processes.wait(self.pid, os.WEXITED | os.WNOHANG)
        if ended is None:
            return
        self.loop.forget(self.pidfd)
        os.close(self.pidfd)
        self.ended = Exit(code=ended.exit_status, signal=ended.signal, finished=time_ns())
        self.on_exit(self)

    def _readable(self, stream: str, events: int) -> None:
        fd = self.outputs[stream]
        if events & WRITE and fd == self.stdin:
            self._write_input()
        if events & ~WRITE and not self._read(stream, fd) and events & ~(READ | WRITE):
            self._close_output(stream)
        self._regulate()

    def _read(self, stream: str, fd: int) -> int:
        """Read once, and return how many bytes; 0 at the end, and when there is nothing now."""
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return 0
        except OSError as error:
            if error.errno != errno.EIO:  # a terminal whose last slave was closed
                raise
            data = b""
        if not data:
            return 0
        if self.log is not None:
            self.log.write(stream, data)
        kind = protocol.STDERR if stream == "stderr" else protocol.STDOUT
        for client in list(self.clients):
            client.send(protocol.frame(kind, data))
        return len(data)

    def _close_output(self, stream: str) -> None:
        fd = self.outputs.pop(stream, -1)
        if fd >= 0:
            self.loop.forget(fd)
            os.close(fd)
            if fd == self.stdin:
                self.stdin = -1
                self._drop_input()

    def _regulate(self) -> None:
        """Read the outputs only while every client keeps up.

        A descriptor that is not to be read is not watched at all: epoll reports a hang-up whether asked or not.
        """
        behind = any(client.congested for client in self.clients)
        for stream, fd in self.outputs.items():
            wanted = (0 if behind else READ) | (WRITE if fd == self.stdin and self._input else 0)
            if not wanted:
                self.loop.forget(fd)
            elif self.loop.watches(fd):
                self.loop.change(fd, wanted)
            else:
                self._watch_output(stream, fd, wanted)

    def _watch_output(self, stream: str, fd: int, events: int = READ) -> None:
        self.loop.watch(fd, events, lambda ready: self._readable(stream, ready))

    def _on_close(self, client: Connection) -> None:
        if client in self.clients:
            self.clients.remove(client)
            self._regulate()

    def _on_frame(self, client: Connection, kind: int, payload: bytes) -> None:
        if kind == protocol.STDIN:
            self._input += payload
            self._write_input()
            self._hold(len(self._input) > _STDIN_BEHIND)
        elif kind == protocol.STDIN_END and self.stdin_once and not self.console:
            self._input_ended = True
            self._write_input()
        elif kind == protocol.RESIZE:
            rows, columns = json.loads(payload)
            self.resize(rows, columns)
        elif kind == protocol.SIGNAL:
            number = int(payload) or signal.SIGTERM
            self.signal(number)
            self.on_signal(number)

    def _write_input(self) -> None:
        if self.stdin < 0:
            self._drop_input()
            return
        while self._input:
            try:
                sent = os.write(self.stdin, self._input[:_CHUNK])
            except BlockingIOError:
                self._await_input()
                return
            except OSError:  # the process closed its input, or ended: what it did not read is nobody's
                self._close_stdin()
                return
            del self._input[:sent]
        self._hold(False)
        if self._input_ended:
            self._close_stdin()
        elif self.console:
            self._regulate()
        else:
            self.loop.forget(self.stdin)

    def _await_input(self) -> None:
        if self.console:
            self._regulate()
        elif not self.loop.watches(self.stdin):
            self.loop.watch(self.stdin, WRITE, lambda _events: self._write_input())

    def _close_stdin(self) -> None:
        if self.stdin >= 0 and not self.console:
            self.loop.forget(self.stdin)
            os.close(self.stdin)
            self.stdin = -1
        self._drop_input()

    def _drop_input(self) -> None:
        """Throw away what nobody will read."""
        self._input.clear()
        self._hold(False)

    def _hold(self, held: bool) -> None:
        """Have the clients wait with input, or go on. They are read all the while: for signals, and for their end."""
        if held != self._held:
            self._held = held
            for client in list(self.clients):
                client.send(protocol.frame(protocol.STDIN_WAIT if held else protocol.STDIN_GO))
