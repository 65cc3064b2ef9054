"""A proxy before a real registry that breaks what passes: cut short, changed, refused for a while, held up."""

from __future__ import annotations

import http.client
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from tests.testbed.serving import serving


class Answer(NamedTuple):
    """What goes back to the client. ``cut``: the connection is broken after so many bytes of the body, and ``hold``
    seconds, or as soon as the client has gone."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    cut: int | None = None
    hold: float = 0


class Asked(NamedTuple):
    """A request that came: its method, path, and the Range and Authorization headers ("" without)."""

    method: str
    path: str
    range: str
    authorization: str


Change = Callable[[Asked, Answer], Answer]
"""From a request and the registry's true answer to the one that is sent."""


class LyingProxy(ThreadingHTTPServer):
    """Passes requests to a registry and answers through `change`. ``asked`` has every request, in order."""

    daemon_threads = True

    def __init__(self, registry: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.registry = registry
        self.change: Change = lambda _asked, answer: answer
        self.asked: list[Asked] = []
        self.lock = threading.Lock()

    @property
    def domain(self) -> str:
        """Where clients find it."""
        return f"127.0.0.1:{self.server_address[1]}"

    def blobs(self, method: str = "GET") -> list[Asked]:
        """Return the requests for blobs."""
        return [one for one in self.asked if one.method == method and "/blobs/sha256:" in one.path]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients are killed here."""


class _Handler(BaseHTTPRequestHandler):
    server: LyingProxy
    protocol_version = "HTTP/1.1"

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = Asked(self.command, self.path, self.headers.get("Range", ""), self.headers.get("Authorization", ""))
        with self.server.lock:
            self.server.asked.append(asked)
        connection = http.client.HTTPConnection(self.server.registry, timeout=30)
        headers = {key: value for key, value in self.headers.items() if key.lower() != "connection"}
        connection.request(self.command, self.path, body or None, headers)
        response = connection.getresponse()
        true = Answer(response.status, response.getheaders(), response.read())
        connection.close()
        self._answer(self.server.change(asked, true))

    def _answer(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for key, value in answer.headers:
            if key.lower() not in {"connection", "transfer-encoding", "content-length"}:
                self.send_header(key, value)
        promised = dict(answer.headers).get("Content-Length", "0")
        self.send_header("Content-Length", promised if self.command == "HEAD" else str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body if answer.cut is None else answer.body[: answer.cut])
        if answer.cut is not None:
            self.close_connection = True
            select.select([self.connection], [], [], answer.hold)  # it is readable when the client has gone

    def do_GET(self) -> None:
        self._pass()

    def do_HEAD(self) -> None:
        self._pass()

    def do_POST(self) -> None:
        self._pass()

    def do_PUT(self) -> None:
        self._pass()

    def do_DELETE(self) -> None:
        self._pass()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        """Say nothing."""


@contextmanager
def lying(registry: str) -> Iterator[LyingProxy]:
    """Run a proxy before the registry of that domain."""
    with serving(LyingProxy(registry)) as server:
        yield server
