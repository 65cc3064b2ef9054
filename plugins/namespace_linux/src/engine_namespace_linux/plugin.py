"""Registration: the entry point ``linux`` of the group ``engine.namespace``."""

from __future__ import annotations

from engine.contracts.namespace import NamespaceConfig, NamespaceDriver
from engine.hookspecs import hookimpl
from engine_namespace_linux.driver import LinuxNamespaces

contract = 1


@hookimpl
def namespace_driver(config: NamespaceConfig) -> NamespaceDriver:
    """Make the driver."""
    return LinuxNamespaces(config)
