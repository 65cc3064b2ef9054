"""The shim's socket: who may ask what, and the answer to each request."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable

from engine.contracts.observer import Topic
from engine.errors import Conflict, StateError
from engine.shim import protocol
from engine.shim.connection import Connection
from engine.shim.container import Container
from engine.shim.loop import READ, Loop
from engine.shim.notes import note, told
from engine.shim.process import Kept
from engine.tuples import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, TypeAlias

_BREATH = 0.2
"""Seconds until clients are let in again, where there was no room for one."""


class Server:
    """Serves the clients of one container. Only root can connect: the state directory is its alone, mode 0700."""

    def __init__(self, loop: Loop, container: Container) -> None:
        self.loop, self.container = loop, container
        self.connections: set[Connection] = set()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        # A path through the descriptor: a state directory may lie deeper than the 107 bytes that an address holds.
        self._listener.bind(f"/proc/self/fd/{container.state_fd}/{protocol.SOCKET}")
        self._listener.listen(64)
        self._listen()

    def adopt(self, peer: socket.socket) -> Connection:
        """Serve a connected socket."""
        connection = Connection(self.loop, peer)
        connection.on_frame = self._request
        connection.on_close = self.connections.discard
        self.connections.add(connection)
        return connection

    def follow(self, connection: Connection, kept: Kept) -> None:
        """Make a connection an attached client of a process."""
        kept.attach(connection)
        leave = connection.on_close

        def on_close(closed: Connection) -> None:
            leave(closed)
            self.connections.discard(closed)

        connection.on_close = on_close

    def stop_listening(self) -> None:
        """Take no more clients."""
        self.loop.forget(self._listener.fileno())
        self._listener.close()

    def _listen(self) -> None:
        if self._listener.fileno() >= 0:
            self.loop.watch(self._listener.fileno(), READ, lambda _events: self._accept())

    def _accept(self) -> None:
        try:
            peer, _address = self._listener.accept()
        except BlockingIOError:  # the client gave up between the event and this call
            return
        except OSError as error:  # no descriptor or no memory is left: those who wait are let in when others have gone
            note(f"a client cannot be let in yet: {error}")
            self.loop.forget(self._listener.fileno())
            self.loop.after(_BREATH, self._listen)
            return
        self.adopt(peer)

    def _request(self, connection: Connection, kind: int, payload: bytes) -> None:
        try:
            if kind != protocol.CONTROL:
                raise StateError(f"the shim got frame {kind} before a request")
            request = json.loads(payload)
            handler = _HANDLERS.get(request["op"])
            if handler is None:
                raise StateError(f"this shim does not know the request {request['op']!r}; it is of another version")
            handler(self, connection, request)
        except Exception as error:  # noqa: BLE001  # a stage is a plugin's: whatever it raises, its container lives on
            connection.send(protocol.error_frame(told(error)))
            connection.finish()

    def _init(self) -> Kept:
        if self.container.init is None:
            raise StateError("the container has not started yet")
        if self.container.delay is not None:
            raise Conflict(
                "the container has ended and is about to be restarted", fix="Wait until it runs, or `engine stop` it."
            )
        return self.container.init

    def _attach(self, connection: Connection, _request: dict[str, Any]) -> None:
        connection.send(protocol.control({"attached": True, "terminal": self._init().console}))
        self.follow(connection, self._init())
        self.container.tell(Topic.ATTACH)

    def _exec(self, connection: Connection, request: dict[str, Any]) -> None:
        kept = self.container.execute(request)
        connection.send(protocol.control({"started": kept.pid}))
        if request["attach"]:
            self.follow(connection, kept)
        else:
            connection.finish()

    def _signal(self, connection: Connection, request: dict[str, Any]) -> None:
        final = bool(request.get("final"))
        self.container.final = self.container.final or final
        self.container.asked = f"signal {request['signal']}"
        if not final or self.container.delay is None:  # else it has ended, and now it stays so
            self._send_signal(int(request["signal"]), everything=bool(request.get("all")))
        connection.send(protocol.control({"sent": True}))
        connection.finish()

    def _send_signal(self, number: int, *, everything: bool) -> None:
        if everything:
            self.container.signal_all(number)
        elif number == signal.SIGKILL:
            self.container.kill("")
        else:
            self._init()
            self.container.signal(number)

    def _stop(self, connection: Connection, request: dict[str, Any]) -> None:
        self.container.stop(int(request["signal"]), float(request["timeout"]))
        connection.on_frame = lambda *_: None

    def _wait(self, connection: Connection, _request: dict[str, Any]) -> None:
        connection.on_frame = lambda *_: None


_Handler: TypeAlias = "Callable[[Server, Connection, dict[str, Any]], None]"
_HANDLERS: dict[str, _Handler] = {
    "attach": Server._attach,
    "exec": Server._exec,
    "signal": Server._signal,
    "stop": Server._stop,
    "wait": Server._wait,
}
