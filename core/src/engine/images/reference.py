"""Names of images, with Docker's grammar and habits (as its "distribution" project defines references).

    [DOMAIN[:PORT]/]PATH[:TAG][@DIGEST]

A name without a domain is on ``docker.io``, one without a slash there is in ``library``, and a name without tag and
digest means ``latest``. The metadata holds the *canonical* form (``docker.io/library/busybox:latest``); people see
the *familiar* one (``busybox:latest``). ``host:`` is no image name: it stands for the machine's own root filesystem.
"""

from __future__ import annotations

import re

from engine.errors import InvalidInput
from engine.spec.document import is_digest
from engine.tuples import NamedTuple

HOST = "host:"
"""The reserved name of the machine's own root filesystem; see `engine.images.host`."""
MAX_NAME = 255
"""Characters of a repository's full name; a tag of at most `MAX_TAG` comes on top."""
MAX_TAG = 128

_DEFAULT_DOMAIN = "docker.io"
_OLD_DOMAIN = "index.docker.io"
_OFFICIAL = "library/"
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_PATH = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_ID = r"(?:sha256:)?([0-9a-f]{4,64})"
_GRAMMAR = "A name is [REGISTRY/]PATH[:TAG][@sha256:DIGEST], the path in lower case, as in debian:12 or ghcr.io/me/app."


class Reference(NamedTuple):
    """A parsed name. ``domain`` and ``path`` are always full; ``tag`` or ``digest`` may be "", not both."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def repository(self) -> str:
        """The full name without tag and digest: ``docker.io/library/busybox``."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_repository(self) -> str:
        """The repository as people write it: ``busybox``, ``me/app``, ``ghcr.io/me/app``."""
        if self.domain != _DEFAULT_DOMAIN:
            return self.repository
        short = self.path.removeprefix(_OFFICIAL)
        return self.path if "/" in short else short

    @property
    def canonical(self) -> str:
        """The form that is stored and compared."""
        return self.repository + self._suffix()

    @property
    def familiar(self) -> str:
        """The form that is shown."""
        return self.familiar_repository + self._suffix()

    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def parse(text: str) -> Reference:
    """Return the reference that ``text`` names, with what was left out filled in; `InvalidInput` says what is wrong."""
    if text == HOST:
        raise InvalidInput(f"{HOST!r} is the machine's own root filesystem, not an image that has a name", fix=_GRAMMAR)
    name, at, digest = text.partition("@")
    if len(name) > MAX_NAME + MAX_TAG:
        raise _invalid(text, f"it is longer than {MAX_NAME} characters")
    if at and not is_digest(digest):
        raise _invalid(text, f"{digest!r} is not a digest of the form sha256:<64 hexadecimal digits>")
    name, tag = _split_tag(name)
    if tag is not None and not re.fullmatch(_TAG, tag):
        raise _invalid(text, f"{tag!r} cannot be a tag")
    domain, path = _split_domain(name)
    _check_name(text, domain, path)
    if tag is None:
        tag = "" if digest else "latest"
    return Reference(domain, path, tag, digest)


def parse_canonical(text: str) -> Reference:
    """Return the reference that `Reference.canonical` wrote. Nothing is checked: the metadata holds what was parsed."""
    name, _, digest = text.partition("@")
    name, tag = _split_tag(name)
    domain, _, path = name.partition("/")
    return Reference(domain, path, tag or "", digest)


def id_prefix(text: str) -> str | None:
    """Return the hexadecimal digits when the text can be an image's ID or the beginning of one, else None.

    Four digits at least, as fewer are more likely a name. Whoever resolves tries names first only for what is not a
    full ID: ``beef`` is a fine name for an image.
    """
    match = re.fullmatch(_ID, text)
    return match[1] if match else None


def is_full_id(text: str) -> bool:
    """Return whether the text is a whole image ID, with or without ``sha256:``."""
    digits = id_prefix(text)
    return digits is not None and len(digits) == 64


def _split_tag(name: str) -> tuple[str, str | None]:
    repository, colon, tag = name.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (name, None)


def _split_domain(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if not slash or not (set(first) & set(".:[") or first == "localhost" or first != first.lower()):
        first, rest = _DEFAULT_DOMAIN, name
    if first == _OLD_DOMAIN:
        first = _DEFAULT_DOMAIN
    if first == _DEFAULT_DOMAIN and rest and "/" not in rest:
        rest = _OFFICIAL + rest
    return first, rest


def _check_name(text: str, domain: str, path: str) -> None:
    if not re.fullmatch(_DOMAIN, domain):
        raise _invalid(text, f"{domain!r} cannot be a registry")
    if not path:
        raise _invalid(text, "it has no path")
    if re.fullmatch(r"library/[0-9a-f]{64}", path):
        raise _invalid(text, "64 hexadecimal digits are an image's ID")
    if not re.fullmatch(_PATH, path):
        upper = ": a path is in lower case" if path != path.lower() else ""
        raise _invalid(text, f"{path.removeprefix(_OFFICIAL)!r} cannot be the path of an image{upper}")
    if len(domain) + 1 + len(path) > MAX_NAME:
        raise _invalid(text, f"it is longer than {MAX_NAME} characters")


def _invalid(text: str, reason: str) -> InvalidInput:
    shown = text if len(text) <= 100 else text[:97] + "..."
    return InvalidInput(f"{shown!r} is not the name of an image: {reason}", fix=_GRAMMAR)
