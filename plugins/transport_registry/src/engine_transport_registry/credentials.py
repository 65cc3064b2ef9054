"""Credentials for registries, from Docker's config.json and its credential helpers (docker-login(1)).

Read when a registry asks for them. What is in them is in no error.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import subprocess
from collections.abc import Mapping

from engine.errors import EngineError, ImageError, InvalidInput
from engine.spec.document import Fields, read_object
from engine.tuples import NamedTuple

_DOCKER_KEY = "https://index.docker.io/v1/"
"""What Docker calls its own registry there."""
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_HELPER_WITHIN = 60
_BY_TOKEN = "<token>"


class Credentials(NamedTuple):
    """A name and its password; or in their place a token that stands for the user (``identity_token``)."""

    user: str
    password: str
    identity_token: str = ""

    def basic(self) -> str:
        """Return the value of an Authorization header."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def find(domain: str, auth_file: str = "") -> Credentials | None:
    """Return the credentials for a registry, None when there are none.

    ``auth_file`` is a config.json; "" is ``$DOCKER_CONFIG/config.json``, or that below ``~/.docker``. Raises
    `InvalidInput` for a file that is broken, `EngineError` when a helper fails.
    """
    path = auth_file or os.path.join(os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker"), "config.json")
    config = _read(path)
    key = _DOCKER_KEY if domain == "docker.io" else domain
    helper = config.mapping("credHelpers").get(key) or config.mapping("credHelpers").get(domain)
    helper = helper or config.text("credsStore", "")
    found = _ask(helper, key) if helper else None
    return found or _written(config.fields("auths"), domain, path)


def _read(path: str) -> Fields:
    try:
        with open(path, "rb") as file:
            return read_object(file.read(), path)
    except (FileNotFoundError, NotADirectoryError):
        return Fields({}, path)
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}", fix="Make it a file that you may read.") from None
    except ImageError as error:
        raise InvalidInput(error.what, fix="Mend it, or log in again with `docker login`.") from None


def _written(auths: Fields, domain: str, path: str) -> Credentials | None:
    for key in auths.data:
        if _domain_of(key) == domain:
            return _decoded(auths.fields(key), path, domain)
    return None


def _domain_of(key: str) -> str:
    """Return the domain of a key: tools write it with a scheme and a path, too."""
    host = key.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return "docker.io" if host in {"index.docker.io", "registry-1.docker.io"} else host


def _decoded(entry: Fields, path: str, domain: str) -> Credentials | None:
    token = entry.text("identitytoken", "")
    packed = entry.text("auth", "")
    if not packed:
        user, password = entry.text("username", ""), entry.text("password", "")
        return Credentials(user, password, token) if user or token else None
    try:
        user, colon, password = base64.b64decode(packed, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        colon = user = password = ""
    if not colon:
        raise InvalidInput(
            f"{path} has credentials for {domain} that cannot be read", fix="Log in again with `docker login`."
        ) from None
    return Credentials(user, password.rstrip("\0"), token)


def _ask(helper: str, key: str) -> Credentials | None:
    """Ask a helper, a program of Docker's ecosystem that keeps credentials (docker-credential-helpers)."""
    program = f"docker-credential-{helper}"
    if not _HELPER.fullmatch(helper):
        raise InvalidInput(f"{helper!r} is no credential helper's name", fix="Correct credsStore or credHelpers.")
    try:
        done = subprocess.run(
            [program, "get"], input=key.encode(), capture_output=True, timeout=_HELPER_WITHIN, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = getattr(error, "strerror", None) or "it did not answer"
        raise EngineError(
            f"cannot ask {program} for credentials: {reason}", fix="Install it, or take it out of Docker's config.json."
        ) from None
    if done.returncode:
        if b"credentials not found" in done.stdout + done.stderr:
            return None
        raise EngineError(f"{program} failed with status {done.returncode}", fix=f"Try it: echo {key} | {program} get")
    return _helped(done.stdout, program)


def _helped(output: bytes, program: str) -> Credentials:
    try:
        answer: Mapping[str, str] = json.loads(output)
        user, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError):
        raise EngineError(f"{program} answered with something else than credentials", fix="Update it.") from None
    return Credentials("", "", secret) if user == _BY_TOKEN else Credentials(user, secret)
