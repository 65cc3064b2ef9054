"""An event loop over epoll and a few timers: all that a shim needs of one.

A loop of the standard library would cost the shim more to import than all the rest of it.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from time import monotonic

READ = select.EPOLLIN
WRITE = select.EPOLLOUT
_LONGEST_WAIT = 86400.0
"""Seconds; epoll_wait(2) takes its timeout as milliseconds in an int."""


class Loop:
    """Calls a handler when its descriptor is ready, and callbacks when their time has come."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def watch(self, fd: int, events: int, handler: Callable[[int], None]) -> None:
        """Call ``handler(ready events)`` whenever ``fd`` is ready; errors and hang-ups are always reported."""
        self._epoll.register(fd, events)
        self._handlers[fd] = handler

    def change(self, fd: int, events: int) -> None:
        """Wait for other events of ``fd``."""
        self._epoll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Stop watching ``fd``; call it before closing it. Does nothing for a descriptor that is not watched."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def watches(self, fd: int) -> bool:
        """Tell whether ``fd`` is watched."""
        return fd in self._handlers

    def after(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call ``callback`` once, ``seconds`` from now."""
        self._count += 1
        self._timers.append((monotonic() + seconds, self._count, callback))
        self._timers.sort()

    def run(self, done: Callable[[], bool]) -> None:
        """Serve until ``done()`` is true; it is asked after every round."""
        while not done():
            for fd, events in self._epoll.poll(self._patience()):
                handler = self._handlers.get(fd)  # an earlier handler of this round may have forgotten it
                if handler is not None:
                    handler(events)
            self._expire()

    def _patience(self) -> float | None:
        return min(max(0.0, self._timers[0][0] - monotonic()), _LONGEST_WAIT) if self._timers else None

    def _expire(self) -> None:
        while self._timers and self._timers[0][0] <= monotonic():
            self._timers.pop(0)[2]()
