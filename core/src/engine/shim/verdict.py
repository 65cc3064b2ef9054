"""The health of a container: what one check found, and what that makes of the health. Pure; the rules are Docker's.

Kept in the record ``health`` (`engine.shim.records`), which `engine inspect` and `engine ps` read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from engine.tuples import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

STARTING, HEALTHY, UNHEALTHY = "starting", "healthy", "unhealthy"
RECORD = "health"
_KEPT = 5
"""Results that are remembered."""


class Result(NamedTuple):
    """One check: when it began and ended (nanoseconds since the epoch), its exit status, and what it wrote.

    ``code`` is 0 for healthy; -1 when the check did not end in time or could not be started: ``output`` says so.
    """

    start: int
    end: int
    code: int
    output: str


class Health(NamedTuple):
    """The health: one of the three words above, how many checks in a row have failed, and the last results."""

    status: str = STARTING
    streak: int = 0
    results: tuple[Result, ...] = ()


class Settings(NamedTuple):
    """How to check: the request of a process (as `engine exec` sends it), times in seconds, and what is too often."""

    request: dict[str, Any]
    interval: float
    timeout: float
    retries: int
    start_period: float
    start_interval: float

    def pause(self, health: Health, age: float) -> float:
        """Return how long to wait for the next check of a container that has run for ``age`` seconds."""
        return self.start_interval if health.status == STARTING and age < self.start_period else self.interval


def judge(health: Health, result: Result, retries: int, *, lenient: bool) -> Health:
    """Return the health after one more check; ``lenient``: a failure within the start period does not count."""
    results = (*health.results, result)[-_KEPT:]
    if result.code == 0:
        return Health(HEALTHY, 0, results)
    if lenient and health.status == STARTING:
        return health._replace(results=results)
    streak = health.streak + 1
    return Health(UNHEALTHY if streak >= retries else health.status, streak, results)


def read(directory_fd: int) -> Health | None:
    """Return the health that is recorded in a directory, or None."""
    try:
        fd = os.open(RECORD, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory_fd)
    except FileNotFoundError:
        return None
    with os.fdopen(fd, "rb") as file:
        try:
            return _of_plain(json.load(file))
        except ValueError:  # the power went before it was on the disk: as good as none
            return None


def _of_plain(plain: Sequence[Any]) -> Health:
    status, streak, results = plain
    return Health(status, streak, tuple(Result(*one) for one in results))
