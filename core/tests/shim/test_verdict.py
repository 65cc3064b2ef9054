"""What one check after the other makes of a container's health."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.shim import records, verdict
from engine.shim.verdict import HEALTHY, STARTING, UNHEALTHY, Health, Result, Settings, judge


def after(codes: list[int], retries: int = 2, lenient: int = 0) -> Health:
    """Return the health after checks with these exit statuses, the first ``lenient`` of them in the start period."""
    health = Health()
    for number, code in enumerate(codes):
        health = judge(health, Result(number, number, code, ""), retries, lenient=number < lenient)
    return health


@pytest.mark.parametrize(
    ("codes", "lenient", "status", "streak"),
    [
        ([], 0, STARTING, 0),
        ([0], 0, HEALTHY, 0),
        ([1], 0, STARTING, 1),
        ([1, 1], 0, UNHEALTHY, 2),
        ([1, -1, 125], 0, UNHEALTHY, 3),
        ([0, 1], 0, HEALTHY, 1),
        ([0, 1, 0], 0, HEALTHY, 0),
        ([0, 1, 1], 0, UNHEALTHY, 2),
        ([1, 1, 0], 0, HEALTHY, 0),
        ([1, 1, 1], 3, STARTING, 0),
        ([1, 1, 1, 1], 3, STARTING, 1),
        ([1, 1, 1, 1, 1], 3, UNHEALTHY, 2),
        ([0, 1, 1], 3, UNHEALTHY, 2),
        ([1, 0, 1], 3, HEALTHY, 1),
    ],
)
def test_the_rules(codes: list[int], lenient: int, status: str, streak: int) -> None:
    health = after(codes, lenient=lenient)
    assert (health.status, health.streak) == (status, streak)


def test_five_results_are_kept() -> None:
    assert [result.start for result in after([0] * 8).results] == [3, 4, 5, 6, 7]


def test_the_pause_is_short_until_it_is_healthy_or_the_start_period_is_over() -> None:
    settings = Settings({}, interval=30, timeout=1, retries=3, start_period=60, start_interval=5)
    assert [settings.pause(Health(status), age) for status, age in (
        (STARTING, 1), (STARTING, 61), (HEALTHY, 1), (UNHEALTHY, 1),
    )] == [5, 30, 30, 30]  # fmt: skip


def test_the_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert verdict.read(fd) is None
        health = after([0, 1, 3])
        records.write(fd, verdict.RECORD, health, sync=False)
        assert verdict.read(fd) == health
    finally:
        os.close(fd)


def test_a_health_that_the_power_cut_short_is_none(tmp_path: Path) -> None:
    directory = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        records.write(directory, verdict.RECORD, after([0, 1]), sync=False)
        assert verdict.read(directory) == after([0, 1])
        os.truncate(tmp_path / verdict.RECORD, 10)
        assert verdict.read(directory) is None
    finally:
        os.close(directory)
