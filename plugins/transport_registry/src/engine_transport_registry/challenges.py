"""What a registry asks for with WWW-Authenticate (RFC 7235; distribution, "Token Authentication Specification")."""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.tuples import NamedTuple

_SCHEME = re.compile(r"\s*([A-Za-z]+)(?:\s+|$)")
_PARAMETER = re.compile(r'\s*,?\s*([A-Za-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


class Challenge(NamedTuple):
    """Basic, or Bearer: a token for ``service`` is to be had at the address ``realm``."""

    scheme: str
    realm: str = ""
    service: str = ""


def read_challenge(headers: Sequence[str]) -> Challenge | None:
    """Return the challenge to be met, a bearer token rather than a password; None where neither is asked for."""
    found = [one for header in headers for one in _challenges(header)]
    bearer = next((one for one in found if one.scheme == "bearer" and one.realm), None)
    return bearer or next((one for one in found if one.scheme == "basic"), None)


def _challenges(header: str) -> list[Challenge]:
    found: list[Challenge] = []
    position = 0
    while match := _SCHEME.match(header, position):
        position = match.end()
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(header, position):
            quoted = parameter[2]
            value = parameter[3] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            parameters.setdefault(parameter[1].lower(), value)
            position = parameter.end()
        found.append(Challenge(match[1].lower(), parameters.get("realm", ""), parameters.get("service", "")))
        while header[position : position + 1] in {",", " "}:
            position += 1
    return found
