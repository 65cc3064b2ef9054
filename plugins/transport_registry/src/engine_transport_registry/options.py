"""The transport's options, as the settings and the command line give them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from engine.errors import InvalidInput
from engine.tuples import NamedTuple

_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_MOST_PARALLEL, _MOST_RETRIES, _LONGEST = 32, 20, 3600


class Options(NamedTuple):
    """What may be set.

    ``tls_verify``   True: always verify certificates; False: never, and plain HTTP where there is no TLS; None: as
                     Docker does, which trusts the machine's own registries (loopback) and no others
    ``insecure``     domains for which ``tls_verify`` counts as False
    ``certificates`` a directory with one directory a domain: ``*.crt`` authorities, ``*.cert`` and ``*.key`` our own
    ``auth_file``    Docker's config.json with credentials; "" for the usual place
    ``parallel``     blobs that are on their way at a time
    ``retries``      how often what failed is tried again
    ``timeout``      seconds that a registry may be silent
    """

    tls_verify: bool | None = None
    insecure: frozenset[str] = frozenset()
    certificates: str = "/etc/docker/certs.d"
    auth_file: str = ""
    parallel: int = 4
    retries: int = 5
    timeout: int = 60


def read_options(given: Mapping[str, str]) -> Options:
    """Return the options. Raises `InvalidInput` for a key that there is not, and for a value that cannot be."""
    fields: dict[str, Any] = {}
    for key, text in given.items():
        if key not in _READERS:
            raise InvalidInput(
                f"the transport registry has no option {key!r}", fix=f"Choose among {', '.join(_READERS)}."
            )
        fields[key.replace("-", "_")] = _READERS[key](key, text)
    return Options(**fields)


def _truth(key: str, text: str) -> bool:
    if text.lower() not in _TRUTH:
        raise InvalidInput(f"{key} {text!r} is neither true nor false", fix=f"Write {key}=true or {key}=false.")
    return _TRUTH[text.lower()]


def _domains(_key: str, text: str) -> frozenset[str]:
    return frozenset(filter(None, text.replace(",", " ").split()))


def _path(key: str, text: str) -> str:
    if not os.path.isabs(text):
        raise InvalidInput(f"{key} {text!r} is not an absolute path", fix="Write it from the root: /etc/…")
    return text


def _number(least: int, most: int) -> Callable[[str, str], int]:
    def read(key: str, text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise InvalidInput(f"{key} {text!r} is no number from {least} to {most}", fix="Correct it in the settings.")
        return int(text)

    return read


_READERS: Mapping[str, Callable[[str, str], Any]] = {
    "tls-verify": _truth,
    "insecure": _domains,
    "certificates": _path,
    "auth-file": _path,
    "parallel": _number(1, _MOST_PARALLEL),
    "retries": _number(0, _MOST_RETRIES),
    "timeout": _number(1, _LONGEST),
}
