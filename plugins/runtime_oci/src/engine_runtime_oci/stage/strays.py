"""Processes that a program left to the shim when it failed: they are waited for, like any other child.

One that is not keeps its pid namespace, whose init then never ends: the kernel waits for every process of it.
"""

from __future__ import annotations

import os
import signal

from engine.linux import processes


def children() -> set[int]:
    """Return the pids of the caller's children, those that have ended included."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            return set(map(int, file.read().split()))
    except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN: what is left goes with the shim
        return set()


def end(before: set[int]) -> None:
    """Kill the children that came since ``before``, and wait for them."""
    for pid in children() - before:
        try:
            os.kill(pid, signal.SIGKILL)
            processes.wait(pid)
        except (ProcessLookupError, ChildProcessError):
            continue
