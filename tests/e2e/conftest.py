"""The engine that end-to-end tests share, with its images: one for each worker, since loading an image takes time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.box import BUSYBOX, Box, until
from tests.machine import marks
from tests.machine.engine_root import EngineRoot, fresh_engine


@pytest.fixture(scope="session")
def shared_root(busybox_rootfs_tar: Path) -> Iterator[EngineRoot]:
    """An engine of the worker's own, with the image `busybox` in it."""
    with fresh_engine(marks.of_worker("end to end")) as root:
        for directory in (root.root, root.state):
            directory.chmod(0o700)
        Box(root).done("import", busybox_rootfs_tar, BUSYBOX)
        yield root


@pytest.fixture
def box(shared_root: EngineRoot) -> Iterator[Box]:
    """The shared engine; the test fails when something of its containers is left when it ends."""
    box = Box(shared_root)
    yield box
    until(lambda: not box.left(), f"nothing left of the test's containers: {box.left()}", seconds=5)


@pytest.fixture
def own_box(engine_root: EngineRoot, busybox_rootfs_tar: Path) -> Box:
    """An engine of the test's own, with the image `busybox`: for tests that change more of it than containers."""
    box = Box(engine_root)
    box.done("import", busybox_rootfs_tar, BUSYBOX)
    return box


@pytest.fixture(scope="session")
def debian(shared_root: EngineRoot, debian_rootfs_tar: Path) -> str:
    """The name of an image in the shared engine: a small Debian with a Python in it."""
    Box(shared_root).done("import", debian_rootfs_tar, "debian", timeout=150)
    return "debian"
