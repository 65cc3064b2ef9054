"""The stage of this runtime: what `engine.actions.task.Stage` asks for, done by running the program.

    create    ``create --bundle --pid-file [--console-socket]``: the program's child waits, and is the shim's once the
              program has ended, because the shim is a subreaper
    start     ``start``, then a look whether the command was executed, which the program does not wait for
    execute   ``exec --detach --process --pid-file [--console-socket]``
    delete    ``delete --force``

Standard library, `engine.linux` and `engine.actions` only, since the shim imports it.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping, Sequence

from engine.actions.base import Slots, Step
from engine.actions.task import Created, Executed, Streams, Task, preserved
from engine.errors import KernelError, Unsupported
from engine.linux import processes
from engine.tuples import TYPE_CHECKING, NamedTuple
from engine_runtime_oci.stage import completion, failures, guard, strays
from engine_runtime_oci.stage.console import Console
from engine_runtime_oci.stage.handover import HandOver
from engine_runtime_oci.stage.program import PATIENCE, Program, directory_of, forget, prepare, readable

if TYPE_CHECKING:
    from typing import Any

    from engine.spec.runtime import Process

_LOOK_AGAIN = 0.001


class _Kept(NamedTuple):
    """A container of this process: ``name`` is the program's own (comm), by which an init that waits is known.

    ``root`` is a descriptor of the rootfs, ``console`` the terminal's master or -1; the init's ``pidfd`` is a copy.
    """

    id: str
    program: Program
    pid: int
    pidfd: int
    guard: guard.Guard
    name: str
    root: int
    console: int
    process: Mapping[str, Any]


_kept: dict[str, _Kept] = {}
"""By the task's ID: one in a shim."""


def create(task: Task, streams: Streams, slots: Slots) -> Created:
    """Have the program make the container; its init waits. See `engine.actions.task`."""
    program, before = prepare(task), strays.children()
    try:
        (given,) = (step.action for step in task.steps if isinstance(step.action, HandOver))
        document = json.loads(given.document)
        document["process"] = completion.process_of(document["process"], slots["rootfs"])
        completion.refuse_links(slots["rootfs"], [mount["destination"] for mount in document.get("mounts", ())])
        document["mounts"] = [
            *document.get("mounts", ()),
            *completion.mounts_of(task.steps, slots, program.directory, program.name),
        ]
        program.write("config.json", document)
        arguments = ["--bundle", program.directory, task.id]
        passed = [slots[preserved(number)] for number in range(task.process.get("preservedDescriptors", 0))]
        pid, console = _run(program, "create", arguments, document["process"], streams, passed)
        pidfd = processes.pidfd_open(pid)
        _kept[task.id] = _Kept(
            task.id, program, pid, os.dup(pidfd), guard.post(pidfd), _comm(pid), os.dup(slots["rootfs"]), console,
            document["process"],
        )  # fmt: skip
    except BaseException:
        delete(task)
        strays.end(before)
        raise
    slots["pid"] = pid
    return Created(pid, pidfd, -1, console >= 0)


def start(created: Created) -> int:
    """Let the init execute the command; return the terminal's master, or -1. It has ended when this raises."""
    (kept,) = (one for one in _kept.values() if one.pid == created.pid)
    try:
        kept.program.run("start", [kept.id])
        _await_execve(kept)
    except BaseException:
        _end(kept)
        raise
    return kept.console


def execute(task: Task, process: Process, steps: Sequence[Step], streams: Streams, init: int, slots: Slots) -> Executed:
    """Have the program start one more process, in the container of ``init``. See `engine.actions.task`."""
    program = _kept[task.id].program
    for step in steps:
        raise Unsupported(f"the runtime {program.name} cannot {step.action.describe()}", fix="Use --runtime native.")
    root = os.open(f"/proc/{processes.pidfd_pid(init)}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        given = completion.process_of(process, root)
    finally:
        os.close(root)
    arguments = ["--detach", "--process", program.write("process.json", given), task.id]
    before = strays.children()
    try:
        pid, console = _run(program, "exec", arguments, given, streams)
    except BaseException:
        strays.end(before)
        raise
    slots["pid"] = pid
    return Executed(pid, processes.pidfd_open(pid), console)


def delete(task: Task) -> None:
    """Have the program forget the container, and forget it as well; whatever of it is still there is killed."""
    kept = _kept.pop(task.id, None)
    if kept is not None:
        kept.guard.dismiss()
        os.close(kept.pidfd)
        os.close(kept.root)
    if os.path.exists(f"{directory_of(task)}/config.json"):
        program = Program(
            task.arguments["name"], task.arguments["path"], directory_of(task),
            bool(task.arguments.get("systemd_cgroup")),
        )  # fmt: skip
        program.run("delete", ["--force", task.id])
    forget(task)


def _run(
    program: Program,
    command: str,
    arguments: Sequence[str],
    process: Mapping[str, Any],
    streams: Streams,
    passed: Sequence[int] = (),
) -> tuple[int, int]:
    """Run a command that makes a process; return its pid, and the master of the terminal that it asks for or -1.

    The process gets the descriptors ``passed`` from 3 on.
    """
    file = f"{command}.pid"
    words = ["--pid-file", f"{program.directory}/{file}"]
    if passed:
        words += ["--preserve-fds", str(len(passed))]
    if not process.get("terminal"):
        program.finish(program.begin(command, [*words, *arguments], streams, passed), command, process["args"][0])
        return program.read_pid(file), -1
    console = Console(program)
    try:
        running = program.begin(command, [*words, "--console-socket", console.path, *arguments], None, passed)
        master = console.receive(running, process)
    finally:
        console.close()
    try:
        program.finish(running, command, process["args"][0])
        if master < 0:
            raise KernelError(f"{program.name} {command} sent no terminal")
        return program.read_pid(file), master
    except BaseException:
        if master >= 0:
            os.close(master)
        raise


def _await_execve(kept: _Kept) -> None:
    """Return once the command was executed: until then the init bears the program's name. Raises when it was not.

    A process that has ended keeps its name until it is waited for, so one that ended at once is told as well.
    """
    for _ in range(int(PATIENCE / _LOOK_AGAIN)):
        ended = readable(kept.pidfd, 0)
        if _comm(kept.pid) != kept.name:
            return
        if ended:
            environment = dict(pair.split("=", 1) for pair in kept.process.get("env", ()) if "=" in pair)
            raise failures.not_executed(kept.root, kept.process["args"], environment)
        readable(kept.pidfd, _LOOK_AGAIN)
    raise KernelError(f"the command was not executed within {PATIENCE:.0f} seconds")


def _comm(pid: int) -> str:
    with open(f"/proc/{pid}/comm", encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def _end(kept: _Kept) -> None:
    """Kill an init that has no future, wait for it, and for its guard."""
    if kept.console >= 0:
        os.close(kept.console)
    processes.pidfd_send_signal(kept.pidfd, signal.SIGKILL)
    processes.wait(kept.pid)
    kept.guard.dismiss()
    os.close(kept.pidfd)
    os.close(kept.root)
    del _kept[kept.id]
