"""``--add-host`` and ``--dns``: a container's /etc/hosts (hosts(5)) and /etc/resolv.conf (resolv.conf(5)). Pure."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Sequence

from engine.errors import Unsupported
from engine.spec.refusal import refusal

_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9_])?\.?")
_HOST_EXAMPLE = "db.example:192.0.2.7"
NO_SEARCH = "."
"""Docker's word for a resolver that completes no names (``--dns-search .``)."""


def parse_host(text: str) -> str:
    """Return ``--add-host NAME:ADDRESS`` (or NAME=ADDRESS, or an IPv6 address in brackets) as "NAME:ADDRESS"."""
    flag = "--add-host"
    found = re.fullmatch(r"([^:=]+)[:=](.+)", text)
    if not found or not _NAME.fullmatch(found[1]):
        raise refusal(flag, text, "is not of the form NAME:ADDRESS", _HOST_EXAMPLE)
    if found[2] == "host-gateway":
        raise Unsupported(
            f"{flag} {text!r}: there is no bridge network, whose gateway to the host that would be",
            fix="Name the host's address, or use --network host and localhost.",
        )
    address = found[2].removeprefix("[").removesuffix("]")
    if not _is_address(address):
        raise refusal(flag, text, "does not end in an IPv4 or IPv6 address", _HOST_EXAMPLE)
    return f"{found[1]}:{address}"


def parse_server(text: str) -> str:
    """Return ``--dns ADDRESS``."""
    if not _is_address(text):
        raise refusal("--dns", text, "is not an IPv4 or IPv6 address", "192.0.2.53")
    return text


def parse_search(text: str) -> str:
    """Return ``--dns-search DOMAIN``; `NO_SEARCH` is a domain, too."""
    if text != NO_SEARCH and not _NAME.fullmatch(text):
        raise refusal("--dns-search", text, "is not a domain", "example.org")
    return text


def parse_option(text: str) -> str:
    """Return ``--dns-option OPTION``: any one word, since resolv.conf(5) has new ones now and then."""
    if not re.fullmatch(r"[!-~]+", text) or text.startswith(("#", ";")):
        raise refusal("--dns-option", text, "is not one word", "ndots:2")
    return text


def host_lines(hosts: Iterable[str]) -> bytes:
    """Return the lines of /etc/hosts for what `parse_host` returned."""
    parts = (host.partition(":") for host in hosts)
    return "".join(f"{address}\t{name}\n" for name, _, address in parts).encode()


def resolvers(base: bytes, servers: Sequence[str], search: Sequence[str], options: Sequence[str]) -> bytes:
    """Return /etc/resolv.conf: the lines of ``base``, with what is named instead of what they say of that kind."""
    domains = [domain for domain in search if domain != NO_SEARCH]
    lines = [
        *(f"nameserver {address}" for address in servers),
        *([f"search {' '.join(domains)}"] if domains else []),
        *([f"options {' '.join(options)}"] if options else []),
    ]
    replaced = {
        *([b"nameserver"] if servers else []),
        *([b"search", b"domain"] if search else []),
        *([b"options"] if options else []),
    }
    kept = (line for line in base.splitlines(keepends=True) if not replaced.intersection(line.split()[:1]))
    return b"".join(kept) + "".join(f"{line}\n" for line in lines).encode()


def _is_address(text: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, text)
        except (OSError, ValueError):
            continue
        return True
    return False
