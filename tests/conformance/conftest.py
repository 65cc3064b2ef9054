"""The engine of a test's own, with the image `busybox`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.box import BUSYBOX, Box
from tests.machine.engine_root import EngineRoot


@pytest.fixture
def box(engine_root: EngineRoot, busybox_rootfs_tar: Path) -> Box:
    box = Box(engine_root)
    box.done("import", busybox_rootfs_tar, BUSYBOX)
    return box
