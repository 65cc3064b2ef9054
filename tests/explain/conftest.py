"""An engine of the test's own, whose drivers are chosen already."""

from __future__ import annotations

import pytest

from tests.e2e.box import HOST, Box
from tests.machine.engine_root import EngineRoot


@pytest.fixture
def box(engine_root: EngineRoot) -> Box:
    """The engine; its containers are made of the machine's own files unless the test says another image."""
    box = Box(engine_root, HOST)
    box.done("run", "--rm", HOST, "true")
    return box
