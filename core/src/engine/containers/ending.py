"""What is to be done once a container has ended: say so, and remove it where that was promised.

Done by the command that stayed with the container; when there is none (it was detached, or killed), by a process that
the shim executes as its last deed (`reap`).
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from engine.containers import client, erase, status
from engine.containers.console import Console
from engine.containers.engine import Engine
from engine.containers.telling import tell_observers
from engine.contracts.observer import Topic
from engine.errors import NotFound
from engine.metadata import containers
from engine.metadata.containers import Record
from engine.shim.launch import Launched
from engine.shim.protocol import Exit
from engine.spec.options import RunOptions


def stay(
    engine: Engine,
    record: Record,
    shim: Launched,
    *,
    stdin: bool,
    detach_keys: bytes,
    forward: bool = True,
    outputs: Collection[str] = ("stdout", "stderr"),
) -> int:
    """Relay an attached container's streams until it ends; return its exit status, or 0 when the user detached.

    ``forward`` and ``outputs`` are `engine.containers.console.Console`'s.
    """
    options = RunOptions.from_plain(record.options)
    if options.tty:
        engine.close()  # the console forks
    ended = Console(
        shim.connection, stdin=stdin, tty=options.tty, detach_keys=detach_keys, forward=forward, outputs=outputs
    ).run()
    if ended is None:
        shim.close()
        return 0
    settle(engine, record, ended)
    client.send(shim.connection, {"op": "settled"})
    shim.close()
    if not ended.again:
        shim.reap()
    return ended.code


def settle(engine: Engine, record: Record, ended: Exit) -> None:
    """Tell of a container's end, and remove it if it was started with ``--rm``."""
    tell_observers(Topic.DIE, record, **ended.attributes(record.started))
    if record.options.get("rm"):
        with engine.locked(record.id):
            erase.ended(engine, record)


def reap(root: str, state: str, container_id: str) -> None:
    """Do `settle` for a container that ended with nobody attached: the program that the shim executes."""
    from engine.settings import load

    with Engine(load({"root": Path(root), "state": Path(state)})) as engine:
        try:
            record = containers.find(engine.store.connection, container_id)
        except NotFound:  # somebody removed it in the meantime
            return
        ended = status.of(engine.layout, record).exit
        if ended is not None:
            settle(engine, record, ended)
