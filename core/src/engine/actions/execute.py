"""Run steps in order, write the journal before the deed, undo in reverse when one fails."""

from __future__ import annotations

from collections.abc import Sequence
from errno import errorcode
from time import perf_counter_ns
from typing import NamedTuple

from engine.actions import timing
from engine.actions.base import Action, Slots, Step, kind_of
from engine.actions.journal import Journal, read
from engine.errors import EngineError, KernelError
from engine.linux.advice import advise
from engine.linux.explanations import explain


class Timed(NamedTuple):
    """A step that ran, and what it cost in nanoseconds."""

    step: Step
    nanoseconds: int


def failure(step: Step, error: OSError) -> KernelError:
    """Return the error a person should see for an action that the kernel refused."""
    sentence = step.action.describe()
    call = kind_of(step.action).call
    reason = explain(error.errno or 0, call)
    fix = advise(error.errno or 0, call)
    raised = KernelError(f"could not {sentence}: {error.strerror or error} ({reason})", fix=fix, plugin=step.plugin)
    raised.action, raised.errno, raised.meaning = sentence, errorcode.get(error.errno or 0, ""), reason
    return raised


def run(steps: Sequence[Step], slots: Slots, journal: Journal | None = None) -> list[Timed]:
    """Run ``steps`` in order and return their times.

    A journalled action is written to ``journal`` first. When one fails, those before it are undone in reverse order and
    the failure is raised as `KernelError`; an undo that fails too is named in that error and stays in the journal.
    """
    done: list[Timed] = []
    for step in steps:
        if journal is not None and kind_of(step.action).journalled:
            journal.intend(step)
        began = perf_counter_ns()
        try:
            step.action.run(slots)
        except (OSError, EngineError) as error:
            raised = failure(step, error) if isinstance(error, OSError) else error
            left = undo([one.step for one in done] + [step], slots)
            if left:
                raised.what += f"; and what came before it could not be undone: {'; '.join(left)}"
            raise raised from error
        done.append(Timed(step, perf_counter_ns() - began))
        timing.mark(step.phase, began)
    return done


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
