"""Run a command as the parent of everything it leaves behind: ``python -m tests.machine.reaper COMMAND…``.

A subreaper (prctl(2)) inherits the orphans below it instead of PID 1: they are reaped at once, and whatever still runs
when the command has ended is known to be its own. That is killed here, and what bears the run's mark is taken away, so
that even a run that was killed leaves nothing; one that was not has reported it before (`tests.machine.plugin`). Exits
as the command did.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time

from engine.linux.syscalls import prctl
from tests.machine import marks, processes, removal

PR_SET_CHILD_SUBREAPER = 36


def reap_until(pid: int) -> int:
    """Wait for children until the one with this pid ends; return its exit status in the shell's manner."""
    while True:
        found, status = os.wait()
        if found == pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def kill_descendants(patience: float = 10.0) -> None:
    """Kill what is still below this process, and reap it."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        table = processes.everything()
        below = [pid for pid in table if pid != os.getpid() and os.getpid() in processes.lineage(pid, table)]
        for pid in below:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not _reap_all() and not below:
            return
        time.sleep(0.02)


def _reap_all() -> bool:
    """Reap every child that has ended; return whether any child is left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def main(command: list[str]) -> int:
    """Run the command; return its exit status once nothing of it is left."""
    mark = marks.of_run()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    os.environ[processes.REAPER] = str(os.getpid())
    pid = os.posix_spawnp(command[0], command, os.environ)
    # The terminal signals its whole foreground group, so the command hears Ctrl-C itself; TERM comes here alone.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: os.kill(pid, number))
    code = reap_until(pid)
    kill_descendants()
    removal.remove(lambda name: mark in name)
    for directory in marks.PLACE.glob(f"{mark}*"):
        shutil.rmtree(directory)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
