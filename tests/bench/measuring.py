"""Timing whole commands, one after the other in turn, so that what else the machine does falls on all alike."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Sequence
from typing import NamedTuple

from tests.bench.peers import Peer, PeerError

WARM_UP = 2
"""Runs of each that are not counted: caches fill, daemons wake."""


class Figures(NamedTuple):
    """Milliseconds of one engine's commands, and how its median stands to this engine's."""

    name: str
    version: str
    times: list[float]

    @property
    def median(self) -> float:
        """The median of the counted runs."""
        return statistics.median(self.times)


def alternate(peers: Sequence[Peer], rounds: int) -> list[Figures]:
    """Run each peer's command ``rounds`` times in turn; who begins a round changes with it. Raises PeerError."""
    times: dict[str, list[float]] = {peer.name: [] for peer in peers}
    for number in range(-WARM_UP, rounds):
        first = number % len(peers)
        for peer in (*peers[first:], *peers[:first]):
            taken = run_once(peer, number + WARM_UP)
            if number >= 0:
                times[peer.name].append(taken)
    return [Figures(peer.name, peer.version(), times[peer.name]) for peer in peers]


def run_once(peer: Peer, number: int) -> float:
    """Return the milliseconds from starting a peer's command to its end."""
    command = peer.command(number)
    began = time.perf_counter()
    done = subprocess.run(
        command, env=peer.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    taken = (time.perf_counter() - began) * 1000
    if done.returncode:
        raise PeerError(f"{peer.name}: {' '.join(command)}: exit {done.returncode}: {done.stdout.decode().strip()}")
    return taken


def table(figures: Sequence[Figures]) -> str:
    """Return the figures as a table for people. The first row is this engine's; ratios are its median over theirs."""
    own = figures[0].median
    rows = [("", "median ms", "min", "max", "ratio", "version")]
    for one in figures:
        numbers = (f"{one.median:.1f}", f"{min(one.times):.1f}", f"{max(one.times):.1f}", f"{own / one.median:.2f}")
        rows.append((one.name, *numbers, one.version))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
