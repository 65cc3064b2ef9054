"""What the shim reads of a process that has ended and has left others behind."""

from __future__ import annotations

import os

from engine.linux import processes
from engine.shim.log import Log
from engine.shim.loop import Loop
from engine.shim.process import Kept

PIPE = 1 << 16


class Refilled(Log):
    """A log whose every write finds the pipe full again, as somebody fills it who is faster than the shim."""

    def __init__(self, pipe: int) -> None:
        self.pipe = pipe
        self.kept = 0

    def write(self, stream: str, data: bytes) -> None:
        self.kept += len(data)
        assert self.kept < 100 * PIPE, "it never ends"
        os.write(self.pipe, data)


def test_no_more_is_drained_than_can_have_been_there() -> None:
    reading, writing = os.pipe()
    pid = os.posix_spawn("/bin/true", ["true"], {})
    log = Refilled(writing)
    kept = Kept(loop := Loop(), pid, processes.pidfd_open(pid), {"stdout": reading}, -1, console=False, log=log)
    loop.run(lambda: kept.ended is not None)
    os.write(writing, bytes(PIPE))
    kept.drain()
    assert log.kept == PIPE
    os.close(writing)
