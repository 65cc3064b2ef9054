"""The shim's side: clone the child where it belongs, let it go, hear what became of it.

A new init is one clone3 into all its namespaces. When it also joins some, a helper process does the joining and clones
with CLONE_PARENT, so that the init is the shim's own child and the shim itself never changes. An exec'ed process is one
clone3 too: its pid namespace is taken through the shim's "for children" and given back at once.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Sequence

from engine.actions import execute as steps_of
from engine.actions.base import Phase, Slots, Step, of_phase
from engine.actions.task import Streams, Task
from engine.errors import EngineError, KernelError
from engine.linux import namespaces, processes
from engine.linux.advice import advise
from engine.linux.syscalls import explain
from engine.tuples import TYPE_CHECKING, NamedTuple
from engine_runtime_native.stage import child, root, seal
from engine_runtime_native.stage.channel import Channel, Cloned
from engine_runtime_native.stage.streams import share

if TYPE_CHECKING:
    from typing import NoReturn

    from engine.spec.runtime import Process

_PATIENCE = 60.0
"""Seconds that a child gets from its start to execve: a hostile image must not hang the shim for good."""


class Launched(NamedTuple):
    """A child that waits: the shim's end of its channel, and its pidfd."""

    channel: Channel
    pidfd: int


def init(task: Task, streams: Streams, slots: Slots) -> Launched:
    """Clone the container's init; set ``slots["pid"]``. When it raises `OSError` or `EngineError` there is no child."""
    share(streams)
    ours, theirs = Channel.pair()
    here = os.open(".", os.O_PATH | os.O_CLOEXEC)
    try:
        # A clone of the mount namespace takes the working directory along into the copy, and no other descriptor.
        os.fchdir(slots["rootfs"])
        cloned = _clone_init(task, slots, lambda: child.run_init(task, streams, slots, theirs))
    except BaseException:
        ours.close()
        raise
    finally:
        os.fchdir(here)
        os.close(here)
        theirs.close()
    _close_detached(slots)
    slots["pid"] = cloned.pid
    return Launched(ours, cloned.pidfd)


def joined(
    task: Task, process: Process, steps: Sequence[Step], streams: Streams, init_fd: int, slots: Slots
) -> Launched:
    """Clone a process for the container of ``init_fd``, a pidfd; run its PARENT_AFTER steps; set ``slots["pid"]``."""
    share(streams)
    ours, theirs = Channel.pair()
    kinds = {*task.clone, *task.unshare, *(kind for kind, _path in task.joins)}
    entry = child.Entry(init_fd, processes.pidfd_pid(init_fd), frozenset(kinds))
    body = lambda: child.run_exec(process, steps, streams, slots, theirs, entry)  # noqa: E731 - as in `init`
    try:
        cloned = _clone_in_pid_namespace(init_fd, slots, body) if "pid" in kinds else clone(0, slots, body)
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    slots["pid"] = cloned.pid
    try:
        steps_of.run(of_phase(steps, Phase.PARENT_AFTER), slots)
    except BaseException:
        ours.close()
        _reap(cloned.pidfd)
        os.close(cloned.pidfd)
        raise
    return Launched(ours, cloned.pidfd)


def release(channel: Channel, pidfd: int) -> int:
    """Let a waiting child go and return once its command was executed: the terminal's master, or -1.

    Raises the child's error, after it has ended and was waited for.
    """
    console = -1
    executing = False
    try:
        channel.send_go()
        while True:
            word, more, fd = channel.outcome(_PATIENCE)
            if not word:
                break
            if word == "executing":
                executing = True
                steps_of.add_marks(more)
            console = fd if word == "console" else console
        if not executing:
            raise KernelError(
                "the container's first steps were cut short: their process was killed",
                fix="Look for an out-of-memory kill (dmesg), or a memory limit too low to start in.",
            )
    except BaseException as error:
        if console >= 0:
            os.close(console)
        _reap(pidfd)
        if isinstance(error, TimeoutError):
            raise KernelError(f"the command was not executed within {_PATIENCE:.0f} seconds") from error
        raise
    finally:
        channel.close()
    return console


def clone(flags: int, slots: Slots, body: Callable[[], NoReturn], exit_signal: int = signal.SIGCHLD) -> Cloned:
    """Clone into the cgroup of slot ``cgroup``, if there is one; the child runs ``body``.

    Where clone3 is hidden by a filter, which clone(2) is not, the child writes itself into the cgroup instead. Raises
    `KernelError` with what the kernel means by its refusal.
    """
    cgroup = slots.get("cgroup")
    try:
        made = processes.clone3(flags, cgroup, exit_signal)
    except OSError as error:
        if error.errno != errno.ENOSYS or cgroup is None:
            raise _not_made(error) from error
        made = processes.clone3(flags, None, exit_signal)
        body = child.entering_cgroup(cgroup, body) if made.pid == 0 else body
    if made.pid == 0:
        body()
    return Cloned(made.pid, made.pidfd)


def _not_made(error: OSError) -> KernelError:
    number = error.errno or 0
    reason = explain(number, "clone")
    raised = KernelError(
        f"the container's process could not be made: {error.strerror} ({reason})", fix=advise(number, "clone")
    )
    raised.errno, raised.meaning = errno.errorcode.get(number, ""), reason
    return raised


def _clone_init(task: Task, slots: Slots, body: Callable[[], NoReturn]) -> Cloned:
    flags = child.flags_of(task.clone)
    if not any(kind != "cgroup" for kind, _path in task.joins):
        return clone(flags, slots, body)
    opened: list[tuple[str, int]] = []
    try:
        for kind, path in task.joins:
            if kind != "cgroup":
                opened.append((kind, os.open(path, os.O_RDONLY | os.O_CLOEXEC)))
        return _bridge(opened, flags, slots, body)
    finally:
        for _kind, fd in opened:
            os.close(fd)


def _bridge(joins: Sequence[tuple[str, int]], flags: int, slots: Slots, body: Callable[[], NoReturn]) -> Cloned:
    """Have a helper join, and clone the init as the shim's child."""
    ours, theirs = Channel.pair()
    helper = processes.clone3()
    if helper.pid == 0:
        _run_bridge(joins, flags, slots, body, theirs)
    theirs.close()
    try:
        word, pid, pidfd = ours.outcome(_PATIENCE)
        if not word:
            raise KernelError("the process that joins the container's namespaces was killed")
        return Cloned(pid, pidfd)
    finally:
        ours.close()
        _reap(helper.pidfd)
        os.close(helper.pidfd)


def _run_bridge(
    joins: Sequence[tuple[str, int]], flags: int, slots: Slots, body: Callable[[], NoReturn], channel: Channel
) -> NoReturn:
    """Join in the helper; the user namespace comes last, since it takes away the rights over the host's own."""
    try:
        seal.close_imports()
        root.forget_groups()
        for kind, fd in sorted(joins, key=lambda join: join[0] == "user"):
            _join(kind, fd)
        cloned = clone(flags | processes.CLONE_PARENT, slots, body, exit_signal=0)
        channel.send_descriptor("cloned", cloned.pid, cloned.pidfd)
    except EngineError as error:
        channel.send_error(error)
    except OSError as error:
        channel.send_error(KernelError(f"the container's process could not be made: {error.strerror or error}"))
    finally:
        seal.leave(0)


def _join(kind: str, fd: int) -> None:
    try:
        namespaces.setns(fd, namespaces.KINDS[kind].flag)
    except OSError as error:
        reason = explain(error.errno or 0, "setns")
        raise KernelError(f"could not join the {kind} namespace: {error.strerror} ({reason})") from error


def _clone_in_pid_namespace(init_fd: int, slots: Slots, body: Callable[[], NoReturn]) -> Cloned:
    own = namespaces.open_namespace("self", "pid")
    try:
        namespaces.setns(init_fd, namespaces.CLONE_NEWPID)
        try:
            return clone(0, slots, body)
        finally:
            namespaces.setns(own, namespaces.CLONE_NEWPID)
    finally:
        os.close(own)


def _close_detached(slots: Slots) -> None:
    """Close the detached mounts that the child has its own copies of: what it does not attach is unmounted with it."""
    for name in [name for name in slots if name.startswith("mount ")]:
        os.close(slots.pop(name))


def _reap(pidfd: int) -> None:
    """Kill a child that has no future, and wait for it, unless somebody did."""
    try:
        processes.pidfd_send_signal(pidfd, signal.SIGKILL)
        processes.wait(pidfd, pidfd=True)
    except (ProcessLookupError, ChildProcessError):
        return
