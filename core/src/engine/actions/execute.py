"""Run steps in order, write the journal before the deed, undo in reverse when one fails; and when each ran, if asked.

Times are kept for whoever wants a trace, and only after `begin_trace`: until then a step costs one test more. A process
keeps one list: the shim that of its container's start, and the container's first process, which is a copy of the shim,
one of its own that it sends back. They are perf_counter_ns's: CLOCK_MONOTONIC on Linux, the same in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from errno import errorcode
from time import perf_counter_ns

from engine.actions.base import Action, Slots, Step, kind_of
from engine.actions.journal import Journal, read
from engine.errors import EngineError, KernelError
from engine.linux.advice import advise
from engine.linux.explanations import explain
from engine.tuples import NamedTuple


def failure(step: Step, error: OSError) -> KernelError:
    """Return the error a person should see for an action that the kernel refused."""
    sentence = step.action.describe()
    call = kind_of(step.action).call
    reason = explain(error.errno or 0, call)
    fix = advise(error.errno or 0, call)
    raised = KernelError(f"could not {sentence}: {error.strerror or error} ({reason})", fix=fix, plugin=step.plugin)
    raised.action, raised.errno, raised.meaning = sentence, errorcode.get(error.errno or 0, ""), reason
    return raised


def run(steps: Sequence[Step], slots: Slots, journal: Journal | None = None) -> None:
    """Run ``steps`` in order; `mark` each.

    A journalled action is written to ``journal`` first. When one fails, those before it are undone in reverse order and
    the failure is raised as `KernelError`; an undo that fails too is named in that error and stays in the journal.
    """
    done: list[Step] = []
    for step in steps:
        began = perf_counter_ns()
        try:
            if journal is not None and kind_of(step.action).journalled:
                journal.intend(step)
            step.action.run(slots)
        except (OSError, EngineError) as error:
            raised = failure(step, error) if isinstance(error, OSError) else error
            left = undo([*done, step], slots)
            if left:
                raised.what += f"; and what came before it could not be undone: {'; '.join(left)}"
            raise raised from error
        done.append(step)
        mark(step.phase, began)


def undo(steps: Sequence[Step], slots: Slots) -> list[str]:
    """Undo ``steps`` in reverse order, all of them whatever fails; return a sentence for each failure."""
    failed = []
    for step in reversed(steps):
        try:
            undo_action(step.action, slots)
        except OSError as error:
            failed.append(f"undo '{step.action.describe()}': {error.strerror or error}")
    return failed


def undo_action(one: Action, slots: Slots) -> None:
    """Undo one action, if it is of a kind that leaves something behind."""
    take_back = getattr(one, "undo", None)
    if take_back is not None:
        take_back(slots)


def roll_back(directory_fd: int) -> list[str]:
    """Undo everything the journal in ``directory_fd`` names, newest first; return a sentence for each failure."""
    return undo(read(directory_fd), {})


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


def begin_trace(process: str) -> None:
    """Keep marks from now on, of this process."""
    global _marks, _process  # one trace a process, as the module says
    _marks, _process = [], process


def trace_again(process: str) -> None:
    """Begin anew in a copy of a process, if that keeps marks."""
    if _marks is not None:
        begin_trace(process)


def mark(phase: int, began: int, name: str = "") -> None:
    """Note what has just ended, if anybody wants to know."""
    if _marks is not None:
        _marks.append(Mark(phase, name, _process, began, perf_counter_ns()))


def add_marks(marks: list[list[object]]) -> None:
    """Take over the marks of another process, as plain data."""
    if _marks is not None:
        _marks.extend(Mark(*one) for one in marks)  # type: ignore[arg-type]  # as `take_marks` made them


def take_marks() -> list[Mark]:
    """Return the marks so far, and keep none from now on."""
    global _marks  # see `begin_trace`
    marks, _marks = _marks or [], None
    return marks
