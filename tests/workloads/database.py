"""A database in a container, written to from the host while it is killed: what was acknowledged must be there after."""

from __future__ import annotations

import hashlib
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.e2e.box import PATIENCE, Box, Container

WRITERS = 4
"""Connections that write at once: a server that gathers several commits in one fsync(2) does so here."""
LIMITS = ("--memory", "256m", "--cpus", "1")


class Lost(Exception):
    """The server is gone, or not there yet."""


class Write(NamedTuple):
    """One row: who wrote it, its number, and how large it is in bytes."""

    writer: int
    number: int
    size: int = 200

    @property
    def value(self) -> str:
        """What was written: follows from the key, so that a reader knows it, and does not compress."""
        return hashlib.shake_256(f"{self.writer}:{self.number}".encode()).hexdigest(self.size // 2)


class Client(ABC):
    """A connection to the server. Every method raises `Lost` when the connection breaks."""

    @abstractmethod
    def write(self, row: Write) -> None:
        """Write a row; when this returns, the server has said that it is safe."""

    @abstractmethod
    def read(self, row: Write) -> str | None:
        """Return the value that is there for the row's writer and number; None when there is none."""

    @abstractmethod
    def close(self) -> None:
        """End the connection."""


class Server(ABC):
    """How one kind of server is run: the data lie in ``data``, a directory of the host."""

    user: str

    def __init__(self, box: Box, data: Path) -> None:
        self.box = box
        self.data = data
        self.port = free_port()
        box.run("--volume", f"{data}:/data", script=f"chown {self.user}: /data && chmod 700 /data")

    @abstractmethod
    def command(self) -> list[str]:
        """Return the server's command line in the container."""

    @abstractmethod
    def connect(self) -> Client:
        """Return a new connection. Raises `Lost` while the server does not answer."""

    @property
    def flags(self) -> tuple[str, ...]:
        """What every container of it is run with, the limits aside."""
        return ("--user", self.user, "--network", "host", "--volume", f"{self.data}:/data")

    @contextmanager
    def running(self, *limits: str) -> Iterator[Container]:
        """Give the server's container, once it answers; it is removed at the block's end."""
        with self.box.to_be_removed() as name:
            self.box.done("run", "--detach", "--name", name, *self.flags, *limits, self.box.image, *self.command())
            container = Container(self.box, name)
            self.wait_until_up(container)
            yield container

    def wait_until_up(self, container: Container) -> None:
        """Wait until the server answers; fail with its log when it ends instead."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.connect().close()
                return
            except Lost:
                assert time.monotonic() < deadline, f"it does not answer:\n{container.logs()}"
                assert container.state["Running"], f"it has ended:\n{container.logs()}"
                time.sleep(0.05)

    def missing(self, rows: list[Write]) -> list[Write]:
        """Return those of the rows that are not there, or not as they were written."""
        client = self.connect()
        try:
            return [row for row in rows if client.read(row) != row.value]
        finally:
            client.close()


class Writers:
    """Connections that write as fast as they can, from when the block is entered until the server is gone.

    After the block, ``acknowledged`` is what the server said is safe, and ``unanswered`` what it was doing.
    """

    def __init__(self, server: Server, first: int = 0, size: int = 200, count: int = WRITERS) -> None:
        self.server = server
        self.first = first
        self.size = size
        self.count = count
        self.acknowledged: list[Write] = []
        self.unanswered: list[Write] = []
        self._stack = ExitStack()

    def __enter__(self) -> Writers:
        pool = self._stack.enter_context(ThreadPoolExecutor(self.count))
        clients = [self.server.connect() for _ in range(self.count)]
        self._futures = [pool.submit(self._write, number, client) for number, client in enumerate(clients)]
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()
        for future in self._futures:
            future.result()

    def wait_for(self, count: int) -> None:
        """Wait until so many rows were acknowledged."""
        deadline = time.monotonic() + PATIENCE * 2
        while len(self.acknowledged) < count:
            assert time.monotonic() < deadline, f"{len(self.acknowledged)} of {count} rows were acknowledged"
            time.sleep(0.005)

    def _write(self, writer: int, client: Client) -> None:
        number = self.first
        while True:
            row = Write(writer, number, self.size)
            try:
                client.write(row)
            except Lost:
                self.unanswered.append(row)
                client.close()
                return
            self.acknowledged.append(row)
            number += 1


class Line:
    """A TCP connection to a port of this machine, read by lines and by lengths. Raises `Lost`."""

    def __init__(self, port: int) -> None:
        try:
            self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        except OSError as error:
            raise Lost(str(error)) from error
        self._file = self._socket.makefile("rb")

    def send(self, data: bytes) -> None:
        """Send it all."""
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise Lost(str(error)) from error

    def line(self) -> bytes:
        """Return the next line, without its end."""
        try:
            data = self._file.readline()
        except OSError as error:
            raise Lost(str(error)) from error
        if not data.endswith(b"\r\n"):
            raise Lost("the connection was closed")
        return data[:-2]

    def bytes(self, count: int) -> bytes:
        """Return so many bytes."""
        try:
            data = self._file.read(count)
        except OSError as error:
            raise Lost(str(error)) from error
        if len(data) < count:
            raise Lost("the connection was closed")
        return data

    def close(self) -> None:
        """End the connection."""
        self._file.close()
        self._socket.close()


def free_port() -> int:
    """Return a TCP port of this machine that nobody uses."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
