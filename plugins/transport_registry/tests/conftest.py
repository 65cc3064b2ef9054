"""An engine's images, and the registry with one image in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.tests.images.archives import oci_files, write_files
from engine.images.library import Library
from engine.metadata.store import Store
from plugins.transport_registry.tests.support import IMAGE
from tests.testbed.lying import LyingProxy, lying
from tests.testbed.registry import Registry, copy


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """The metadata of an engine of the test's own."""
    root = tmp_path / "engine"
    root.mkdir()
    with Store(root) as store:
        yield store


@pytest.fixture
def library(store: Store, tmp_path: Path) -> Library:
    """Its images."""
    return Library(tmp_path / "engine", store.connection)


@pytest.fixture
def proxy(registry: Registry) -> Iterator[LyingProxy]:
    with lying(registry.domain) as server:
        yield server


@pytest.fixture(scope="session")
def path(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a repository that holds `IMAGE` as ``1``, put there by skopeo; that tag is not to be moved."""
    layout = write_files(tmp_path_factory.mktemp("layout"), oci_files(IMAGE))
    copy(f"oci:{layout}", f"docker://{registry.domain}/test/image:1")
    return "test/image"
