"""A real btrfs for the tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine_storage_btrfs import subvolumes
from tests.testbed.btrfs import mounted_btrfs


@pytest.fixture(scope="session")
def btrfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Mount one btrfs for all tests of this process; each makes a root of its own in it."""
    if shutil.which("mkfs.btrfs") is None:
        pytest.fail("mkfs.btrfs is missing: install btrfs-progs")
    directory = tmp_path_factory.mktemp("btrfs")
    with mounted_btrfs(directory / "image", directory / "mounted") as place:
        yield place


@pytest.fixture
def base(btrfs: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Make a subvolume for one test, which goes with all that the test left in it."""
    name = f"test-{abs(hash(request.node.nodeid))}"
    fd = os.open(btrfs, os.O_RDONLY | os.O_DIRECTORY)
    subvolumes.create(fd, name)
    yield btrfs / name
    subvolumes.destroy(fd, name)
    os.close(fd)
