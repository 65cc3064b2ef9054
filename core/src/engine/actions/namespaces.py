"""Actions that set up what is inside a new namespace. It ends with its last process: nothing to undo.

Also the user namespaces by which mounts are mapped, which nobody is in.
"""

from __future__ import annotations

from engine.actions.base import Slots, action
from engine.linux import namespaces, uts
from engine.tuples import NamedTuple

IdRow = tuple[int, int, int]
"""First id inside, first id outside, how many: a row of /proc/PID/uid_map (user_namespaces(7))."""
Maps = tuple[tuple[IdRow, ...], tuple[IdRow, ...]]
"""The rows for users, and those for groups."""


@action("sethostname")
class SetHostname(NamedTuple):
    """Name the container's UTS namespace. CHILD_BEFORE_PIVOT, with CAP_SYS_ADMIN there."""

    hostname: str

    def describe(self) -> str:
        """Return the sentence."""
        return f"set the hostname to {self.hostname}"

    def run(self, slots: Slots) -> None:
        """Set it."""
        uts.set_hostname(self.hostname)


@action("sethostname")
class SetDomainname(NamedTuple):
    """Set the NIS domain name of the container's UTS namespace. CHILD_BEFORE_PIVOT, with CAP_SYS_ADMIN there."""

    domainname: str

    def describe(self) -> str:
        """Return the sentence."""
        return f"set the domain name to {self.domainname}"

    def run(self, slots: Slots) -> None:
        """Set it."""
        uts.set_domainname(self.domainname)


@action("ioctl")
class LoopbackUp(NamedTuple):
    """Bring up ``lo`` of the container's network namespace. CHILD_BEFORE_PIVOT, with CAP_NET_ADMIN there."""

    def describe(self) -> str:
        """Return the sentence."""
        return "bring up the loopback device"

    def run(self, slots: Slots) -> None:
        """Set the interface's flag; the kernel gives it 127.0.0.1 and ::1 itself."""
        namespaces.loopback_up()


@action("id map")
class WriteIdMaps(NamedTuple):
    """Write the identity maps of the user namespace of the process in slot ``pid``. PARENT_AFTER, in the shim."""

    uids: tuple[IdRow, ...]
    gids: tuple[IdRow, ...]

    def describe(self) -> str:
        """Return the sentence."""
        return f"map users {_words(self.uids)} and groups {_words(self.gids)} of the user namespace"

    def run(self, slots: Slots) -> None:
        """Write both, once."""
        rows = [[namespaces.IdRow(*row) for row in kind] for kind in (self.uids, self.gids)]
        namespaces.write_id_map(slots["pid"], rows[0], rows[1])


@action("time offsets")
class SetTimeOffsets(NamedTuple):
    """Shift the clocks of the time namespace that the caller made with unshare(2) and enters last, by its execve.

    Nanoseconds added to the host's clocks (time_namespaces(7)). CHILD_BEFORE_PIVOT, with CAP_SYS_TIME there.
    """

    monotonic: int
    boottime: int

    def describe(self) -> str:
        """Return the sentence."""
        return f"shift the monotonic clock by {self.monotonic} ns and the boot time by {self.boottime} ns"

    def run(self, slots: Slots) -> None:
        """Write both."""
        namespaces.set_time_offsets(self.monotonic, self.boottime)


def namespace_of(maps: Maps, slots: Slots) -> int:
    """Return the descriptor of a user namespace with these maps, made when an action of a run first asks for it.

    Its slot is named as those of detached mounts are ("mount …"), and closed with them: mounts keep what they need.
    """
    name = f"mount ids {maps}"
    if name not in slots:
        users, groups = ([namespaces.IdRow(*row) for row in rows] for rows in maps)
        slots[name] = namespaces.userns_fd(users, groups)
    return slots[name]


def _words(rows: tuple[IdRow, ...]) -> str:
    return ", ".join(
        f"{inside}-{inside + size - 1} to {outside}-{outside + size - 1}" for inside, outside, size in rows
    )
