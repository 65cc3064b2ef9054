"""Connect the user to a running container, and wait for one to end."""

from __future__ import annotations

import socket
from time import sleep

from engine.containers import client, status
from engine.containers.engine import Engine
from engine.errors import Conflict, StateError
from engine.metadata import containers
from engine.metadata.containers import Record
from engine.shim.protocol import Exit

_LOOK_AGAIN = 0.05


def attach(engine: Engine, wanted: str) -> tuple[socket.socket, bool]:
    """Attach to a running container; return the connection, and whether its process has a terminal.

    Raises `Conflict` when it does not run, or has ended and is about to be restarted.
    """
    record = containers.find(engine.store.connection, wanted)
    if status.of(engine.layout, record).state == "restarting":
        raise Conflict(
            f"container {record.name!r} has ended and is about to be restarted",
            fix=f"Attach once it runs; `engine logs --follow {record.name}` shows its output at once.",
        )
    connection = client.connect(engine.layout, record.id)
    if connection is None:
        raise Conflict(
            f"container {record.name!r} is not running",
            fix=f"`engine logs {record.name}` shows its output; `engine start -a {record.name}` starts it.",
        )
    try:
        answer = client.ask(connection, {"op": "attach"})
    except BaseException:
        connection.close()
        raise
    return connection, bool(answer["terminal"])


def wait(engine: Engine, wanted: str) -> Exit:
    """Wait until a container has ended, and return how. At once for one that does not run; never polls a live shim.

    Raises `StateError` for a container that never ran.
    """
    record = containers.find(engine.store.connection, wanted)
    return wait_for(engine, record)


def wait_for(engine: Engine, record: Record) -> Exit:
    """Do the same for a record. The store is closed while it waits."""
    while True:
        connection = client.connect(engine.layout, record.id)
        if connection is not None:
            with connection:
                client.send(connection, {"op": "wait"})
                ended = client.await_exit(connection)
            if ended is not None:
                return ended
        now = status.of(engine.layout, record)
        if now.exit is not None and not now.running:
            return now.exit
        if not now.running:
            raise StateError(
                f"container {record.name!r} has not run yet", fix=f"Start it: `engine start {record.name}`."
            )
        sleep(_LOOK_AGAIN)
