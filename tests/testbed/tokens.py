"""A server that gives tokens for a registry to those who know the password (distribution, "Token Authentication")."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.testbed.registry import PASSWORD, USER, certificate
from tests.testbed.serving import serving

SERVICE, ISSUER = "registry.test", "tokens.test"


class TokenServer(ThreadingHTTPServer):
    """Gives pull to everybody, and what else was asked for to those who know the password. ``asked``: each scope."""

    daemon_threads = True

    def __init__(self, key: Path, chain: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.key = key
        self.chain = chain
        self.asked: list[str] = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, key)
        self.socket = context.wrap_socket(self.socket, server_side=True)

    def section(self) -> dict[str, Any]:
        """Return the section of a registry's configuration that sends its clients here."""
        realm = f"https://127.0.0.1:{self.server_address[1]}/token"
        return {"token": {"realm": realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": str(self.chain)}}

    def token(self, access: list[dict[str, Any]]) -> str:
        """Return a JSON Web Token for these accesses, signed (RFC 7515)."""
        pem = self.chain.read_text()
        der = "".join(pem.splitlines()[1:-1])
        now = int(time.time())
        header = {"typ": "JWT", "alg": "RS256", "x5c": [der]}
        claims = {"iss": ISSUER, "aud": SERVICE, "sub": "", "nbf": now - 10, "iat": now, "exp": now + 60,
                  "jti": str(now), "access": access}  # fmt: skip
        signed = ".".join(_packed(json.dumps(part).encode()) for part in (header, claims))
        signature = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", self.key], input=signed.encode(), capture_output=True, check=True
        ).stdout
        return f"{signed}.{_packed(signature)}"


class _Handler(BaseHTTPRequestHandler):
    server: TokenServer

    def do_GET(self) -> None:
        scopes = parse_qs(urlsplit(self.path).query).get("scope", [])
        self.server.asked += scopes
        given = self.headers.get("Authorization")
        right = f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"
        if given not in {None, right}:
            self._answer(401, {"errors": [{"code": "UNAUTHORIZED", "message": "wrong"}]})
            return
        access = []
        for scope in scopes:
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            granted = [one for one in actions.split(",") if given == right or one == "pull"]
            access.append({"type": kind, "name": name, "actions": granted})
        self._answer(200, {"token": self.server.token(access), "expires_in": 60})

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        """Say nothing."""


@contextmanager
def give_tokens(directory: Path) -> Iterator[TokenServer]:
    """Run a token server with a certificate of its own in a directory."""
    chain = certificate(directory, "tokens")
    with serving(TokenServer(chain.with_suffix(".key"), chain)) as server:
        yield server


def _packed(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
