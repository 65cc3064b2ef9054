"""The contract suite, over a real registry."""

from __future__ import annotations

import pytest

from engine.contracts.transport import RemoteName, Source, Transport
from engine.testing.transport import TransportContract
from plugins.transport_registry.tests.support import transport
from tests.testbed.registry import Registry


class TestRegistry(TransportContract):
    @pytest.fixture
    def transport(self) -> Transport:
        return transport()

    @pytest.fixture
    def source(self, registry: Registry, path: str) -> Source:
        return Source("an image", remote=RemoteName(registry.domain, path, "1"))

    @pytest.fixture
    def target(self, registry: Registry) -> RemoteName:
        return RemoteName(registry.domain, "contract/pushed", "1")
