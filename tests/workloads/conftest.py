"""The engine that the workloads share: one for each worker, with an image of Debian's packages in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.box import BUSYBOX, Box, until
from tests.machine import marks
from tests.machine.engine_root import EngineRoot, fresh_engine
from tests.testbed import rootfs


@pytest.fixture(scope="session")
def workload_root() -> Iterator[EngineRoot]:
    """An engine of the worker's own."""
    with fresh_engine(marks.of_worker("workloads")) as root:
        yield root


@pytest.fixture(scope="session")
def workloads_image(workload_root: EngineRoot) -> str:
    """The name of an image with Redis, PostgreSQL, a C compiler and a whole Python."""
    Box(workload_root).done("import", rootfs.build(rootfs.WORKLOADS), "workloads", timeout=150)
    return "workloads"


@pytest.fixture(scope="session")
def busybox_image(workload_root: EngineRoot, busybox_rootfs_tar: Path) -> str:
    """The name of an image of busybox alone."""
    Box(workload_root).done("import", busybox_rootfs_tar, BUSYBOX)
    return BUSYBOX


@pytest.fixture
def box(workload_root: EngineRoot, workloads_image: str) -> Iterator[Box]:
    """The engine, its containers being of the large image; the test fails when something is left of them."""
    yield from _checked(Box(workload_root, workloads_image))


@pytest.fixture
def small_box(workload_root: EngineRoot, busybox_image: str) -> Iterator[Box]:
    """The same, with containers of busybox."""
    yield from _checked(Box(workload_root, busybox_image))


def _checked(box: Box) -> Iterator[Box]:
    yield box
    until(lambda: not box.left(), f"nothing left of the test's containers: {box.left()}", seconds=5)
