"""What a container wrote, and what it changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from time import monotonic, sleep, time_ns
from typing import TYPE_CHECKING

from engine.containers import status, window
from engine.containers.engine import Engine
from engine.contracts.logs import Entry, Follow
from engine.errors import Unsupported
from engine.metadata import containers
from engine.metadata.containers import Record
from engine.spec.runtime import Spec

if TYPE_CHECKING:
    from engine.contracts.storage import Change

_LOOK_AGAIN = 0.02


class _UntilEnded(Follow):
    """Waits for a container to end by looking at its status: a connection could hold up the shim."""

    def __init__(self, engine: Engine, record: Record, until: int | None) -> None:
        self._engine, self._record, self._until = engine, record, until

    def wait(self, seconds: float) -> bool:
        deadline = monotonic() + seconds
        while status.of(self._engine.layout, self._record).running and not self._is_late():
            if monotonic() >= deadline:
                return False
            sleep(min(_LOOK_AGAIN, seconds))
        return True

    def _is_late(self) -> bool:
        return self._until is not None and time_ns() > self._until


def logs(
    engine: Engine,
    wanted: str,
    *,
    tail: int | None = None,
    follow: bool = False,
    since: int | None = None,
    until: int | None = None,
) -> Iterator[Entry]:
    """Yield a container's output, oldest first; with ``follow``, until it has ended.

    ``since`` and ``until`` are nanoseconds since the epoch: what was written in between, both included; of that, the
    last ``tail`` lines.

    Raises `NotFound`, and `Unsupported` when its log driver keeps nothing.
    """
    record = containers.find(engine.store.connection, wanted)
    driver = engine.log(record.log)
    if not driver.sink:
        raise Unsupported(
            f"log driver {record.log} keeps no output of container {record.name!r}",
            fix="Make the container with --log-driver json-file.",
        )
    directory = engine.layout.container(record.id)
    if until is not None and until <= time_ns():
        entries = window.between(driver.read(directory), since, until)
        return entries if tail is None else window.last_lines(entries, tail)
    # What there is now was all written before ``until``: the last lines of it are those of the time asked for, too.
    waiting = _UntilEnded(engine, record, until) if follow else None
    return window.between(driver.read(directory, tail=tail, follow=waiting), since, until)


def changes(engine: Engine, wanted: str) -> list[Change]:
    """Return what a container changed in its root filesystem, sorted by path.

    The mount points that the runtime made for the container's own mounts are not among them, nor the directories that
    changed for no other reason.
    """
    record = containers.find(engine.store.connection, wanted)
    spec: Spec = json.loads((engine.layout.container(record.id) / "config.json").read_bytes())
    places = {mount["destination"].rstrip("/") for mount in spec["mounts"]}
    return without_mount_points(list(engine.storage(record.storage).changes(record.id)), places)


def without_mount_points(found: list[Change], places: set[str]) -> list[Change]:
    """Return the changes but those at ``places``, and but the directories that lead to nothing but such."""
    above = {str(parent) for place in places for parent in PurePosixPath(place).parents}
    kept: list[Change] = []
    needed: set[str] = set()
    for change in reversed(found):  # what is in a directory comes after it
        if change.path in places or (
            change.path in above and change.path not in needed and _led(change, places, found)
        ):
            continue
        kept.append(change)
        needed.update(map(str, PurePosixPath(change.path).parents))
    return kept[::-1]


def _led(directory: Change, places: set[str], found: list[Change]) -> bool:
    """Tell whether a mount point was made below this directory, so that it changed on our account."""
    return any(change.path in places and change.path.startswith(f"{directory.path}/") for change in found)
