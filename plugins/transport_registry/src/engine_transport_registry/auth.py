"""Who we are, to a registry: Basic, or a bearer token for what is to be done, got once and kept while it is valid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from time import monotonic
from urllib.parse import urlencode, urlsplit

from engine.errors import EngineError, ImageError
from engine.spec.document import Fields, read_object
from engine.tuples import NamedTuple
from engine_transport_registry.challenges import Challenge, read_challenge
from engine_transport_registry.connections import Body, Connections, Response
from engine_transport_registry.credentials import Credentials
from engine_transport_registry.endpoint import Endpoint
from engine_transport_registry.trouble import Passing

Scope = tuple[str, ...]
"""What is to be done: ("repository:library/busybox:pull",)."""
_MARGIN, _SHORTEST = 5.0, 60
"""Seconds: a token that is valid for less than the first is renewed; the second is what the specification supposes."""
_LARGEST = 1024 * 1024
_CLIENT = "engine"
_LOG_IN = "Log in: `docker login {}` writes ~/.docker/config.json, which is read here too."


class _Token(NamedTuple):
    value: str
    until: float


class Authorizer:
    """Credentials of one registry, and the tokens that they bought. Several threads may use it."""

    def __init__(
        self, domain: str, endpoint: Endpoint, find: Callable[[], Credentials | None], connections: Connections
    ) -> None:
        self._domain = domain
        self._endpoint = endpoint
        self._find = find
        self._connections = connections
        self._challenge: Challenge | None = None
        self._tokens: dict[Scope, _Token] = {}
        self._lock = Lock()
        self._asked = False
        self._known: Credentials | None = None

    @property
    def advice(self) -> str:
        """What to do about a refusal."""
        if self._asked and self._known is not None:
            return f"Check the credentials for {self._domain}, and what they are good for."
        return _LOG_IN.format(self._domain)

    def challenged(self, headers: Sequence[str], scope: Scope) -> bool:
        """Take note of a 401's WWW-Authenticate; return whether there is something to answer it with.

        A token for the scope that was refused is forgotten.
        """
        with self._lock:
            self._challenge = read_challenge(headers) or self._challenge
            self._tokens.pop(scope, None)
            if self._challenge is None:
                return False
            return self._challenge.scheme == "bearer" or self._credentials() is not None

    def header(self, scope: Scope) -> str | None:
        """Return the Authorization header for what is to be done; None where nothing was asked for yet.

        Raises `EngineError` when the credentials are wrong, `Passing` when there is no token to be had now.
        """
        with self._lock:
            if self._challenge is None:
                return None
            if self._challenge.scheme == "basic":
                known = self._credentials()
                return known.basic() if known else None
            token = self._tokens.get(scope)
            if token is None or token.until < monotonic():
                token = self._tokens[scope] = self._buy(self._challenge, scope)
            return f"Bearer {token.value}"

    def _credentials(self) -> Credentials | None:
        if not self._asked:
            self._known = self._find()
            self._asked = True
        return self._known

    def _buy(self, challenge: Challenge, scope: Scope) -> _Token:
        if urlsplit(challenge.realm).scheme != "https" and self._endpoint.scheme == "https":
            raise EngineError(
                f"{self._domain} sends for a token without TLS, where a password would be read by others",
                fix="Ask whoever runs the registry.",
            )
        asked = monotonic()
        with self._ask(challenge, scope, self._credentials()) as response:
            if response.status == 429 or response.status >= 500:
                raise Passing(f"has nobody who gives tokens ({response.status})")
            if response.status != 200:
                raise EngineError(
                    f"{self._domain} does not accept {'these' if self._known else 'no'} credentials", fix=self.advice
                )
            return self._read(response, asked)

    def _ask(self, challenge: Challenge, scope: Scope, known: Credentials | None) -> Response:
        """Ask for a token: with an identity token by OAuth 2 (a form), else by GET, with a password if there is one."""
        fields = [("service", challenge.service)] if challenge.service else []
        if known is not None and known.identity_token:
            fields += [("grant_type", "refresh_token"), ("refresh_token", known.identity_token)]
            form = urlencode([*fields, ("client_id", _CLIENT), ("scope", " ".join(scope))]).encode()
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            return self._connections.send("POST", challenge.realm, headers, Body(len(form), lambda: iter([form])))
        query = urlencode([*fields, *(("scope", one) for one in scope)])
        url = f"{challenge.realm}{'&' if '?' in challenge.realm else '?'}{query}"
        return self._connections.send("GET", url, {"Authorization": known.basic()} if known else {})

    def _read(self, response: Response, asked: float) -> _Token:
        try:
            answer: Fields = read_object(response.content(_LARGEST, "the answer"), "the answer")
            value = answer.text("token", "") or answer.text("access_token")
            seconds = max(answer.data.get("expires_in") or _SHORTEST, _SHORTEST)
        except (ImageError, TypeError):
            value, seconds = "", 0
        if not value or not value.isascii() or not value.isprintable():
            raise EngineError(f"{self._domain} gives no usable token", fix="Ask whoever runs the registry.")
        return _Token(value, asked + seconds - _MARGIN)
