"""What the links of a network namespace have carried (/proc/PID/net/dev, proc(5))."""

from __future__ import annotations

import os

from engine.tuples import NamedTuple

_RECEIVED, _SENT = 0, 8
"""Columns of bytes."""


class Traffic(NamedTuple):
    """Bytes received and sent."""

    received: int
    sent: int


def traffic(pid: int) -> Traffic | None:
    """Return the traffic of all links but the loopback in the network namespace of a process.

    None when that is the caller's own namespace, whose traffic is not the process's alone, or the process is gone.
    """
    try:
        mine, theirs = (os.stat(f"/proc/{who}/ns/net") for who in ("self", pid))
        if (mine.st_dev, mine.st_ino) == (theirs.st_dev, theirs.st_ino):
            return None
        with open(f"/proc/{pid}/net/dev", encoding="ascii", errors="replace") as file:
            lines = file.read().splitlines()[2:]
    except (FileNotFoundError, ProcessLookupError):
        return None
    rows = [(name.strip(), columns.split()) for name, _, columns in (line.partition(":") for line in lines)]
    outside = [columns for name, columns in rows if name != "lo"]
    return Traffic(*(sum(int(columns[place]) for columns in outside) for place in (_RECEIVED, _SENT)))
