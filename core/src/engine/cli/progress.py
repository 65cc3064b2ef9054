"""Progress of long work: a line of the terminal for each thing that is worked on, gone when the work is done.

A line has the bytes done and all of them, the rate of the last seconds, and the time that is left at that rate. It goes
to standard error, and only when that is a terminal of which this process has the use: in a pipe, a log or the
background there is none, and a command's last word is what it prints when it has succeeded. Nothing is shown of what
takes but a moment.
"""

from __future__ import annotations

import os
import re
import sys
from _thread import allocate_lock
from collections import deque
from time import monotonic

_DELAY = 0.3
"""Seconds before anything is shown."""
_PERIOD = 0.1
"""Seconds between two drawings."""
_SAMPLES = 40
"""Drawings that a rate is made of."""
_MOST = 10
"""Lines that are drawn at most: those that began first."""
_DIGEST = r"\b([0-9a-f]{12})[0-9a-f]{52}\b"


class Progress:
    """Draws what it is called with (see `engine.images.progress.Progress`); with ``quiet`` nothing.

    A context manager: at its end, an error's or a Ctrl-C's too, no line is left.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._shown = not quiet and _has_terminal()
        self._things: dict[str, _Thing] = {}
        self._lock = allocate_lock()
        self._lines = 0
        self._next = monotonic() + _DELAY

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.end()

    def __call__(self, what: str, done: int, total: int = 0) -> None:
        """Take note, and draw if it is time to. A thread that finds another one drawing goes on with its work."""
        if not self._shown or not self._lock.acquire(blocking=False):
            return
        try:
            self._note(what, done, total)
            now = monotonic()
            if now >= self._next and self._shown:
                self._next = now + _PERIOD
                self._draw([thing.line(now) for thing in self._things.values()])
        finally:
            self._lock.release()

    def end(self) -> None:
        """Take the lines away and draw no more."""
        with self._lock:
            if self._shown:
                self._draw([])
            self._shown = False

    def _note(self, what: str, done: int, total: int) -> None:
        if total and done >= total:
            self._things.pop(what, None)
        elif what in self._things:
            self._things[what].done, self._things[what].total = done, total
        else:
            self._things[what] = _Thing(what, done, total)

    def _draw(self, lines: list[str]) -> None:
        """Draw these lines over the last ones (ECMA-48: up, erase to the line's end, erase below)."""
        if not lines and not self._lines:
            return
        from engine.cli.terminal import cut

        columns, rows = _size()
        shown = [f"{cut(line, columns - 1)}\x1b[K" for line in lines[: min(_MOST, rows - 1)]]
        up = f"\x1b[{self._lines - 1}A" if self._lines > 1 else ""
        self._lines = len(shown)
        sys.stderr.write(f"\r{up}" + "\n".join(shown) + "\x1b[J")
        sys.stderr.flush()


class _Thing:
    """One thing that is worked on, and how much of it was done when it was drawn lately."""

    def __init__(self, what: str, done: int, total: int) -> None:
        self.what = re.sub(_DIGEST, r"\1", what)
        self.done = done
        self.total = total
        self._samples = deque([(monotonic(), done)], _SAMPLES)

    def line(self, now: float) -> str:
        """Return the line for now: numbers first, each in its column, for the name may be long."""
        from engine.cli.terminal import printable
        from engine.cli.words import brief, size

        self._samples.append((now, self.done))
        then, before = self._samples[0]
        rate = (self.done - before) / (now - then) if now > then else 0.0
        part = f"{size(self.done)}/{size(self.total)}" if self.total else size(self.done)
        left = f"{brief((self.total - self.done) / rate)} left" if self.total and rate > 0 else ""
        return f"{part:>13}  {size(int(rate)):>6}/s  {left:>10}  {printable(self.what)}"


def _has_terminal() -> bool:
    """Return whether standard error is a terminal that understands control sequences, and this job is the one it has
    in the foreground (termios(3): others that write disturb whoever types)."""
    try:
        return sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and os.tcgetpgrp(2) == os.getpgrp()
    except OSError:  # the terminal is another session's
        return False


def _size() -> tuple[int, int]:
    try:
        columns, rows = os.get_terminal_size(2)
    except OSError:  # the terminal has just gone
        return 80, 24
    return columns or 80, rows or 24
