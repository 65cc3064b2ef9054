"""How long work tells how far it has come: a function that the command's process passes down to it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called many times a second, from whichever thread does the work. It is quick and raises nothing."""

    def __call__(self, what: str, done: int, total: int = 0) -> None:
        """Hear that ``done`` bytes of ``total`` (0: nobody knows) of ``what`` are done; all of them: it is finished.

        ``what`` names one piece of the work for people ("layer 2 of 5"), the same in each of its calls.
        """


def silent(what: str, done: int, total: int = 0) -> None:
    """Tell nobody."""
