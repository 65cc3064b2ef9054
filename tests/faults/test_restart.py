"""SIGKILL during restarts: in the shim that waits, in the start that it becomes, and in a stop beside them.

Nothing restarts by itself after the death of a shim, nothing is left of it, and the next start works. A stop that is on
record wins, also when the stopping command is killed.
"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.faults.killing import Killer
from tests.faults.test_kill import check_next_command, check_nothing_left, check_truth, listed
from tests.machine.engine_root import EngineRoot

ONCE_MORE = ("run", "-d", "--name", "victim", "--restart", "on-failure:1", "host:", "false")
"""A container that the engine starts once again, and that ends then."""
OVER_AND_OVER = ("run", "-d", "--name", "victim", "--restart", "always", "host:", "false")
STOP = ("stop", "-t", "1", "victim")
_SETTLED = 20.0


def state(engine: EngineRoot) -> str:
    return next(str(row["State"]) for row in listed(engine) if row["Names"] == "victim")


def until_state(engine: EngineRoot, wanted: str) -> None:
    deadline = time.monotonic() + _SETTLED
    while (now := state(engine)) != wanted:
        assert time.monotonic() < deadline, f"it is {now}, not {wanted}"
        time.sleep(0.02)


def has_started(engine: EngineRoot) -> bool:
    """Return whether it ever ran. Where a point lies differs with how many parents of its cgroup have to be made."""
    return not inspected(engine)["StartedAt"].startswith("0001-")


@pytest.mark.parametrize("share", range(2))
def test_a_restart_killed_before_every_deed(engine_root: EngineRoot, share: int) -> None:
    """From the record of the first end on: the shim cleans up, waits, and becomes the command that starts anew."""
    killer = Killer(engine_root)
    engine_root.run("run", "--rm", "host:", "true")
    points = killer.shim_points_to_its_end(*ONCE_MORE, after='".exit"')
    until_state(engine_root, "exited")
    check_nothing_left(engine_root)
    deaths = 0
    for point in points[share::2]:
        killer.shim(point, *ONCE_MORE)
        killer.await_end_of_shim()
        died = killer.shim_died()
        deaths += died
        try:
            until_state(engine_root, "exited" if has_started(engine_root) else "created")
            check_truth(engine_root)
            check_next_command(engine_root)
            started = engine_root.run("start", "victim")
            assert started.returncode == 0, started.stderr
            check_nothing_left(engine_root)
        except AssertionError as error:
            pytest.fail(f"the shim was killed at {point} (it died: {died}): {error}")
    assert deaths >= len(points[share::2]) * 2 // 3, "the signal was rarely delivered: this test saw next to nothing"


def test_a_stop_killed_before_every_deed_wins_once_it_is_on_record(engine_root: EngineRoot) -> None:
    killer = Killer(engine_root)
    engine_root.run("run", "--rm", "host:", "true")
    engine_root.run(*OVER_AND_OVER)
    points = killer.command_points(*STOP)
    check_nothing_left(engine_root)
    recorded = 0
    for point in points:
        started = engine_root.run(*OVER_AND_OVER)
        assert started.returncode == 0, started.stderr
        killer.command(point, *STOP)
        on_record = not list(engine_root.root.glob("containers/*/wanted"))
        recorded += on_record
        try:
            check_recorded(engine_root) if on_record else check_unaware(engine_root)
            check_nothing_left(engine_root)
        except AssertionError as error:
            pytest.fail(f"the stop was killed at {point} (it was on record: {on_record}): {error}")
    assert 0 < recorded < len(points), "deaths before and after the record are both worth a look"


def check_recorded(engine: EngineRoot) -> None:
    """It ends, and is not started again."""
    until_state(engine, "exited")
    before = inspected(engine)
    time.sleep(0.5)
    assert inspected(engine) == before


def check_unaware(engine: EngineRoot) -> None:
    """Nothing was asked of it: it is started again, again and again."""
    before = inspected(engine)["RestartCount"]
    deadline = time.monotonic() + _SETTLED
    while inspected(engine)["RestartCount"] == before:
        assert time.monotonic() < deadline, "it is not started again"
        time.sleep(0.05)


def inspected(engine: EngineRoot) -> dict[str, Any]:
    form = '{"RestartCount": {{.RestartCount}}, "StartedAt": "{{.State.StartedAt}}"}'
    done = engine.run("inspect", "--format", form, "victim")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found
