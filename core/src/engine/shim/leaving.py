"""The last deed of a shim: to execute a command of the engine in its own place, be it to start the container again.

A shim has a mount namespace of its own. What it executes makes mounts and shims as the user's commands do, so it
belongs where those are: in the namespace and below the root directory that the shim was launched in.

A container that is to be started again is cleaned up as after any end, but its shim stays for the back-off, with its
socket and its state directory: so `ps`, `stop` and `wait` find it. Then it executes the engine's own start, which makes
a plan and a shim as for any other start. Nothing of one run is left in a process for the next: neither descriptors nor
the code of an engine that has been replaced meanwhile.

A stop is heard at each moment: during the run and the back-off by the socket; at the shim's decision, and by the start
that holds the container's lock, from the file of `engine.shim.desired`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from engine.linux import namespaces
from engine.shim import desired
from engine.shim.connection import Connection
from engine.shim.container import Container
from engine.shim.loop import Loop
from engine.shim.notes import note
from engine.tuples import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import NoReturn

_PATIENCE = 10.0
"""Seconds beyond the back-off that a client, which was there at the end, may take to read what it was sent."""


class Home(NamedTuple):
    """Descriptors of the launcher's mount namespace and root directory; they close with the execve."""

    mounts: int
    root: int


def remember() -> Home:
    """Return where this process is now."""
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return Home(namespaces.open_namespace("self", "mount"), root)


def execute(home: Home, command: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Go home and execute a command in this process's place. Raises `OSError` when that cannot be executed."""
    try:
        namespaces.setns(home.mounts, namespaces.CLONE_NEWNS)
        os.fchdir(home.root)
        os.chroot(".")
        os.chdir("/")
    except PermissionError as error:  # the launcher's namespace is another user's: this one has all that it had then
        note(f"cannot go back to the launcher's mount namespace: {error}")
    os.execve(command[0], list(command), dict(environment))


def wait(loop: Loop, container: Container, leaving: Sequence[Connection]) -> bool:
    """Serve clients until the back-off is over; return false when the container was asked to end meanwhile.

    ``leaving`` are the clients that were told of the end: they read it first, if they do so in time.
    """
    assert container.delay is not None
    passed: set[str] = set()
    loop.after(container.delay, lambda: passed.add("back-off"))
    loop.after(container.delay + _PATIENCE, lambda: passed.add("patience"))

    def done() -> bool:
        read = "patience" in passed or all(one.closed for one in leaving)
        return container.final or ("back-off" in passed and read)

    loop.run(done)
    return not container.final and desired.read(container.directory_fd) is not None


def start_again(container: Container, home: Home, *, settled: bool) -> NoReturn:
    """Execute the engine's start in this process's place. Raises `OSError` when it cannot be executed.

    ``settled``: somebody has told the observers of the end.
    """
    plan = container.plan
    command = [*plan.again, str(plan.restarts + 1), repr(container.delay), "settled" if settled else ""]
    execute(home, command, plan.environment)
