"""The shim's program: started by `engine.shim.launch` in a bare interpreter, with the launcher's socket as 3.

It runs as root in a session and a mount namespace of its own (a slave of the host's, so that nothing it mounts shows on
the host and what the host unmounts goes away here). It is the subreaper of everything the container leaves behind.
Standard error is the file ``shim.log`` beside the container: empty, unless something went wrong.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence

from engine.actions import execute
from engine.actions.task import Stage, Task, preserved
from engine.errors import StateError, from_plain
from engine.linux import mounts, namespaces, processes
from engine.shim import leaving, protocol, records
from engine.shim.connection import Connection
from engine.shim.container import Container
from engine.shim.leaving import Home
from engine.shim.log import Log
from engine.shim.loop import Loop
from engine.shim.notes import report, told
from engine.shim.plan import Plan
from engine.shim.protocol import Exit
from engine.shim.server import Server
from engine.tuples import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


def main() -> None:
    """Keep one container until it has ended and everyone was told; never returns."""
    launcher = socket.socket(fileno=protocol.LAUNCHER_FD)
    launcher.set_inheritable(False)
    # The program, and what whoever ran the command had open: a lock, a pipe.
    processes.close_range(protocol.LAUNCHER_FD + 1)
    code = 1
    try:
        code = serve(launcher)
    except BaseException as error:  # noqa: BLE001  # the process ends here, and its log is all that speaks for it
        report(error)
    finally:
        os._exit(code)  # nothing to finalize: skipping the interpreter's shutdown saves several milliseconds


def serve(launcher: socket.socket) -> int:
    """Receive the plan, start the container, serve it to its end."""
    loop = Loop()
    try:
        passed: list[int] = []
        message = await_plan(launcher, passed)
        if message is None:
            return 0  # the command gave up before it had a plan
        plan, stage = read_plan(message)
        if plan.trace:
            execute.begin_trace("shim")
        began = execute.now()
        home = leaving.remember()
        isolate()
        execute.mark(-1, began, "take a mount namespace of its own")
        open_report(plan.directory)
        container = Container(loop, plan, stage, open_log(plan))
        container.slots.update({preserved(number): fd for number, fd in enumerate(passed)})
        if plan.group is not None:
            records.write(container.state_fd, "group", plan.group, sync=False)
        records.write(container.state_fd, "shim", processes.identity(), sync=False)
        server = Server(loop, container)
        init = container.start(lambda pid: ask_for_unit(launcher, pid))
    except Exception as error:  # noqa: BLE001  # a stage is a plugin's: whatever it raises, the user is told
        refuse(launcher, error)
        return 1
    connection = server.adopt(launcher)
    connection.send(protocol.control({"started": init.pid, **({"trace": execute.take_marks()} if plan.trace else {})}))
    if plan.attach:
        server.follow(connection, init)
    else:
        connection.finish()
    loop.run(lambda: init.ended is not None)
    say_goodbye(loop, server, container, connection, home)
    return 0


def await_plan(launcher: socket.socket, passed: list[int]) -> dict[str, Any] | None:
    """Return the launcher's message with the plan, or None; import what it says to expect in the meantime.

    Descriptors for the container are appended to ``passed``.
    """
    while (received := protocol.receive(launcher)) is not None:
        message: dict[str, Any] = json.loads(received[1])
        if message.get("op") == "descriptors":
            passed += protocol.receive_descriptors(launcher, message["count"])
        elif message.get("op") != "expect":
            return message
        for module in message.get("modules", ()):
            import_from(module, message["paths"])
    return None


def import_from(module: str, paths: Sequence[str]) -> Any:
    """Import a plugin's module from its own directory and return it."""
    sys.path.extend(path for path in paths if path not in sys.path)
    __import__(module)
    return sys.modules[module]


def read_plan(message: dict[str, Any]) -> tuple[Plan, Stage]:
    """Import the stage (which registers its actions) and decode the plan."""
    if message.get("op") != "start":
        raise StateError(f"the launcher said {message.get('op')!r} first")
    data = message["plan"]
    stage: Stage = import_from(data["stage"], data["paths"])
    return Plan.of_plain(data, Task.of_plain(data["task"])), stage


def isolate() -> None:
    """Leave the launcher's session, mount namespace and signals; become the subreaper of what will be left behind."""
    namespaces.unshare(namespaces.CLONE_NEWNS)
    mounts.make_propagation("/", mounts.MS_SLAVE | mounts.MS_REC)
    processes.set_child_subreaper()
    processes.set_name("engine-shim")
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)


def open_report(directory: str) -> None:
    """Make standard error the file ``shim.log`` in the container's directory."""
    fd = os.open(f"{directory}/shim.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.dup2(fd, 2)
    os.close(fd)


def open_log(plan: Plan) -> Log | None:
    """Open the container's log, unless its driver keeps none."""
    if plan.sink is None:
        return None
    module, arguments = plan.sink
    return Log(module, arguments, plan.directory)


def ask_for_unit(launcher: socket.socket, pid: int) -> None:
    """Have the launcher make the cgroup driver's unit around ``pid``: the driver is in its process, not in this one."""
    launcher.sendall(protocol.control({"unit": pid}))
    answer = protocol.receive(launcher)
    if answer is None:
        raise StateError("the command that started the container was killed before its cgroup was made")
    if answer[0] == protocol.ERROR:
        raise from_plain(json.loads(answer[1]))


def refuse(launcher: socket.socket, error: Exception) -> None:
    """Tell the launcher why there is no container."""
    try:
        launcher.sendall(protocol.error_frame(told(error)))
    except OSError as gone:  # it was killed: nobody to tell
        report(gone)


def say_goodbye(loop: Loop, server: Server, container: Container, launcher: Connection, home: Home) -> None:
    """Clean up, tell every client, and see to it that what the launcher would do now is done.

    A container that is to be started again is, unless it is asked to end before; then this never returns.
    """
    ended = container.finish()
    attached = launcher if container.plan.attach and not launcher.closed else None
    settled = hear_settled(attached)
    if container.delay is not None:
        told = tell_end(server, ended._replace(again=True), attached)
        if leaving.wait(loop, container, told):
            ended = start_again(container, ended, home, settled=settled())
        container.delay = None
        container.put_away()
    server.stop_listening()
    tell_end(server, ended, attached)
    loop.run(lambda: not server.connections)
    if container.plan.reaper and not settled():
        leaving.execute(home, container.plan.reaper, container.plan.environment)


def tell_end(server: Server, ended: Exit, attached: Connection | None) -> list[Connection]:
    """Tell every client how the container ended; return them. They are closed when they have read it, but ``attached``,
    which closes by itself when it has done its part."""
    told = list(server.connections)
    for connection in told:
        connection.send(protocol.exit_frame(ended))
        if connection is not attached:
            connection.finish()
    return told


def hear_settled(attached: Connection | None) -> Callable[[], bool]:
    """Listen to the launcher; return what tells whether it has said that it did its part."""
    heard = set()

    def on_frame(_connection: Connection, kind: int, payload: bytes) -> None:
        if kind == protocol.CONTROL:
            heard.add(json.loads(payload).get("op"))

    if attached is not None:
        attached.on_frame = on_frame
    return lambda: "settled" in heard


def start_again(container: Container, ended: Exit, home: Home, *, settled: bool) -> Exit:
    """Make way for the next run; return only when that cannot be executed, with this reason on record."""
    try:
        leaving.start_again(container, home, settled=settled)
    except OSError as error:
        report(error)
        failed = ended._replace(reason=f"it could not be started again: {error}")
        records.write(container.directory_fd, "exit", failed, sync=True)
        return failed
