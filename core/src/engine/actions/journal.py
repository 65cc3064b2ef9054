"""The journal of one container: what may have been made and outlives its maker, in plain data.

One JSON object a line, appended *before* the deed, in ``<state>/containers/<id>/journal``. It lies in the state
directory, which a reboot forgets together with everything the journal can name (cgroups, processes, units). Whoever
removes the container, or finds it abandoned, undoes the lines in reverse order; undoing is idempotent, so nothing is
ever marked as done. A line that a kill cut short was never acted on and is ignored.
"""

from __future__ import annotations

import errno
import json
import os

from engine.actions.base import Step, from_plain, to_plain
from engine.errors import StateError

_NAME = "journal"


class Journal:
    """Append-only; safe for several writers (``O_APPEND``, one write a line)."""

    def __init__(self, directory_fd: int) -> None:
        self._fd = os.open(_NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600, dir_fd=directory_fd)

    def intend(self, step: Step) -> None:
        """Write down that ``step`` is about to run. Raises `OSError` (a full disk) before anything was done."""
        line = json.dumps(to_plain(step)).encode() + b"\n"
        if os.write(self._fd, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def read(directory_fd: int) -> list[Step]:
    """Return the journalled steps, oldest first; none when there is no journal.

    Raises `StateError` for a complete line that is not a known action.
    """
    try:
        fd = os.open(_NAME, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory_fd)
    except FileNotFoundError:
        return []
    with os.fdopen(fd, "rb") as file:
        *lines, _cut_short = file.read().split(b"\n")
    try:
        return [from_plain(json.loads(line)) for line in lines]
    except (ValueError, KeyError, TypeError) as error:
        raise StateError(
            f"the journal of a container cannot be read: {error!r}",
            fix="Run the engine version that wrote it, or remove the container's state directory by hand.",
        ) from error
