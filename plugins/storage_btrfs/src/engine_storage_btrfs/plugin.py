"""Registration of the storage driver `btrfs`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.hookspecs import hookimpl

if TYPE_CHECKING:
    from engine.contracts.storage import StorageConfig, StorageDriver

contract = 1


@hookimpl
def storage_driver(config: StorageConfig) -> StorageDriver:
    """Make the driver over ``config.root``; it changes nothing before it is asked to."""
    from engine_storage_btrfs.driver import BtrfsDriver

    return BtrfsDriver(config)
