"""TLS: whom to trust, and what to show of ourselves, from a directory of certificates as Docker has them.

``DIRECTORY/DOMAIN/*.crt`` are authorities, beside the system's; ``NAME.cert`` with ``NAME.key`` is a certificate of
our own (docker docs, "Verify repository client with certificates").
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator

from engine.errors import InvalidInput


def context(directory: str, *, verified: bool) -> ssl.SSLContext:
    """Return the context for a domain whose certificates are in ``directory`` (it may be absent).

    Raises `InvalidInput` for a file there that is no certificate, or has no key.
    """
    made = ssl.create_default_context()
    if not verified:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    for path in _files(directory):
        try:
            if path.endswith(".crt"):
                made.load_verify_locations(path)
            elif path.endswith(".cert"):
                made.load_cert_chain(path, f"{path.removesuffix('.cert')}.key")
        except (OSError, ssl.SSLError) as error:
            raise InvalidInput(
                f"{path} cannot be used as a certificate: {error.strerror or error}",
                fix="It should be in PEM, and a .cert needs its .key beside it.",
            ) from error
    return made


def _files(directory: str) -> Iterator[str]:
    try:
        names = sorted(os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        yield os.path.join(directory, name)
