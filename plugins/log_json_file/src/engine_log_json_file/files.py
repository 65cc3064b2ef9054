"""The files of one container's log as a reader sees them, while a writer may rotate them under its eyes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from engine_log_json_file.sink import FILE

_BLOCK = 65536
_ATTEMPTS = 100
"""Looks for a file that has a name somewhere: more than a rotation takes. After that, someone has moved it away."""


def chain(directory: Path) -> list[BinaryIO]:
    """Open every file, the oldest first.

    They are opened youngest first: a rotation meanwhile moves a file one place on, where it is met again and dropped.
    """
    found: list[BinaryIO] = []
    known: set[int] = set()
    for number in _numbers(directory):
        try:
            file = path(directory, number).open("rb", buffering=0)
        except FileNotFoundError:
            # Rotated away between the listing and now.
            continue
        inode = os.fstat(file.fileno()).st_ino
        if inode in known:
            file.close()
        else:
            known.add(inode)
            found.insert(0, file)
    return found


def path(directory: Path, number: int) -> Path:
    """Return the file's path: 0 is the one being written."""
    return directory / (f"{FILE}.{number}" if number else FILE)


def successor(directory: Path, file: BinaryIO) -> BinaryIO | None:
    """Return the file that was begun when ``file`` was rotated away, opened; None while it is the one being written.

    When ``file`` is gone altogether, the oldest there is: the writer was faster than the reader, and what lay between
    is lost.
    """
    while True:
        place = _next_place(directory, file)
        if place is None:
            return None
        try:
            opened = path(directory, place[1]).open("rb", buffering=0)
        except FileNotFoundError:
            # Rotated away since: look again.
            continue
        if _next_place(directory, file) == place:
            return opened
        opened.close()


def _next_place(directory: Path, file: BinaryIO) -> tuple[int, int] | None:
    """Return the number that ``file`` has now (-1: gone) and the one of the file that follows it; None without one.

    A listing and the looks at its names are not one moment: only an answer that comes twice is true.
    """
    numbers: list[int] = []
    for _attempt in range(_ATTEMPTS):
        found = os.fstat(file.fileno())
        numbers = _numbers(directory)
        here = [number for number in numbers if _inode(path(directory, number)) == found.st_ino]
        if here:
            younger = [number for number in numbers if number < here[0]]
            return (here[0], max(younger)) if younger else None
        if found.st_nlink == 0:
            break
    return (-1, max(numbers)) if numbers else None


def lines_backwards(file: BinaryIO, end: int) -> Iterator[bytes]:
    """Yield the lines before offset ``end`` (which is behind a line's end), the last one first, without their ends."""
    first = b""
    while end > 0:
        start = max(0, end - _BLOCK)
        block = os.pread(file.fileno(), end - start, start) + first
        if start:
            head, newline, block = block.partition(b"\n")
            first = head + newline
        yield from reversed(block.split(b"\n")[:-1])
        end = start


def last_line_end(file: BinaryIO) -> int:
    """Return the offset behind the last whole line."""
    end = os.fstat(file.fileno()).st_size
    while end > 0:
        start = max(0, end - _BLOCK)
        newline = os.pread(file.fileno(), end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _numbers(directory: Path) -> list[int]:
    """Return the numbers of the files there are, the youngest first."""
    found = []
    for name in os.listdir(directory):
        stem, _dot, suffix = name.rpartition(".")
        if name == FILE:
            found.append(0)
        elif stem == FILE and suffix.isdecimal():
            found.append(int(suffix))
    return sorted(found)


def _inode(place: Path) -> int:
    try:
        return place.stat().st_ino
    except FileNotFoundError:
        return -1
