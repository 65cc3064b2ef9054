"""Talk to a container's shim."""

from __future__ import annotations

import json
import os
import socket
from contextlib import AbstractContextManager, suppress
from typing import Any

from engine.containers.layout import Layout
from engine.errors import StateError, from_plain
from engine.shim import protocol
from engine.shim.protocol import Exit

_ANSWER_SECONDS = 20.0


def connect(layout: Layout, container_id: str) -> socket.socket | None:
    """Connect to the shim, or return None when there is none."""
    try:
        state_fd = os.open(layout.container_state(container_id), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return protocol.connect(state_fd)
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    finally:
        os.close(state_fd)


def send(connection: socket.socket, request: dict[str, Any]) -> None:
    """Send a request. A shim that ends at this moment does not get it: whoever reads the answer sees that."""
    with unless_gone():
        connection.sendall(protocol.control(request))


def unless_gone() -> AbstractContextManager[None]:
    """Leave the body at the first thing that cannot be sent since the shim has ended."""
    return suppress(BrokenPipeError, ConnectionResetError)


def ask(connection: socket.socket, request: dict[str, Any]) -> dict[str, Any]:
    """Send a request and return the first answer.

    Raises the error that the shim answered, `StateError` when it ends or says nothing for too long.
    """
    connection.settimeout(_ANSWER_SECONDS)
    send(connection, request)
    answer = read_answer(connection)
    connection.settimeout(None)
    return answer


def read_answer(connection: socket.socket) -> dict[str, Any]:
    """Return the next CONTROL message; raise the error that came instead."""
    try:
        received = protocol.receive(connection)
    except TimeoutError as error:
        raise StateError(
            "the container's shim does not answer",
            fix="`engine inspect` shows its pid; if it is stuck, `engine rm -f` ends the container without it.",
        ) from error
    except ConnectionResetError:
        received = None
    if received is None:
        raise StateError("the container's shim ended before it answered", fix="`engine ps -a` shows what became of it.")
    kind, payload = received
    if kind == protocol.ERROR:
        raise from_plain(json.loads(payload))
    if kind != protocol.CONTROL:
        raise StateError(f"the container's shim answered with frame {kind}")
    answer: dict[str, Any] = json.loads(payload)
    return answer


def await_exit(connection: socket.socket, timeout: float | None = None) -> Exit | None:
    """Skip whatever comes until the EXIT frame, and return it; None at the connection's end or after ``timeout``."""
    connection.settimeout(timeout)
    try:
        while (received := protocol.receive(connection)) is not None:
            if received[0] == protocol.EXIT:
                return Exit(*json.loads(received[1]))
    except (TimeoutError, ConnectionResetError):
        return None
    finally:
        connection.settimeout(None)
    return None
