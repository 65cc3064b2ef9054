"""The image that is pulled and pushed, and the transports that do it."""

from __future__ import annotations

import os

from core.tests.images.archives import TestImage, directory, member, tar
from engine.contracts.transport import TransportConfig
from engine.spec.descriptor import Platform
from engine_transport_archive.driver import ArchiveTransport
from engine_transport_registry.driver import RegistryTransport

AMD64 = Platform("linux", "amd64")
BASE = tar(directory(b"bin"), member(b"bin/true", b"#!" * 4000, mode=0o755))
NOISE = tar(member(b"noise", os.urandom(400_000)))
IMAGE = TestImage((BASE, NOISE, tar(member(b"one", b"1"))))


def transport(**options: str) -> RegistryTransport:
    named = {key.replace("_", "-"): value for key, value in options.items()}
    return RegistryTransport(TransportConfig({"retries": "2", "auth-file": "/dev/null/none", **named}))


def archive() -> ArchiveTransport:
    return ArchiveTransport(TransportConfig({}))
