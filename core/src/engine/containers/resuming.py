"""What a container's record says about starting it again and about ending it."""

from __future__ import annotations

from engine.containers import ending, pausing, recover, starting, status, stopping, wanting
from engine.containers.engine import Engine
from engine.containers.telling import tell
from engine.contracts.observer import Topic
from engine.errors import Conflict
from engine.metadata import containers
from engine.spec.options import RunOptions
from engine.tuples import NamedTuple

FOR_EVER = 10.0**9
"""Seconds, for a stop that never kills."""


class HowToStop(NamedTuple):
    """The signal's number, and the seconds until the kill."""

    number: int
    seconds: float


def how_to_stop(engine: Engine, wanted: str, *, number: int | None, seconds: int | None) -> HowToStop:
    """Return what ``number`` and ``seconds`` say, or else the container's options, its image, the settings."""
    record = containers.find(engine.store.connection, wanted)
    if seconds is None:
        seconds = RunOptions.from_plain(record.options).stop_timeout
    if seconds is None:
        seconds = engine.settings.stop_timeout
    return HowToStop(number or stopping.stop_signal(engine, record), FOR_EVER if seconds < 0 else seconds)


def resume(engine: Engine, wanted: str) -> None:
    """Start a container and leave it running. A container that runs already is left alone, as in Docker.

    Raises `Conflict` for one that is paused.
    """
    recover.everything(engine)
    record = containers.find(engine.store.connection, wanted)
    pausing.must_not_be_paused(engine, record, ": it has started")
    if status.of(engine.layout, record).running:
        return
    starting.start(engine, record, attach=False).shim.close()


def restart(engine: Engine, wanted: str, how: HowToStop) -> None:
    """Stop a container and start it again, detached; one that does not run is started.

    Raises `Conflict` for one that was made with ``--rm``: it is removed as it ends.
    """
    recover.everything(engine)
    record = containers.find(engine.store.connection, wanted)
    if record.options.get("rm"):
        raise Conflict(
            f"container {record.name!r} was made with --rm, so it is removed when it stops",
            fix="Run it again, without --rm if it is to be kept.",
        )
    with engine.locked(record.id):  # all the while: nobody may remove it in between
        wanting.withdraw(engine.layout, record.id)
        if stopping.end_held(engine, record, number=how.number, timeout=how.seconds):
            tell(engine, Topic.STOP, record)
        starting.start_held(engine, record).shim.close()
    tell(engine, Topic.RESTART, record)


def resume_attached(engine: Engine, wanted: str, *, stdin: bool, detach_keys: bytes) -> int:
    """Start a container and stay with it; return the exit status of its process, or 0 when the user detached."""
    recover.everything(engine)
    record = containers.find(engine.store.connection, wanted)
    options = RunOptions.from_plain(record.options)
    started = starting.start(engine, record, attach=True)
    stdin = stdin and options.interactive
    return ending.stay(engine, record, started.shim, stdin=stdin, detach_keys=detach_keys)
