"""What every test of the command line has: none leaves a shim behind that it prepared and had no use for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine.shim import launch


@pytest.fixture(autouse=True)
def no_prepared_shim() -> Iterator[None]:
    """End the shims that `run` prepared and refused to use: a command's own end does that, but pytest goes on."""
    yield
    while launch._prepared:
        shim = launch.launch()
        shim.close()
        shim.reap()
