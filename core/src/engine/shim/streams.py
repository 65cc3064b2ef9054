"""The standard streams of a process: pipes of which it gets one end and the shim keeps the other."""

from __future__ import annotations

import os

from engine.actions.task import Streams


def make(*, terminal: bool, stdin: bool) -> tuple[Streams, Streams]:
    """Return the process's ends and the shim's (-1 where there is none).

    With a terminal nothing is made: the runtime makes it inside the container. Without ``stdin`` the process reads
    from /dev/null.
    """
    if terminal:
        return Streams(-1, -1, -1), Streams(-1, -1, -1)
    made: list[int] = []
    try:
        if stdin:
            made += os.pipe()
        else:
            made += (os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC), -1)
        made += os.pipe()
        made += os.pipe()
    except OSError:
        for fd in made:
            if fd >= 0:
                os.close(fd)
        raise
    in_r, in_w, out_r, out_w, err_r, err_w = made
    return Streams(in_r, out_w, err_w), Streams(in_w, out_r, err_r)


def close(ends: Streams) -> None:
    """Close the process's ends in the shim: only then does the shim see their end."""
    for fd in ends:
        if fd >= 0:
            os.close(fd)
