"""Which processes a run started: by descent, by environment, and by the marks in what they are, have and hold open.

The engine's shim has an empty environment and a command line without any path: it is known by the files it holds.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import NamedTuple

from tests.machine import marks

REAPER = "TESTRUN_REAPER"
"""Environment: pid of the subreaper that the whole run lives under; absent when pytest was started without one."""


class Process(NamedTuple):
    """One process, as /proc shows it. The texts are empty where the process is a zombie or gone."""

    pid: int
    parent: int
    state: str
    command: str
    environment: str
    signs: str
    """Where a mark may be found: the command line, the cgroups, the working directory, the open files."""


def read(pid: int) -> Process | None:
    """Return a process, or None when it is gone."""
    try:
        stat = _text(pid, "stat").rpartition(")")[2].split()
        command = _text(pid, "cmdline").replace("\0", " ").strip()
        signs = "\n".join((command, _text(pid, "cgroup"), *_links(pid)))
        return Process(pid, int(stat[1]), stat[0], command, _text(pid, "environ"), signs)
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return None


def _text(pid: int, name: str) -> str:
    """Return a file of /proc/PID; empty where even root may not read it (the environment of a guarded PID 1)."""
    try:
        with open(f"/proc/{pid}/{name}", errors="replace") as file:
            return file.read()
    except PermissionError:
        return ""


def _links(pid: int) -> Iterator[str]:
    """Yield what a process's links in /proc lead to. A kernel thread's and a zombie's lead nowhere."""
    try:
        names = [
            f"/proc/{pid}/cwd",
            f"/proc/{pid}/root",
            *(f"/proc/{pid}/fd/{name}" for name in os.listdir(f"/proc/{pid}/fd")),
        ]
    except (PermissionError, FileNotFoundError):
        return
    for name in names:
        with contextlib.suppress(OSError):
            yield os.readlink(name)


def everything() -> dict[int, Process]:
    """Return all processes of this pid namespace by pid."""
    found = (read(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return {process.pid: process for process in found if process}


def lineage(pid: int, table: dict[int, Process]) -> Iterator[int]:
    """Yield a process's pid, its parent's, and so on to the first."""
    while pid in table:
        yield pid
        pid = table[pid].parent


def of_run() -> Iterator[Process]:
    """Yield what this run started, less the process that asks and those that it descends from."""
    table = everything()
    mine = set(lineage(os.getpid(), table))
    reaper = int(os.environ.get(REAPER, "0"))
    run = f"{marks.RUN}={marks.begin_run()}"
    for process in table.values():
        if process.pid in mine:
            continue
        descends = reaper in lineage(process.pid, table)
        if descends or run in process.environment or marks.of_run() in process.signs:
            yield process


def test_of(process: Process) -> str:
    """Return the node id in a process's environment, or an empty text."""
    pairs = (pair.partition("=") for pair in process.environment.split("\0"))
    return next((value for name, _, value in pairs if name == marks.TEST), "")
