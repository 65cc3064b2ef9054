"""The guard of a container: a process that kills the init when the shim is no more.

An init that the shim makes itself asks the kernel for that (PR_SET_PDEATHSIG); a program between them is never told to.
The guard is a child of the shim's that holds the init's pidfd and the reading end of a pipe, and nothing else; only the
shim holds the other end. Whichever of the two ends first, the guard kills the init and ends as well.
"""

from __future__ import annotations

import os
import select
import signal

from engine.linux import processes
from engine.tuples import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import NoReturn


class Guard(NamedTuple):
    """A guard that stands: its pid, and the end of the pipe that keeps it waiting."""

    pid: int
    end: int

    def dismiss(self) -> None:
        """Have it kill the init, if that still runs, and wait for the guard."""
        os.close(self.end)
        processes.wait(self.pid)


def post(init: int) -> Guard:
    """Make a guard for the process behind the pidfd ``init``."""
    reads, writes = os.pipe()
    pid = os.fork()
    if not pid:
        _stand(reads, init)
    os.close(reads)
    return Guard(pid, writes)


def _stand(pipe: int, init: int) -> NoReturn:
    try:
        processes.set_name("engine-guard")
        first, second = sorted((pipe, init))
        for start, end in ((0, first - 1), (first + 1, second - 1)):
            if start <= end:
                processes.close_range(start, end)
        processes.close_range(second + 1)
        poll = select.poll()
        poll.register(pipe, 0)  # a hang-up is told whether asked for or not
        poll.register(init, select.POLLIN)
        poll.poll()
        processes.pidfd_send_signal(init, signal.SIGKILL)
    finally:
        os._exit(0)
