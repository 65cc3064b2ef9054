"""Taking away what bears a mark: mounts, loop devices, cgroups. For the end of a test or of a run, however it ended."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable

from tests.machine import snapshot

PATIENCE = 5.0
"""Seconds. The kernel answers EBUSY for a while after the last process of a cgroup died."""


def remove(is_marked: Callable[[str], bool]) -> None:
    """Take away each thing whose name is marked, the innermost first. No process may be left in it."""
    for mount in reversed(list(snapshot.mounts())):
        if is_marked(mount.name):
            subprocess.run(["umount", "--lazy", mount.name.rpartition(" (id ")[0]], check=False)
    for device in snapshot.loop_devices():
        if is_marked(device.name):
            subprocess.run(["losetup", "--detach", f"/dev/{device.name.split()[0]}"], check=False)
    for cgroup in sorted(snapshot.cgroups(), reverse=True):
        if is_marked(cgroup.name):
            remove_cgroup(cgroup.name)


def remove_cgroup(directory: str) -> None:
    """Remove one cgroup that has no children. Raises OSError when it stays busy."""
    deadline = time.monotonic() + PATIENCE
    while os.path.isdir(directory):
        try:
            os.rmdir(directory)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
