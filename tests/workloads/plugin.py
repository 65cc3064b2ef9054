"""The option of pytest that says how long the long ones are."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--runs``."""
    parser.addoption(
        "--runs", type=int, default=100, metavar="N",
        help="containers that tests/workloads runs one after the other (100; a thorough look takes 2000)",
    )  # fmt: skip


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give a test the time that its runs take on a busy machine."""
    for item in items:
        if "runs" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(300 + 3 * config.getoption("--runs")))
