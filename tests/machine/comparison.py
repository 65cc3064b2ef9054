"""The machine before and after a run: what is left, and which test left it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from typing import NamedTuple

from tests.machine import marks, processes, snapshot
from tests.machine.snapshot import Thing

PATIENCE = float(os.environ.get("TESTRUN_PATIENCE", "10"))
"""Seconds that what a run left may take to go by itself: the last containers' shims, the kernel's cgroup removal."""


class Leftover(NamedTuple):
    """One thing that was not there before. ``test`` is a node id, or empty where no sign says who made it."""

    thing: Thing
    test: str
    is_ours: bool


def find(before: frozenset[Thing], tests: Iterable[str], own_places: Iterable[str]) -> list[Leftover]:
    """Return what is left now. ``own_places`` are directories that belong to the run: a path in one is the run's."""
    _drop_shared_cgroups()
    by_mark = {marks.of(nodeid): nodeid for nodeid in tests}
    places = tuple(own_places)
    new = sorted(snapshot.take() - before)
    things = [_judge(thing, by_mark, places) for thing in new if not _is_of_another_run(thing)]
    running = [
        Leftover(
            Thing("process", f"{process.pid}: {process.command or process.state}"), _test_of(process, by_mark), True
        )
        for process in processes.of_run()
    ]
    return things + running


def _drop_shared_cgroups() -> None:
    """Remove the cgroup that the run's engines share, where it is empty: it is no test's own."""
    for hierarchy in snapshot.cgroup_hierarchies():
        with contextlib.suppress(OSError):
            os.rmdir(f"{hierarchy}/{marks.of_run()}")


def find_patiently(before: frozenset[Thing], tests: Iterable[str], own_places: Iterable[str]) -> list[Leftover]:
    """Return what is left after it was given time to go."""
    names, places = list(tests), list(own_places)
    deadline = time.monotonic() + PATIENCE
    while left := find(before, names, places):
        if time.monotonic() > deadline or not any(leftover.is_ours for leftover in left):
            break
        time.sleep(0.1)
    return left


def is_failure(leftover: Leftover) -> bool:
    """Return whether it fails the run: ours always; a stranger's only where nobody else uses the machine."""
    return leftover.is_ours or bool(os.environ.get("CI"))


def _is_of_another_run(thing: Thing) -> bool:
    """Return whether a thing bears the mark of a run beside this one, which answers for it."""
    found = marks.PATTERN.findall(f"{thing.name} {thing.details}")
    return bool(found) and not any(mark.startswith(marks.of_run()) for mark in found)


def _judge(thing: Thing, by_mark: dict[str, str], places: tuple[str, ...]) -> Leftover:
    text = f"{thing.name} {thing.details}"
    found = [mark for mark in marks.PATTERN.findall(text) if mark.startswith(marks.of_run())]
    test = next((by_mark[mark] for mark in found if mark in by_mark), "")
    return Leftover(thing, test, bool(found) or any(place in text for place in places))


def _test_of(process: processes.Process, by_mark: dict[str, str]) -> str:
    found = marks.PATTERN.findall(process.signs)
    return processes.test_of(process) or next((by_mark[mark] for mark in found if mark in by_mark), "")
