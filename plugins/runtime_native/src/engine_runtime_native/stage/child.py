"""The child's side: from the clone to execve. Nothing here imports, resolves a name or follows a path of the image.

It reports to the shim by its channel and ends by execve or ``_exit``; no exception leaves it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence

from engine.actions.base import Phase, Slots, Step, kind_of, of_phase
from engine.actions.execute import failure, mark, now, take_marks, trace_again
from engine.actions.task import Streams, Task
from engine.errors import EngineError, KernelError
from engine.linux import namespaces, processes
from engine.tuples import TYPE_CHECKING, NamedTuple
from engine_runtime_native.stage import cgroups, command, identity, root, seal
from engine_runtime_native.stage.channel import Channel

if TYPE_CHECKING:
    from typing import NoReturn

    from engine.spec.runtime import Process

_FAILED = 125


class Entry(NamedTuple):
    """The container that an exec'ed process enters: its init's pidfd and pid, and which namespaces are its own."""

    pidfd: int
    pid: int
    kinds: frozenset[str]


def run_init(task: Task, streams: Streams, slots: Slots, channel: Channel) -> NoReturn:
    """Become the container's init."""
    _guarded(channel, lambda: _init(task, streams, slots, channel))


def run_exec(
    process: Process, steps: Sequence[Step], streams: Streams, slots: Slots, channel: Channel, entry: Entry
) -> NoReturn:
    """Become one more process of a running container."""
    _guarded(channel, lambda: _exec(process, steps, streams, slots, channel, entry))


def entering_cgroup(fd: int, body: Callable[[], NoReturn]) -> Callable[[], NoReturn]:
    """Return ``body`` with the caller moved into the v2 cgroup directory ``fd`` first."""

    def enter() -> NoReturn:
        procs = os.open("cgroup.procs", os.O_WRONLY | os.O_CLOEXEC, dir_fd=fd)
        os.write(procs, b"0")
        os.close(procs)
        body()

    return enter


def flags_of(kinds: Iterable[str]) -> int:
    """Return the CLONE_NEW* flags of these kinds."""
    flags = 0
    for kind in kinds:
        flags |= namespaces.KINDS[kind].flag
    return flags


def _guarded(channel: Channel, body: Callable[[], None]) -> NoReturn:
    try:
        seal.close_imports()
        trace_again("container")
        # It may be in a pid namespace of others already.
        processes.set_dumpable(False)
        body()
    except EngineError as error:
        channel.send_error(error)
    except OSError as error:
        subject = f" ({error.filename})" if error.filename is not None else ""
        channel.send_error(KernelError(f"the container's process failed: {error.strerror or error}{subject}"))
    except BaseException as error:  # noqa: BLE001 - a traceback would open files of the container
        channel.send_error(EngineError(f"the native runtime met what it did not expect: {error!r}"))
    finally:
        seal.leave(_FAILED)


def _init(task: Task, streams: Streams, slots: Slots, channel: Channel) -> None:
    _keep_only(streams, slots, channel)
    try:
        # What needs nothing of the shim any more is done while it is busy; a failure is told when it listens.
        began = now()
        root.take(slots)
        mark(-1, began, "make the root filesystem a mount that nothing of the host's reaches")
        user = identity.resolve(slots["rootfs"], task.process.get("user", {}))
    finally:
        _wait(channel)
    slots["uid"] = user.uid
    steps = of_phase(task.steps, Phase.CHILD_BEFORE_PIVOT)
    entering = _leading_cgroup_steps(steps)
    _run(entering, slots)
    began = now()
    _enter_namespaces(task, steps, slots)
    mark(-1, began, "make and join the namespaces that need their maker to be in its cgroup")
    _run(steps[len(entering) :], slots)
    time = namespaces.own_time_namespace() if "time" in task.unshare else None
    processes.set_dumpable(False)
    began = now()
    root.pivot(slots["rootfs"])
    mark(-1, began, "make it the root, and let go of the host's")
    _become(task.process, task.steps, user, slots, channel, time)


def _exec(
    process: Process, steps: Sequence[Step], streams: Streams, slots: Slots, channel: Channel, entry: Entry
) -> None:
    slots["init"] = entry.pidfd
    _keep_only(streams, slots, channel)
    try:
        outside = os.open(f"/proc/{entry.pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        user = identity.resolve(outside, process.get("user", {}))
        os.close(outside)
    finally:
        _wait(channel)
    slots["uid"] = user.uid
    _run(of_phase(steps, Phase.CHILD_BEFORE_PIVOT), slots)
    _join(entry)
    slots["rootfs"] = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    os.fchdir(slots["rootfs"])
    _become(process, steps, user, slots, channel)


def _join(entry: Entry) -> None:
    """Enter the namespaces of the init; the user namespace last, as it takes the rights over the host's away."""
    flags = flags_of(entry.kinds - {"pid", "user"})
    if flags:
        namespaces.setns(entry.pidfd, flags)
    if "user" in entry.kinds:
        root.forget_groups()
        namespaces.setns(entry.pidfd, namespaces.CLONE_NEWUSER)
        root.become_root()
        processes.set_dumpable(False)


def _become(
    process: Process,
    steps: Sequence[Step],
    user: identity.Resolved,
    slots: Slots,
    channel: Channel,
    time: int | None = None,
) -> None:
    """Run the last steps, inside the container's root, and execute the command.

    ``time`` is a time namespace that no execve will enter. While rights to enter it are left is before the last steps,
    which a trace does not tell of then: its clock is another.
    """
    marks = None
    if time is not None:
        marks = take_marks()
        namespaces.setns(time, namespaces.CLONE_NEWTIME)
    _run(identity.settled(of_phase(steps, Phase.CHILD_AFTER_PIVOT), user), slots)
    environment = identity.environment(process.get("env", []), user)
    channel.say("executing", take_marks() if marks is None else marks)
    command.execute(process["args"], environment)


def _keep_only(streams: Streams, slots: Slots, channel: Channel) -> None:
    """Name the descriptors that the steps use as slots, and close all others: they are the host's."""
    count = sum(name.startswith("preserved ") for name in slots)
    if count:
        channel.move(3 + count)
    slots.update(stdin=streams.stdin, stdout=streams.stdout, stderr=streams.stderr, channel=channel.fileno())
    seal.close_descriptors(slots.values())


def _wait(channel: Channel) -> None:
    """Wait for the shim; without it there is nobody to run for."""
    if not channel.wait_go():
        seal.leave(0)


def _leading_cgroup_steps(steps: Sequence[Step]) -> list[Step]:
    """Return the steps at the head that enter cgroups: a cgroup namespace is rooted where its maker is."""
    leading = []
    for step in steps:
        if kind_of(step.action).call != "cgroup":
            break
        leading.append(step)
    return leading


def _enter_namespaces(task: Task, steps: Sequence[Step], slots: Slots) -> None:
    """Make or join the namespaces that are entered after the clone, and be root in the user namespace."""
    cgroups.open_own(steps, slots)
    kinds = {*task.clone, *(kind for kind, _path in task.joins)}
    if "user" in kinds:
        root.become_root()
        # With nobody else in these namespaces yet, /proc/self must be ours to write clock offsets.
        processes.set_dumpable(not task.joins)
    for kind, path in task.joins:
        if kind == "cgroup":
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            namespaces.setns(fd, namespaces.CLONE_NEWCGROUP)
            os.close(fd)
    if task.unshare:
        namespaces.unshare(flags_of(task.unshare))


def _run(steps: Iterable[Step], slots: Slots) -> None:
    for step in steps:
        began = now()
        try:
            step.action.run(slots)
        except OSError as error:
            raise failure(step, error) from error
        mark(step.phase, began)
