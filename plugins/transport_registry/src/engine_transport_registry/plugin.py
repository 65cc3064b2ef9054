"""Registration of the transport ``registry``; see `engine.hookspecs`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.hookspecs import hookimpl

if TYPE_CHECKING:
    from engine.contracts.transport import Transport, TransportConfig

contract = 1


@hookimpl
def transport(config: TransportConfig) -> Transport:
    """Make the transport; the README lists its options."""
    from engine_transport_registry.driver import RegistryTransport

    return RegistryTransport(config)
