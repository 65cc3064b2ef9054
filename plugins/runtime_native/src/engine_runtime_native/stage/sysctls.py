"""The action that writes kernel parameters of the container's own namespaces. CHILD_BEFORE_PIVOT."""

from __future__ import annotations

import os

from engine.actions.base import Slots, action
from engine.tuples import NamedTuple


@action("sysctl")
class WriteSysctl(NamedTuple):
    """Write one parameter: ``name`` has dots or slashes, as in sysctl(8); the driver let only namespaced ones through.

    The host's /proc is still in sight and shows the writer's own namespaces (net and ipc); the container's may be
    read-only by now.
    """

    name: str
    value: str

    def describe(self) -> str:
        """Return the sentence."""
        return f"set {self.name} to {self.value!r}"

    def run(self, slots: Slots) -> None:
        """Write it in one call."""
        fd = os.open(f"/proc/sys/{file_of(self.name)}", os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.write(fd, self.value.encode())
        finally:
            os.close(fd)


def file_of(name: str) -> str:
    """Return the path below /proc/sys: a name with a slash separates by it, one without by dots (sysctl(8))."""
    return name if "/" in name else name.replace(".", "/")
