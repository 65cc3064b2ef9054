"""A library over a store of its own, and storage drivers of both kinds of unpacking."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.contracts.storage import StorageConfig
from engine.contracts.transport import TransportConfig
from engine.images.library import Library
from engine.metadata.store import Store
from engine_storage_overlay.driver import OverlayDriver
from engine_transport_archive.driver import ArchiveTransport


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    root = tmp_path / "engine"
    root.mkdir(mode=0o700)
    with Store(root) as opened:
        yield opened


@pytest.fixture
def library(store: Store, tmp_path: Path) -> Library:
    return Library(tmp_path / "engine", store.connection)


@pytest.fixture
def overlay(tmp_path: Path) -> OverlayDriver:
    root = tmp_path / "engine" / "storage"
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    return OverlayDriver(StorageConfig(root, {}))


@pytest.fixture
def transports() -> list[ArchiveTransport]:
    return [ArchiveTransport(TransportConfig({}))]
