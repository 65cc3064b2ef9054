"""What the shim and its clients say to each other over a Unix stream socket.

Every message is a frame: one byte of type, four bytes of length (big endian), the payload. A client's first frame is
``CONTROL`` with a JSON object whose ``op`` says what it wants; what follows depends on it:

    expect   (the launcher's connection only, before ``start``, not answered) modules that the plan will need, to be
             imported while the command still makes it
    descriptors  (the launcher's connection only, before ``start``, not answered) ``count`` descriptors for the
             container's process come with the byte that follows
    start    (the launcher's connection only) the whole plan; answered by ``unit`` requests, then ``started``; with
             ``attach`` it goes on as an attach
    attach   STDIN frames and their end, RESIZE and SIGNAL go in; STDOUT and STDERR frames come out, then EXIT; after
             STDIN_WAIT no STDIN is to be sent until STDIN_GO, for the process does not take what it has got
    exec     a process to run beside the container's init; answered by ``started``, then as attach
    signal   send a signal to the init, or with ``all`` to every process of the container; with ``final`` it is not
             started again
    stop     the stop signal, the wait, the kill; answered by EXIT when the container is gone, for good
    wait     answered by EXIT

A request that fails is answered with ERROR, an `engine.errors.EngineError` as plain data. EXIT carries `Exit`.
"""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Iterator, Sequence

from engine.errors import EngineError
from engine.tuples import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

STDIN, STDOUT, STDERR, STDIN_END, RESIZE, SIGNAL, EXIT, ERROR, CONTROL, STDIN_WAIT, STDIN_GO = range(11)
HEADER = 5
SOCKET = "socket"
"""The name of the socket in the state directory."""
LAUNCHER_FD = 3
"""The shim's end of the socket to its launcher."""
PROGRAM_FD = 9
"""The interpreter, on a read-only mount: what the shim, and so the stage, is executed from. The shim closes it,
and every other descriptor that it was started with."""
MAX_PAYLOAD = 16 << 20
"""A frame longer than this is a broken peer. A plan with a large environment stays far below it."""


class Exit(NamedTuple):
    """How a process ended.

    ``code``      the exit status, or 128 + signal
    ``signal``    the signal that killed it, or 0
    ``oom``       the kernel's out-of-memory killer was at work in its cgroup
    ``reason``    in words, when the engine ended it: "timeout", "the shim was killed", …; else ""
    ``finished``  nanoseconds since the epoch
    ``asked``     what the engine was asked to do to it before: "stop", "signal 15", …; "" when it ended unasked
    ``again``     its shim is about to start it again (said to clients, never recorded)
    """

    code: int
    signal: int = 0
    oom: bool = False
    reason: str = ""
    finished: int = 0
    asked: str = ""
    again: bool = False

    def attributes(self, began: int) -> dict[str, str]:
        """Return what an event says of it; ``began`` is in nanoseconds since the epoch, 0 when nobody knows."""
        said = {"exitCode": str(self.code)}
        if self.signal:
            said["signal"] = str(self.signal)
        if began and self.finished:
            said["execDuration"] = str(max(0, self.finished - began) // 1_000_000_000)
        return said


def frame(kind: int, payload: bytes = b"") -> bytes:
    """Return one frame."""
    return bytes([kind]) + len(payload).to_bytes(4, "big") + payload


def control(message: Any) -> bytes:
    """Return a CONTROL frame of JSON."""
    return frame(CONTROL, json.dumps(message).encode())


def exit_frame(ended: Exit) -> bytes:
    """Return an EXIT frame."""
    return frame(EXIT, json.dumps(ended).encode())


def error_frame(error: EngineError) -> bytes:
    """Return an ERROR frame."""
    return frame(ERROR, json.dumps(error.to_plain()).encode())


def connect(state_fd: int) -> socket.socket:
    """Connect to the shim whose state directory this is. Raises `FileNotFoundError` or `ConnectionRefusedError`."""
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        peer.connect(f"/proc/self/fd/{state_fd}/{SOCKET}")
    except OSError:
        peer.close()
        raise
    os.set_blocking(peer.fileno(), True)
    return peer


class Decoder:
    """Cuts a byte stream into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield the frames that ``data`` completes. Raises ``ValueError`` for a length beyond `MAX_PAYLOAD`."""
        self._buffer += data
        while len(self._buffer) >= HEADER:
            length = int.from_bytes(self._buffer[1:HEADER], "big")
            if length > MAX_PAYLOAD:
                raise ValueError(f"a frame of {length} bytes")
            if len(self._buffer) < HEADER + length:
                return
            kind, payload = self._buffer[0], bytes(self._buffer[HEADER : HEADER + length])
            del self._buffer[: HEADER + length]
            yield kind, payload


def receive(connection: socket.socket) -> tuple[int, bytes] | None:
    """Return the next frame of a blocking socket, or None at its end."""
    header = _exactly(connection, HEADER)
    if header is None:
        return None
    length = int.from_bytes(header[1:], "big")
    if length > MAX_PAYLOAD:
        raise ValueError(f"a frame of {length} bytes")
    payload = _exactly(connection, length)
    return None if payload is None else (header[0], payload)


def send_descriptors(connection: socket.socket, fds: Sequence[int]) -> None:
    """Send a ``descriptors`` request and the descriptors."""
    connection.sendall(control({"op": "descriptors", "count": len(fds)}))
    socket.send_fds(connection, [b"."], list(fds))


def receive_descriptors(connection: socket.socket, count: int) -> list[int]:
    """Return the descriptors that follow a ``descriptors`` request. Raises ``OSError`` (EBADMSG) when they do not."""
    _byte, fds, _flags, _address = socket.recv_fds(connection, 1, count, socket.MSG_CMSG_CLOEXEC)
    if len(fds) != count:
        for fd in fds:
            os.close(fd)
        raise OSError(errno.EBADMSG, f"{len(fds)} descriptors came instead of {count}")
    return fds


def _exactly(connection: socket.socket, count: int) -> bytes | None:
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            return None
        data += piece
    return data
