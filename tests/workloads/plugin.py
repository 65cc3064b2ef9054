"""The option of pytest that says how long the long ones are."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--runs``."""
    parser.addoption(
        "--runs", type=int, default=100, metavar="N",
        help="containers that tests/workloads runs one after the other (100; a thorough look takes 2000)",
    )  # fmt: skip
