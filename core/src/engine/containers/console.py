"""The user's end of an attached container: relay the streams, the terminal's size and keys, and the signals."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
from collections.abc import Collection
from types import FrameType

from engine.containers import client
from engine.containers.guard import TerminalGuard
from engine.errors import InvalidInput, StateError, from_plain
from engine.linux import terminal
from engine.shim import protocol
from engine.shim.protocol import Decoder, Exit

_CHUNK = 1 << 16
_OUTPUTS = {protocol.STDOUT: ("stdout", 1), protocol.STDERR: ("stderr", 2)}
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
DETACH_KEYS = "ctrl-p,ctrl-q"


class Console:
    """One attachment, from now until the process has ended or the user detaches.

    ``stdin``        forward what the user types
    ``tty``          the process has a terminal: the user's becomes raw, its size is followed
    ``detach_keys``  bytes that detach, typed in a row (with ``tty`` only)
    ``forward``      send the signals that this command gets on to the process (without ``tty``: there keys do it)
    ``outputs``      of "stdout" and "stderr" those that are shown
    """

    def __init__(
        self,
        connection: socket.socket,
        *,
        stdin: bool,
        tty: bool,
        detach_keys: bytes = b"",
        forward: bool = True,
        outputs: Collection[str] = ("stdout", "stderr"),
    ) -> None:
        self._connection = connection
        self._stdin, self._tty, self._keys = stdin, tty, detach_keys
        self._forward = forward and not tty
        self._outputs = outputs
        self._typed = b""
        self._held = False
        self._decoder = Decoder()
        self._out = bytearray()
        self._signals: list[int] = []

    def run(self) -> Exit | None:
        """Relay; return how the process ended, or None when the user detached.

        Raises `StateError` when the shim vanished. The terminal is left as it was found, even when this command is
        killed (`TerminalGuard`).
        """
        handled = {number: signal.signal(number, self._note) for number in self._wanted()}
        reading, waking = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        before = signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
        try:
            if self._tty and os.isatty(0):
                with TerminalGuard(0):
                    self._resize()
                    return self._relay(reading)
            return self._relay(reading)
        finally:
            signal.set_wakeup_fd(before)
            os.close(reading)
            os.close(waking)
            for number, handler in handled.items():
                signal.signal(number, handler)

    def _wanted(self) -> tuple[int, ...]:
        return (*(_FORWARDED if self._forward else ()), *((signal.SIGWINCH,) if self._tty else ()))

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)

    def _relay(self, woken: int) -> Exit | None:
        while True:
            for fd, events in self._ready(woken):
                if fd == woken:
                    self._on_signals(woken)
                elif fd == 0:
                    if not self._on_input():
                        return None
                elif events & select.POLLOUT:
                    self._flush()
                else:
                    ended = self._on_output()
                    if ended is not None:
                        return ended

    def _ready(self, woken: int) -> list[tuple[int, int]]:
        """Wait for what can be done next.

        The input is left alone while the process is behind with it, as the shim says, or the shim itself: a process
        that waits for its output to be read takes none, and only this command reads that output.
        """
        poll = select.poll()
        poll.register(woken, select.POLLIN)
        poll.register(self._connection, select.POLLIN | (select.POLLOUT if self._out else 0))
        if self._stdin and not self._held and not self._out:
            poll.register(0, select.POLLIN)
        return poll.poll()

    def _on_signals(self, woken: int) -> None:
        os.read(woken, 512)
        while self._signals:
            number = self._signals.pop(0)
            if number == signal.SIGWINCH:
                self._resize()
            else:
                self._send(protocol.SIGNAL, str(number).encode())

    def _on_input(self) -> bool:
        """Forward what was typed; false when it was the detach keys."""
        try:
            data = os.read(0, _CHUNK)
        except OSError:  # the terminal is gone, or the command is in the background
            data = b""
        if not data:
            self._stdin = False
            self._send(protocol.STDIN_END, b"")
            return True
        if self._keys and self._tty:
            data, detached = self._without_keys(data)
            if detached:
                return False
        if data:
            self._send(protocol.STDIN, data)
        return True

    def _without_keys(self, data: bytes) -> tuple[bytes, bool]:
        """Hold back the beginning of the detach keys until it is clear whether they are meant."""
        out = b""
        for byte in data:
            self._typed += bytes([byte])
            if self._typed == self._keys:
                return out, True
            while self._typed and not self._keys.startswith(self._typed):
                out, self._typed = out + self._typed[:1], self._typed[1:]
        return out, False

    def _on_output(self) -> Exit | None:
        try:
            data = self._connection.recv(_CHUNK)
        except ConnectionResetError:  # it had not read all that it was sent
            data = b""
        if not data:
            raise StateError(
                "the container's shim was killed", fix="`engine ps -a` shows what became of the container."
            )
        for kind, payload in self._decoder.feed(data):
            if kind in _OUTPUTS:
                stream, fd = _OUTPUTS[kind]
                if stream in self._outputs:
                    _write(fd, payload)
            elif kind in (protocol.STDIN_WAIT, protocol.STDIN_GO):
                self._held = kind == protocol.STDIN_WAIT
            elif kind == protocol.EXIT:
                self._complete()
                return Exit(*json.loads(payload))
            elif kind == protocol.ERROR:
                raise from_plain(json.loads(payload))
        return None

    def _complete(self) -> None:
        """Send the rest of what was begun: the shim would take what follows half a frame for the other half."""
        with client.unless_gone():
            self._connection.sendall(self._out)

    def _resize(self) -> None:
        try:
            size = terminal.get_size(0)
        except OSError:  # standard input is no terminal: the size stays as it was
            return
        self._send(protocol.RESIZE, json.dumps(size).encode())

    def _send(self, kind: int, payload: bytes) -> None:
        self._out += protocol.frame(kind, payload)
        self._flush()

    def _flush(self) -> None:
        """Send what the shim takes now."""
        try:
            del self._out[: self._connection.send(self._out, socket.MSG_DONTWAIT)]
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):  # it has ended: its EXIT is on the way
            self._out.clear()


def parse_detach_keys(text: str) -> bytes:
    """Return the bytes of "ctrl-p,ctrl-q": single characters and ctrl-<letter or @ [ \\ ] ^ _>, joined by commas."""
    keys = b""
    for word in text.split(","):
        if len(word) == 1 and word.isascii():
            keys += word.encode()
        elif word.startswith("ctrl-") and len(word) == 6 and "@" <= word[5].upper() <= "_":
            keys += bytes([ord(word[5].upper()) - 64])
        else:
            raise InvalidInput(
                f"{word!r} is no key that can detach", fix="Write for example --detach-keys ctrl-p,ctrl-q."
            )
    return keys


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
