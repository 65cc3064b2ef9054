"""What a run cost: the command's own stages, and every step in the shim and in the container, measured (`--trace`).

The command's stages are laps of one clock: `lap` names what was done since the lap before. Nothing is measured until
`begin`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.actions.base import Phase, Step, kind_of, of_phase
from engine.actions.execute import Mark, now
from engine.tuples import NamedTuple


class Span(NamedTuple):
    """One piece of work: the process that did it, the plugin that asked for it ("" the core), what it was in words, its
    family of system calls ("" for what is none), and when it began and ended, in nanoseconds of the monotonic clock."""

    process: str
    plugin: str
    sentence: str
    call: str
    began: int
    ended: int


_spans: list[Span] | None = None
_last = 0


def begin() -> None:
    """Measure from now on."""
    global _spans, _last  # one command a process
    _spans, _last = [], now()


def wanted() -> bool:
    """Tell whether this command is traced."""
    return _spans is not None


def lap(sentence: str, plugin: str = "") -> None:
    """Name what the command did since the last lap, if it is traced."""
    global _last  # noqa: PLW0603  # see `begin`
    if _spans is not None:
        moment = now()
        _spans.append(Span("command", plugin, sentence, "", _last, moment))
        _last = moment


def add(marks: Sequence[Any], steps: Sequence[Step]) -> None:
    """Take over what the shim and the container measured of a plan's steps."""
    if _spans is None:
        return
    left = {phase: iter(of_phase(steps, phase)) for phase in Phase}
    for one in map(Mark._make, marks):
        if one.phase < 0:
            _spans.append(Span(one.process, "", one.name, "", one.began, one.ended))
            continue
        step = next(left[Phase(one.phase)])
        sentence, call = step.action.describe(), kind_of(step.action).call
        _spans.append(Span(one.process, step.plugin, sentence, call, one.began, one.ended))


def spans() -> list[Span]:
    """Return everything measured, by the time at which it began; nothing when the command is not traced."""
    return sorted(_spans or [], key=lambda span: span.began)
