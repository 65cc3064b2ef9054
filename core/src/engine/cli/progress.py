"""Progress of long work, on one line of the terminal that goes when the work is done. Silent where nobody looks."""

from __future__ import annotations

import os
import sys
from time import monotonic

from engine.cli.output import printable, terminal_width
from engine.cli.words import size

_PERIOD = 0.1


class Progress:
    """Shows what is worked on and how much of it is done, on standard error, when that is a terminal.

    A context manager: at its end the line is cleared. Call it as often as you like.
    """

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._next = 0.0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._next:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def __call__(self, what: str, done: int) -> None:
        """Show that ``done`` bytes of ``what`` are done."""
        if not self._shown or monotonic() < self._next:
            return
        self._next = monotonic() + _PERIOD
        line = f"{size(done):>8}  {printable(what)}"[: terminal_width() - 1]
        sys.stderr.write(f"\r{line}\x1b[K")
        sys.stderr.flush()
