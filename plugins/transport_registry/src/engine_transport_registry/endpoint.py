"""Where the registry of a domain listens, and how far it is trusted: Docker's rules (dockerd(8), "insecure-registry").

TLS with a verified certificate, but for the machine's own registries (127.0.0.0/8, ::1, localhost) and those that the
options name: there any certificate will do, and plain HTTP where nothing answers with TLS. A directory of certificates
for a domain, or ``tls-verify=true``, takes a loopback's privilege away.
"""

from __future__ import annotations

import ipaddress
import os

from engine.tuples import NamedTuple
from engine_transport_registry.options import Options

_DOCKER = "docker.io"
_DOCKER_HOST = "registry-1.docker.io"


class Endpoint(NamedTuple):
    """A scheme ("https", "http") and a host, with its port if it has one; ``verified``: its certificate must hold."""

    scheme: str
    host: str
    verified: bool

    @property
    def origin(self) -> str:
        """The beginning of each address there."""
        return f"{self.scheme}://{self.host}"


def endpoints(domain: str, options: Options) -> tuple[Endpoint, ...]:
    """Return where to look for the registry of a domain, in order: the first that answers is it."""
    host = _DOCKER_HOST if domain == _DOCKER else domain
    if not _is_insecure(domain, options):
        return (Endpoint("https", host, True),)
    return (Endpoint("https", host, False), Endpoint("http", host, False))


def hostname(host: str) -> str:
    """Return a host without its port and without the brackets of an IPv6 address."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine by its very name: nothing is looked up."""
    name = hostname(host)
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def certificates(domain: str, options: Options) -> str:
    """Return the directory of a domain's certificates, whether it exists or not."""
    return os.path.join(options.certificates, domain)


def _is_insecure(domain: str, options: Options) -> bool:
    if options.tls_verify is not None:
        return not options.tls_verify
    if domain in options.insecure:
        return True
    return is_loopback(domain) and not os.path.isdir(certificates(domain, options))
