"""What a container's record says about starting it again and about ending it."""

from __future__ import annotations

import json
from typing import NamedTuple

from engine.containers import ending, recover, starting, status
from engine.containers.engine import Engine
from engine.metadata import containers
from engine.metadata.containers import Record
from engine.spec.builder import STOP_SIGNAL_ANNOTATION
from engine.spec.defaults import STOP_SIGNAL
from engine.spec.options import RunOptions

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
    return HowToStop(number or _signal(engine, record), FOR_EVER if seconds < 0 else seconds)


def _signal(engine: Engine, record: Record) -> int:
    try:
        spec = json.loads((engine.layout.container(record.id) / "config.json").read_bytes())
    except FileNotFoundError:  # it is being created or removed at this moment
        return STOP_SIGNAL
    return int(spec.get("annotations", {}).get(STOP_SIGNAL_ANNOTATION, STOP_SIGNAL))


def resume(engine: Engine, wanted: str) -> None:
    """Start a container and leave it running. A container that runs already is left alone, as in Docker."""
    recover.everything(engine)
    record = containers.find(engine.store.connection, wanted)
    if status.of(engine.layout, record).running:
        return
    starting.start(engine, record, attach=False).shim.close()


def resume_attached(engine: Engine, wanted: str, *, stdin: bool, detach_keys: bytes) -> int:
    """Start a container and stay with it; return the exit status of its process, or 0 when the user detached."""
    recover.everything(engine)
    record = containers.find(engine.store.connection, wanted)
    options = RunOptions.from_plain(record.options)
    started = starting.start(engine, record, attach=True)
    stdin = stdin and options.interactive
    return ending.stay(engine, record, started.shim, stdin=stdin, detach_keys=detach_keys)
