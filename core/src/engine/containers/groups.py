"""The cgroup of a running container, as its shim wrote it down.

So whoever wants to look at the cgroup, or to freeze it, needs neither the cgroup driver nor the shim.
"""

from __future__ import annotations

import errno
import os

from engine.containers.layout import Layout
from engine.linux import cgroups
from engine.linux.cgroups import Group
from engine.shim import records

_SAYS_NOTHING = frozenset({errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP})
"""What a group answers that is gone or is going, and one in no hierarchy that can freeze."""


def of(layout: Layout, container_id: str) -> Group | None:
    """Return the group, or None when the container does not run (or has only just begun to start)."""
    try:
        fd = os.open(layout.container_state(container_id), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return records.read_group(fd)
    finally:
        os.close(fd)


def frozen(layout: Layout, container_id: str) -> bool:
    """Ask the kernel whether every process of the container stands still."""
    group = of(layout, container_id)
    try:
        return group is not None and cgroups.frozen(group)
    except OSError as error:
        if error.errno not in _SAYS_NOTHING:
            raise
        return False


def thaw(layout: Layout, container_id: str) -> None:
    """Let a container go on that may be frozen; nothing for one that is not, or is gone."""
    group = of(layout, container_id)
    if group is not None:
        cgroups.thaw(group)
