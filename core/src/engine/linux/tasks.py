"""What the kernel tells of a process in /proc/PID (proc(5)): whose it is, since when, and what it was called with.

Reading needs no privilege but for processes that the caller may see.
"""

from __future__ import annotations

import os

from engine.tuples import NamedTuple

_TICKS = os.sysconf("SC_CLK_TCK")
_PTS_MAJORS = range(136, 144)
"""Device numbers of pseudo-terminals (devices.txt), 256 to each."""


class Task(NamedTuple):
    """One process. ``uid`` is the effective one on the host; times are seconds: used in all, and since it began.

    ``command`` is its arguments, or its name in brackets where it has none (a zombie, or one that emptied them).
    """

    pid: int
    parent: int
    uid: int
    terminal: str
    used: float
    age: float
    command: str


def read(pid: int) -> Task | None:
    """Return what is known of a process, or None when it has ended."""
    try:
        stat = _file(pid, "stat")
        status = _file(pid, "status")
        command = _file(pid, "cmdline")
        uptime = _file("", "uptime")
    except (FileNotFoundError, ProcessLookupError):
        return None
    name, _, rest = stat.partition("(")[2].rpartition(")")
    fields = rest.split()
    return Task(
        pid=pid,
        parent=int(fields[1]),
        uid=_effective_uid(status),
        terminal=_terminal(int(fields[4])),
        used=(int(fields[11]) + int(fields[12])) / _TICKS,
        age=max(0.0, float(uptime.split()[0]) - int(fields[19]) / _TICKS),
        command=command.rstrip("\0").replace("\0", " ") or f"[{name}]",
    )


def _effective_uid(status: str) -> int:
    """Return the second number of the line "Uid:": the directory's owner would be root for one that is not dumpable."""
    line = next(line for line in status.splitlines() if line.startswith("Uid:"))
    return int(line.split()[2])


def _terminal(device: int) -> str:
    """Return a controlling terminal's name as ps(1) shows it; "?" for none, and for kinds that containers lack."""
    major, minor = os.major(device), os.minor(device)
    return f"pts/{(major - _PTS_MAJORS.start) * 256 + minor}" if major in _PTS_MAJORS else "?"


def _file(pid: int | str, name: str) -> str:
    path = f"/proc/{pid}/{name}" if pid else f"/proc/{name}"
    with open(path, "rb", buffering=0) as file:
        return file.read().decode("utf-8", "surrogateescape")
