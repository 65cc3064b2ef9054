"""One registry, over HTTP: where it is, who we are to it, what is tried again, and which redirects are followed."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from threading import Event, Lock
from urllib.parse import quote, urljoin, urlsplit

from engine.errors import EngineError
from engine_transport_registry import tls
from engine_transport_registry.auth import Authorizer, Scope
from engine_transport_registry.connections import Body, Connections, Response
from engine_transport_registry.credentials import find
from engine_transport_registry.endpoint import certificates, endpoints
from engine_transport_registry.options import Options
from engine_transport_registry.problems import problem
from engine_transport_registry.trouble import Passing, Patience

_MOST_HOPS = 6
_REDIRECTS = {301, 302, 303, 307, 308}
_HEADERS: Mapping[str, str] = {}  # never changed


class Client:
    """A registry by its domain, for one pull or push. `open` it first; its methods may be called by several threads."""

    def __init__(self, domain: str, options: Options) -> None:
        stop = Event()
        self.domain = domain
        self._options = options
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._lock = Lock()
        self._connections = Connections(self._context, options.timeout, stop)
        self.patience = Patience(options.retries, stop)
        self._endpoint = endpoints(domain, options)[0]
        self._auth = self._authorizer()

    def open(self) -> None:
        """Find out where the registry is, and what it asks for.

        Raises `Passing` when it is nowhere, `EngineError` when what is there is none.
        """
        candidates = endpoints(self.domain, self._options)
        for number, candidate in enumerate(candidates):
            self._endpoint, self._auth = candidate, self._authorizer()
            try:
                self.patience.persist(self._greet)
            except Passing as trouble:
                if not trouble.final or number + 1 == len(candidates):
                    raise
            else:
                return

    def close(self) -> None:
        """Close every connection that is not in use."""
        self._connections.close()

    def stop(self) -> None:
        """End everything that other threads are doing here."""
        self._connections.stop()

    def url(self, *parts: str) -> str:
        """Return the address below ``/v2/`` of these parts, the last with its query if it has one."""
        return f"{self._endpoint.origin}/v2/{'/'.join(quote(part, safe='/:?&=%') for part in parts)}"

    def request(
        self, method: str, url: str, scope: Scope, headers: Mapping[str, str] = _HEADERS, body: Body | None = None
    ) -> Response:
        """Send a request as often as it takes; return the answer, which is the caller's to judge and to close.

        Raises `Passing` when it took too often, `EngineError` when the credentials are wrong.
        """
        return self.patience.persist(lambda: self.once(method, url, scope, headers, body))

    def once(
        self, method: str, url: str, scope: Scope, headers: Mapping[str, str] = _HEADERS, body: Body | None = None
    ) -> Response:
        """Send a request, meet a challenge, follow redirects. Raises `Passing` also for 429 and 5xx."""
        refused = False
        for _ in range(_MOST_HOPS):
            response = self._connections.send(method, url, self._authorized(url, scope, headers), body)
            if response.status == 401 and not refused and self._is_own(url):
                refused = True
                if not self._auth.challenged(response.headers.get_all("WWW-Authenticate") or [], scope):
                    return response
            elif response.status in _REDIRECTS and method in {"GET", "HEAD"}:
                url = self._redirected(url, response)
            elif response.status == 429 or response.status >= 500:
                wait = _seconds(response.headers.get("Retry-After", ""))
                response.close()
                raise Passing(_busy(response.status), wait=wait)
            else:
                return response
            response.close()
        raise EngineError(f"{self.domain} redirects in a circle", fix="Ask whoever runs the registry.")

    def problem(self, response: Response, what: str) -> EngineError:
        """Return the error for an answer that was not expected."""
        return problem(response, self.domain, what, self._auth.advice)

    def _authorizer(self) -> Authorizer:
        domain, options = self.domain, self._options
        return Authorizer(domain, self._endpoint, lambda: find(domain, options.auth_file), self._connections)

    def _greet(self) -> None:
        with self._connections.send("GET", self.url(""), {}) as response:
            if response.status == 429 or response.status >= 500:
                raise Passing(_busy(response.status), wait=_seconds(response.headers.get("Retry-After", "")))
            if response.status == 401:
                self._auth.challenged(response.headers.get_all("WWW-Authenticate") or [], ())
            elif response.status == 404:
                raise EngineError(
                    f"what answers at {self._endpoint.host} is no registry",
                    fix="Check the name before the first slash.",
                )

    def _authorized(self, url: str, scope: Scope, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Add who we are, for the registry itself alone: where it redirects to has no business with that."""
        authorization = self._auth.header(scope) if self._is_own(url) else None
        return {**headers, "Authorization": authorization} if authorization else headers

    def _is_own(self, url: str) -> bool:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc}" == self._endpoint.origin

    def _redirected(self, url: str, response: Response) -> str:
        target = urljoin(url, response.headers.get("Location", ""))
        if urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https":
            raise EngineError(
                f"{self.domain} redirects to an address without TLS", fix="Ask whoever runs the registry."
            )
        return target

    def _context(self, host: str) -> ssl.SSLContext:
        """Return the TLS context for a host: other hosts than the registry's own are verified in any case."""
        with self._lock:
            if host not in self._contexts:
                own = host == self._endpoint.host
                directory = certificates(self.domain if own else host, self._options)
                self._contexts[host] = tls.context(directory, verified=self._endpoint.verified or not own)
            return self._contexts[host]


def _busy(status: int) -> str:
    return "limits how much may be asked for" if status == 429 else f"answers {status}"


def _seconds(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdigit() else None
