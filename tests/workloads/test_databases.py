"""Redis and PostgreSQL, killed in the middle of writes: what they acknowledged is there when they are started again."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.box import Box, Container, alive, until
from tests.workloads.database import LIMITS, Server, Write, Writers
from tests.workloads.postgresql import Postgres
from tests.workloads.redis import Redis

pytestmark = pytest.mark.timeout(600)  # the image may have to be built first
ROWS = 150
"""Acknowledged before each death."""


def kill(container: Container) -> None:
    """As `engine kill` does it."""
    container.box.done("kill", container.name)
    assert container.wait() == 137


def kill_the_shim(container: Container) -> None:
    """Its container goes with it, and nobody is left who could say how it ended."""
    state = container.state
    os.kill(state["ShimPid"], signal.SIGKILL)
    until(lambda: not alive(state["Pid"]), "the end of a container whose shim was killed")


def stop_hard(container: Container) -> None:
    """Ask, and do not wait for the answer."""
    container.box.done("stop", "--time", "0", container.name)


DEATHS: list[Callable[[Container], None]] = [kill, kill_the_shim, stop_hard, kill_the_shim]


@pytest.mark.parametrize("kind", [Redis, Postgres])
def test_nothing_acknowledged_is_lost(kind: type[Server], box: Box, tmp_path: Path) -> None:
    server = kind(box, tmp_path)
    acknowledged: list[Write] = []
    with server.running(*LIMITS) as container:
        for number, die in enumerate(DEATHS):
            with Writers(server, first=number * 1_000_000) as writers:
                writers.wait_for(ROWS)
                die(container)
            acknowledged += writers.acknowledged
            assert not container.state["Running"]
            box.done("start", container.name)
            server.wait_until_up(container)
            assert server.missing(acknowledged) == []
            torn = [row for row in writers.unanswered if _read(server, row) not in {None, row.value}]
            assert not torn, "what was not acknowledged is there as a whole or not at all"


def _read(server: Server, row: Write) -> str | None:
    client = server.connect()
    try:
        return client.read(row)
    finally:
        client.close()


def test_nothing_acknowledged_is_lost_when_memory_runs_out(box: Box, tmp_path: Path) -> None:
    """The kernel kills the server for its limit; with a larger one the same container goes on."""
    server = Redis(box, tmp_path)
    with server.running("--memory", "48m", "--memory-swap", "48m") as container:
        with Writers(server, size=128 << 10) as writers:
            assert container.wait() == 137
        assert container.state["OOMKilled"] is True
        assert len(writers.acknowledged) > 100, "most of the limit could be used"
        assert "memory" in box.done("why", container.name).stdout
        box.done("update", "--memory", "256m", "--memory-swap", "256m", container.name)
        box.done("start", container.name)
        server.wait_until_up(container)
        assert server.missing(writers.acknowledged) == []
