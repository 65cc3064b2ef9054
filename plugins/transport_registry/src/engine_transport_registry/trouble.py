"""What may pass: the kind of failure that is tried again, with longer and longer waits between."""

from __future__ import annotations

import random
from collections.abc import Callable
from threading import Event
from typing import TypeVar

_T = TypeVar("_T")
_FIRST_WAIT = 0.3
_LONGEST_WAIT = 60.0
_TRY_AGAIN = "Check the name and the network, then try again."


class Passing(Exception):
    """A failure that may pass: ``what`` completes "the registry …".

    ``wait``    seconds that the registry asks to wait, or None
    ``final``   it is not worth another attempt: nothing of that name, or nothing that listens
    ``fix``     what to do about it
    """

    def __init__(self, what: str, *, wait: float | None = None, final: bool = False, fix: str = _TRY_AGAIN) -> None:
        super().__init__(what)
        self.what = what
        self.wait = wait
        self.final = final
        self.fix = fix


class Stopped(Exception):
    """Another thread has failed, or the user has had enough: there is nothing more to be done."""


class Patience:
    """How often and how soon to try again. ``stop`` ends every wait."""

    def __init__(self, retries: int, stop: Event) -> None:
        self.retries = retries
        self._stop = stop

    def wait(self, trouble: Passing, failures: int) -> None:
        """Wait after the given number of failures in a row. Raises the trouble when it is one too many, `Stopped`."""
        if trouble.final or failures > self.retries:
            raise trouble
        delay = _FIRST_WAIT * 2.0 ** (failures - 1) * random.uniform(0.8, 1.2)  # spreads, hides nothing
        if self._stop.wait(min(delay if trouble.wait is None else trouble.wait, _LONGEST_WAIT)):
            raise Stopped

    def persist(self, deed: Callable[[], _T]) -> _T:
        """Return what a deed returns, which is done again each time that it raises `Passing`."""
        failures = 0
        while True:
            try:
                return deed()
            except Passing as trouble:
                failures += 1
                self.wait(trouble, failures)
