"""Registration of the transport ``archive``; see `engine.hookspecs`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.hookspecs import hookimpl

if TYPE_CHECKING:
    from engine.contracts.transport import Transport, TransportConfig

contract = 1


@hookimpl
def transport(config: TransportConfig) -> Transport:
    """Make the transport; it has no options."""
    from engine_transport_archive.driver import ArchiveTransport

    return ArchiveTransport(config)
