from __future__ import annotations

import pytest

from engine.contracts.namespace import NamespaceConfig, NamespaceDriver
from engine.testing.namespace import NamespaceContract
from engine_namespace_linux.driver import LinuxNamespaces


class TestLinuxNamespaces(NamespaceContract):
    @pytest.fixture
    def driver(self) -> NamespaceDriver:
        return LinuxNamespaces(NamespaceConfig({}))
