"""HTTP/1.1 connections that are kept and used again, over TLS and proxies. No policy: one request, one response.

The standard library's `http.client` does it. Any number of threads may send at a time; `Connections.stop` makes every
one of them fail at once.
"""

from __future__ import annotations

import socket
import ssl
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPResponse, HTTPSConnection
from threading import Event, Lock
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from engine.errors import EngineError, ImageError
from engine.tuples import NamedTuple
from engine_transport_registry.endpoint import is_loopback
from engine_transport_registry.trouble import Passing, Stopped

_CONNECT_WITHIN = 15
"""Seconds. Who does not answer a SYN in this time is not there."""
_DRAINED = 65536
"""Bytes. Of a longer rest that nobody wants it is quicker to connect anew than to read it."""
_BLOCK = 1024 * 1024
_USER_AGENT = "engine-transport-registry"


class Body(NamedTuple):
    """What a request carries: its size in bytes, and what makes it, anew for each attempt."""

    size: int
    chunks: Callable[[], Iterator[bytes]]


class Response:
    """An answer whose body is being read. A context manager: at its end the connection is kept, if it can be."""

    def __init__(self, raw: HTTPResponse, release: Callable[[bool], None]) -> None:
        self._raw = raw
        self._release = release
        self.status = raw.status
        self.headers: HTTPMessage = raw.headers

    def __enter__(self) -> Response:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def read(self, size: int) -> bytes:
        """Return at most so many bytes, none at the end. Raises `Passing` when the body breaks off before its end."""
        try:
            data = self._raw.read(size)
        except (OSError, HTTPException) as error:
            raise Passing(f"broke off in the middle ({_reason(error)})") from error
        if not data and self._raw.length:
            raise Passing(f"broke off {self._raw.length} bytes before the end")
        return data

    def content(self, limit: int, what: str) -> bytes:
        """Return the whole body. Raises `ImageError` when it has more bytes than ``limit``, `Passing` as `read`."""
        data = self.read(limit + 1)
        while len(data) <= limit and (more := self.read(limit + 1 - len(data))):
            data += more
        if len(data) > limit:
            raise ImageError(f"{what} is larger than {limit} bytes", fix="Ask whoever runs the registry.")
        return data

    def close(self) -> None:
        """Let go of the connection."""
        rest = self._raw.length
        kept = not self._raw.will_close and rest is not None and rest <= _DRAINED
        if kept and rest:
            try:
                kept = len(self._raw.read(rest)) == rest
            except (OSError, HTTPException):
                kept = False
        self._raw.close()
        release, self._release = self._release, _released
        release(kept)


def _released(_kept: bool) -> None:
    """Do nothing: the connection is another's by now."""


class Connections:
    """Connections by origin. ``context`` makes the TLS context for a host; ``timeout``: seconds of silence."""

    def __init__(self, context: Callable[[str], ssl.SSLContext], timeout: int, stop: Event) -> None:
        self._context = context
        self._timeout = timeout
        self._stop = stop
        self._lock = Lock()
        self._idle: dict[str, list[HTTPConnection]] = {}
        self._busy: set[HTTPConnection] = set()
        self._answered = False

    def send(self, method: str, url: str, headers: Mapping[str, str], body: Body | None = None) -> Response:
        """Send a request and return the answer, whatever its status.

        Raises `Passing` when there is none, `Stopped`, and `EngineError` for a certificate that does not hold.
        """
        parts = _split(url)
        kept = self._kept(_origin(parts))
        if kept is not None:
            try:
                return self._exchange(kept, parts, method, headers, body)
            except Passing:
                if body is not None:
                    raise
        return self._exchange(self._connect(parts), parts, method, headers, body)

    def stop(self) -> None:
        """End every exchange that is going on, and refuse new ones."""
        self._stop.set()
        with self._lock:
            for connection in self._busy:
                _shut(connection)

    def close(self) -> None:
        """Close what is idle."""
        with self._lock:
            for connection in (one for kept in self._idle.values() for one in kept):
                connection.close()
            self._idle.clear()

    def _kept(self, origin: str) -> HTTPConnection | None:
        with self._lock:
            idle = self._idle.get(origin)
            if not idle:
                return None
            connection = idle.pop()
            self._busy.add(connection)
            return connection

    def _release(self, origin: str, connection: HTTPConnection, *, kept: bool) -> None:
        with self._lock:
            self._busy.discard(connection)
            if kept and not self._stop.is_set():
                self._idle.setdefault(origin, []).append(connection)
                return
        connection.close()

    def _connect(self, parts: SplitResult) -> HTTPConnection:
        connection = self._connection(parts)
        with self._lock:
            if self._stop.is_set():
                raise Stopped
            self._busy.add(connection)
        try:
            connection.connect()
        except (OSError, HTTPException) as error:
            self._release("", connection, kept=False)
            raise self._unconnected(error, parts) from error
        connection.sock.settimeout(self._timeout)
        return connection

    def _connection(self, parts: SplitResult) -> HTTPConnection:
        proxy = _proxy(parts)
        netloc = proxy.netloc.rpartition("@")[2] if proxy else parts.netloc
        within = min(_CONNECT_WITHIN, self._timeout)
        if parts.scheme == "http":
            return HTTPConnection(netloc, timeout=within, blocksize=_BLOCK)
        made = HTTPSConnection(netloc, timeout=within, context=self._context(parts.netloc), blocksize=_BLOCK)
        if proxy:
            made.set_tunnel(parts.netloc, headers=_proxy_authorization(proxy))
        return made

    def _unconnected(self, error: Exception, parts: SplitResult) -> Exception:
        """Return what to raise: what is not there, or is not trusted, is not worth another attempt."""
        if isinstance(error, ssl.SSLCertVerificationError):
            return EngineError(
                f"the certificate of {parts.netloc} is not trusted: {error.verify_message}",
                fix=f"Put its authority's .crt into /etc/docker/certs.d/{parts.netloc}/, or give --tls-verify=false.",
            )
        if isinstance(error, ssl.SSLError):
            return Passing("does not speak TLS", final=True, fix="Give --tls-verify=false to use plain HTTP there.")
        absent = isinstance(error, ConnectionRefusedError | socket.gaierror)
        return Passing(f"cannot be reached: {_reason(error)}", final=absent and not self._answered)

    def _exchange(
        self, connection: HTTPConnection, parts: SplitResult, method: str, headers: Mapping[str, str], body: Body | None
    ) -> Response:
        try:
            _request(connection, parts, method, headers, body)
            raw = connection.getresponse()
        except (OSError, HTTPException) as error:
            self._release("", connection, kept=False)
            if self._stop.is_set():
                raise Stopped from error
            raise Passing(f"gave no answer ({_reason(error)})") from error
        except BaseException:
            self._release("", connection, kept=False)
            raise
        self._answered = True
        return Response(raw, lambda kept: self._release(_origin(parts), connection, kept=kept))


def _request(
    connection: HTTPConnection, parts: SplitResult, method: str, headers: Mapping[str, str], body: Body | None
) -> None:
    """Send a request. A registry that refuses a body may answer and close before it has read it: that is no error."""
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    sent = {"User-Agent": _USER_AGENT, **headers}
    proxy = _proxy(parts)
    if proxy and parts.scheme == "http":
        target = f"http://{parts.netloc}{target}"
        sent |= {"Host": parts.netloc, **_proxy_authorization(proxy)}
    if body is None:
        connection.request(method, target, headers=sent)
        return
    try:
        connection.request(method, target, body.chunks(), {**sent, "Content-Length": str(body.size)})
    except (BrokenPipeError, ConnectionResetError):
        return


def _split(url: str) -> SplitResult:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc or not _is_plain(url):
        raise EngineError("the registry names an address that is none", fix="Ask whoever runs the registry.")
    return parts


def _is_plain(url: str) -> bool:
    return url.isascii() and url.isprintable() and " " not in url


def _origin(parts: SplitResult) -> str:
    return f"{parts.scheme}://{parts.netloc}"


def _proxy(parts: SplitResult) -> SplitResult | None:
    """Return the proxy that the environment names for an address (``https_proxy``, ``no_proxy``), as curl reads it."""
    if is_loopback(parts.netloc) or proxy_bypass(parts.netloc):
        return None
    named = getproxies_environment().get(parts.scheme, "")
    return urlsplit(named if "://" in named else f"http://{named}") if named else None


def _proxy_authorization(proxy: SplitResult) -> dict[str, str]:
    if not proxy.username:
        return {}
    plain = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(plain.encode()).decode()}"}


def _shut(connection: HTTPConnection) -> None:
    """Wake whoever waits for the other side, in whatever thread."""
    with suppress(OSError, AttributeError):  # it is not connected yet, or not any more
        connection.sock.shutdown(socket.SHUT_RDWR)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it took too long"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[:1].lower() + error.strerror[1:]
    return type(error).__name__
