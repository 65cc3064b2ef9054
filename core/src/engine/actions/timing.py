"""When each step ran, for whoever asked for a trace: nothing is kept until `begin`, which costs a test a step.

A process keeps one list: the shim that of its container's start, and the container's first process, which is a copy of
the shim, one of its own that it sends back. Times are perf_counter_ns's: CLOCK_MONOTONIC on Linux, the same in both.
"""

from __future__ import annotations

from time import perf_counter_ns
from typing import NamedTuple


class Mark(NamedTuple):
    """One piece of work: a step of phase ``phase`` (the next one of it), or with -1 what ``name`` says; when it began
    and ended, in nanoseconds; ``process`` is "command", "shim" or "container"."""

    phase: int
    name: str
    process: str
    began: int
    ended: int


now = perf_counter_ns

_marks: list[Mark] | None = None
_process = "shim"


def begin(process: str) -> None:
    """Keep marks from now on, of this process."""
    global _marks, _process  # one trace a process, as the module says
    _marks, _process = [], process


def again(process: str) -> None:
    """Begin anew in a copy of a process, if that keeps marks."""
    if _marks is not None:
        begin(process)


def mark(phase: int, began: int, name: str = "") -> None:
    """Note what has just ended, if anybody wants to know."""
    if _marks is not None:
        _marks.append(Mark(phase, name, _process, began, perf_counter_ns()))


def add(marks: list[list[object]]) -> None:
    """Take over the marks of another process, as plain data."""
    if _marks is not None:
        _marks.extend(Mark(*one) for one in marks)  # type: ignore[arg-type]  # as `taken` made them


def taken() -> list[Mark]:
    """Return the marks so far, and keep none from now on."""
    global _marks  # see `begin`
    marks, _marks = _marks or [], None
    return marks
