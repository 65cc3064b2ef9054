"""Actions on cgroup directories. Making one is journalled: it outlives every process; kill and rmdir undo it.

A container's first process gets into its group in one of two cheap ways. The v2 directory is opened into the slot
``cgroup`` and cloned into. The v1 ``tasks`` files are opened into slots before the clone and the child writes itself
there: moving *another* process makes the kernel wait for an RCU grace period first (10 ms on a quiet machine), moving
oneself does not.
"""

from __future__ import annotations

import os

from engine.actions.base import Phase, Slots, Step, action
from engine.linux import bpf, cgroup_tree, cgroups
from engine.tuples import NamedTuple

_PATIENCE = 2.0
"""Seconds for systemd to remove an empty scope by itself; it takes some milliseconds."""
_SILENT = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1, 2)]


@action("cgroup", journalled=True)
class MakeCgroup(NamedTuple):
    """Make a container's directory in each hierarchy, and the missing parents below the mount points (cgroups(7)).

    ``v2`` is the directory in the v2 hierarchy or ``""``; ``v1`` are pairs of controller and directory (several
    controllers may share one). The name holds the mark of the engine's root and the container's ID, so whatever bears
    it belongs to this container: an existing directory is an error, and undoing removes it all the same.
    """

    v2: str
    v1: tuple[tuple[str, str], ...] = ()

    def group(self) -> cgroups.Group:
        """Return the directories as a group."""
        return cgroups.Group(dict(self.v1), self.v2)

    def describe(self) -> str:
        """Return the sentence."""
        return f"make cgroup {', '.join(self.group().directories)}"

    def run(self, slots: Slots) -> None:
        """Make them; a v1 cpuset gets the cpus and memory nodes of its parent, since no task may join before."""
        group = self.group()
        for path in group.directories:
            cgroup_tree.make(path, cpuset=path == group.v1.get("cpuset"))

    def undo(self, slots: Slots) -> None:
        """Kill every process inside, wait for them, remove the directories and the parents made along with them."""
        cgroup_tree.discard(self.group())


@action("cgroup", journalled=True)
class AdoptScope(NamedTuple):
    """Note the directories that systemd is about to make for ``unit``; to run it does nothing, to undo it removes them.

    systemd removes a scope itself when the v2 tree tells that its last process is gone, and only then forgets the unit:
    directories removed behind its back leave the unit behind. Without a v2 tree, or when it does not react, it is told
    to stop the unit. ``user`` means the user's own systemd.
    """

    unit: str
    user: bool
    v2: str
    v1: tuple[tuple[str, str], ...] = ()

    def describe(self) -> str:
        """Return the sentence."""
        return f"take charge of the processes of {self.unit}"

    def run(self, slots: Slots) -> None:
        """Do nothing: what matters is that the journal names the directories before they exist."""

    def undo(self, slots: Slots) -> None:
        """Kill every process inside, wait until systemd has removed the scope, remove what it does not manage."""
        group = cgroups.Group(dict(self.v1), self.v2)
        cgroups.kill(group)
        if not (self.v2 and cgroup_tree.vanishes(self.v2, _PATIENCE)) and any(map(os.path.isdir, group.directories)):
            self._stop()
        cgroup_tree.discard(group)

    def _stop(self) -> None:
        # Its exit status does not matter: a unit that is gone is fine, and without systemd the directories still go.
        whose = "--user" if self.user else "--system"
        command = ["systemctl", whose, "--quiet", "--no-block", "stop", self.unit]
        pid = os.posix_spawnp(command[0], command, os.environ, file_actions=_SILENT)
        os.waitpid(pid, 0)


@action("cgroup")
class WriteCgroup(NamedTuple):
    """Write one value to a cgroup file; ``meaning`` is the limit in words ("memory limit 64 MiB")."""

    path: str
    value: str
    meaning: str

    def describe(self) -> str:
        """Return the sentence."""
        return f"set {self.meaning}: write {self.value!r} to {self.path}"

    def run(self, slots: Slots) -> None:
        """Write it in one call, as the kernel's parsers expect."""
        directory, name = os.path.split(self.path)
        cgroups.write_value(directory, name, self.value)


@action("cgroup")
class AllowRealtime(NamedTuple):
    """Give a v1 cpu group a realtime budget, and before it the parents that were made along with it.

    A group's budget comes out of its parent's, which starts at none (scheduler/sched-rt-group.rst). ``runtime`` of each
    ``period``, in microseconds. Parents of the user's own keep what they have: the kernel says when that is too little.
    A group that has a budget already keeps it: the write that changes it comes after this.
    """

    path: str
    runtime: int
    period: int

    def describe(self) -> str:
        """Return the sentence."""
        return f"allow {self.path} and the groups above it {self.runtime} µs of realtime in {self.period} µs"

    def run(self, slots: Slots) -> None:
        """Raise the budgets, from the top down, and take this one."""
        cgroup_tree.allow_realtime(self.path, self.runtime, self.period)


@action("cgroup")
class RestrictDevices(NamedTuple):
    """Attach a device filter to a v2 directory (bpf(2)); it goes with the directory.

    ``exceptions`` are rows of type (``c`` or ``b``), major, minor (-1: any) and accesses (out of ``rwm``), for which
    the answer is the opposite of ``allow``.
    """

    path: str
    allow: bool
    exceptions: tuple[tuple[str, int, int, str], ...]

    def describe(self) -> str:
        """Return the sentence."""
        default = "allows all devices" if self.allow else "denies all devices"
        return f"attach to {self.path} a device filter that {default} but for {len(self.exceptions)} rules"

    def run(self, slots: Slots) -> None:
        """Attach it, in place of one that is there."""
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            bpf.restrict_devices(fd, self.allow, self.exceptions)
        finally:
            os.close(fd)


@action("cgroup")
class OpenCgroup(NamedTuple):
    """Open a v2 directory into the slot ``cgroup``, to clone into (clone(2), CLONE_INTO_CGROUP)."""

    path: str

    def describe(self) -> str:
        """Return the sentence."""
        return f"open cgroup {self.path} to clone into"

    def run(self, slots: Slots) -> None:
        """Set the slot; the descriptor is closed by whoever owns the slots."""
        slots["cgroup"] = os.open(self.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


@action("cgroup")
class OpenEntrances(NamedTuple):
    """Open the ``tasks`` files of v1 directories into the slots ``cgroup:0``, ``cgroup:1`` …, for `EnterCgroups`.

    Opened by the parent because the kernel asks whether the *opener* may move the process, and because a child in a
    user namespace of its own could not open them.
    """

    paths: tuple[str, ...]

    def describe(self) -> str:
        """Return the sentence."""
        return f"open the tasks files of {', '.join(self.paths)}"

    def run(self, slots: Slots) -> None:
        """Set the slots; the descriptors are closed by whoever owns the slots."""
        for number, path in enumerate(self.paths):
            slots[f"cgroup:{number}"] = os.open(f"{path}/tasks", os.O_WRONLY | os.O_CLOEXEC)


@action("cgroup")
class EnterCgroups(NamedTuple):
    """Move the calling process, which must have one thread, into the directories that `OpenEntrances` opened.

    Run by the child before it makes a cgroup namespace, whose root is where it is at that moment.
    """

    paths: tuple[str, ...]

    def describe(self) -> str:
        """Return the sentence."""
        return f"enter {', '.join(self.paths)}"

    def run(self, slots: Slots) -> None:
        """Write 0, which is the writer itself, to each file, and close it in this process."""
        for number, path in enumerate(self.paths):
            fd = slots.pop(f"cgroup:{number}")
            try:
                os.write(fd, b"0")
            except OSError as error:
                raise OSError(error.errno, error.strerror, path) from None
            finally:
                os.close(fd)


@action("cgroup")
class CloseEntrances(NamedTuple):
    """Close the parent's descriptors of that many entrances after the clone; the child has its own."""

    entrances: int

    def describe(self) -> str:
        """Return the sentence."""
        return f"close the {self.entrances} tasks files"

    def run(self, slots: Slots) -> None:
        """Close them and forget the slots."""
        for number in range(self.entrances):
            os.close(slots.pop(f"cgroup:{number}"))


def entrance(group: cgroups.Group, plugin: str = "") -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """Return how a new process gets into an existing group: PARENT_BEFORE steps, and those it runs itself first of all.

    For a container's init and for exec alike.
    """
    before: list[Step] = []
    inside: list[Step] = []
    v1 = tuple(dict.fromkeys(group.v1.values()))
    if group.v2:
        before.append(Step(Phase.PARENT_BEFORE, OpenCgroup(group.v2), plugin))
    if v1:
        before.append(Step(Phase.PARENT_BEFORE, OpenEntrances(v1), plugin))
        inside.append(Step(Phase.CHILD_BEFORE_PIVOT, EnterCgroups(v1), plugin))
    return tuple(before), tuple(inside)
