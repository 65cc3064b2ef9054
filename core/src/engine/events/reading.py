"""Read the journal of events, and follow it as it grows. Done by the command's process; takes no lock.

Nothing is read twice or left out when a new journal is begun in the middle: files are known by their inodes, and one
that took another name is read on where it was left.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from time import time_ns
from typing import BinaryIO

from engine.contracts.observer import Event
from engine.events import journal
from engine.linux.inotify import DirectoryWatch

_NANO = 1e9


def read(
    directory: str, *, since: int | None = None, until: int | None = None, reader: int = -1
) -> Generator[Event, None, None]:
    """Yield the events from ``since`` to ``until`` (nanoseconds since the epoch), and wait for those to come.

    With neither, those from now on, for ever; without ``since``, from the first that is known; without ``until``, for
    ever, or until nobody reads the descriptor ``reader``. Makes the directory where there is none. Raises `OSError`.
    """
    os.makedirs(directory, 0o700, exist_ok=True)
    watch = DirectoryWatch(directory)
    tails = _Tails(directory)
    try:
        if since is None and until is None:
            tails.skip()
        fits = _between(since, until)
        yield from sorted(filter(fits, tails.more()), key=lambda event: event.nanoseconds)
        while until is None or time_ns() < until:
            if not watch.wait(None if until is None else (until - time_ns()) / _NANO, reader=reader):
                return
            yield from filter(fits, tails.more())
    finally:
        tails.close()
        watch.close()


def _between(since: int | None, until: int | None) -> Callable[[Event], bool]:
    first, last = since or 0, float("inf") if until is None else until
    return lambda event: first <= event.nanoseconds <= last


class _Tails:
    """What was not read yet of the journals, by inode: of the one before, of the current one, of one that is gone."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._tails: dict[int, _Tail] = {}

    def more(self) -> Iterator[Event]:
        """Yield every event that was written since the last call."""
        yield from self._read()
        if self._look():
            yield from self._read()

    def skip(self) -> None:
        """Leave out what is there now."""
        self._look()
        for tail in self._tails.values():
            tail.file.seek(0, os.SEEK_END)

    def close(self) -> None:
        """Close the files."""
        for tail in self._tails.values():
            tail.file.close()

    def _read(self) -> Iterator[Event]:
        for tail in self._tails.values():
            yield from tail.more()

    def _look(self) -> bool:
        """Find the journals by their names, the older one first; tell whether there is another than before."""
        found: dict[int, _Tail] = {}
        # The current one first: when a new one is begun in between, both names may lead to the same file.
        for name in (journal.CURRENT, journal.PREVIOUS):
            tail = self._open(name, {**self._tails, **found})
            if tail is not None:
                found = {tail.inode: tail, **found}
        changed = found.keys() != self._tails.keys()
        for inode, tail in self._tails.items():
            if inode not in found:
                tail.file.close()
        self._tails = found
        return changed

    def _open(self, name: str, known: dict[int, _Tail]) -> _Tail | None:
        try:
            file = open(f"{self._directory}/{name}", "rb", buffering=0)  # noqa: SIM115  # closed when it is forgotten
        except FileNotFoundError:
            return None
        inode = os.fstat(file.fileno()).st_ino
        if inode in known:
            file.close()
            return known[inode]
        return _Tail(file, inode)


class _Tail:
    """One journal, read up to some point."""

    def __init__(self, file: BinaryIO, inode: int) -> None:
        self.file, self.inode = file, inode
        self._rest = b""

    def more(self) -> Iterator[Event]:
        """Yield the events behind that point; an unfinished line waits for its end."""
        *lines, self._rest = (self._rest + self.file.read()).split(b"\n")
        for line in lines:
            event = journal.decode(line) if line else None
            if event is not None:
                yield event
