"""One client of the shim: frames in, frames out, without ever blocking on it."""

from __future__ import annotations

import socket
from collections.abc import Callable

from engine.shim.loop import READ, WRITE, Loop
from engine.shim.protocol import Decoder

_RECEIVE = 1 << 16
CONGESTED = 1 << 20
"""A client that is so many bytes behind holds up the process whose output it reads, as a full pipe would."""


class Connection:
    """A connected client. ``on_frame(connection, kind, payload)`` and ``on_close(connection)`` are set by its owner."""

    def __init__(self, loop: Loop, peer: socket.socket) -> None:
        self._loop = loop
        self._socket = peer
        self._decoder = Decoder()
        self._out = bytearray()
        self._closing = False
        self.closed = False
        self.on_frame: Callable[[Connection, int, bytes], None] = lambda *_: None
        self.on_close: Callable[[Connection], None] = lambda _: None
        self.on_drain: Callable[[], None] = lambda: None
        peer.setblocking(False)
        loop.watch(peer.fileno(), READ, self._ready)

    @property
    def congested(self) -> bool:
        """The client is too far behind to be given more."""
        return len(self._out) >= CONGESTED

    def send(self, data: bytes) -> None:
        """Queue a frame and send what the socket takes now."""
        if not self.closed:
            self._out += data
            self._flush()

    def finish(self) -> None:
        """Close once everything queued was sent."""
        self._closing = True
        if not self._out:
            self.close()

    def close(self) -> None:
        """Close now; what was queued is lost."""
        if not self.closed:
            self.closed = True
            self._loop.forget(self._socket.fileno())
            self._socket.close()
            self.on_close(self)

    def _ready(self, events: int) -> None:
        if events & WRITE and self._out:
            self._flush()
        if not self.closed and events & ~WRITE:
            self._read()

    def _flush(self) -> None:
        behind = self.congested
        try:
            sent = self._socket.send(self._out)
        except BlockingIOError:
            sent = 0
        except OSError:  # the client went away: that is its right, and its output stays in the log
            self.close()
            return
        del self._out[:sent]
        if self._closing and not self._out:
            self.close()
            return
        self._loop.change(self._socket.fileno(), READ | (WRITE if self._out else 0))
        if behind and not self.congested:
            self.on_drain()

    def _read(self) -> None:
        try:
            data = self._socket.recv(_RECEIVE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        try:
            for kind, payload in self._decoder.feed(data):
                self.on_frame(self, kind, payload)
        except ValueError:
            self.close()
