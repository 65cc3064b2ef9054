"""What is to be done once a container has ended: say so, and remove it where that was promised.

Done by the command that stayed with the container; when there is none (it was detached, or killed), by a process that
the shim executes as its last deed (`reap`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from engine import plugins
from engine.containers import erase, status
from engine.containers.console import Console
from engine.containers.engine import Engine
from engine.containers.telling import tell, tell_observers
from engine.contracts.observer import Topic
from engine.errors import NotFound
from engine.metadata import containers
from engine.metadata.containers import Record
from engine.shim import protocol
from engine.shim.launch import Launched
from engine.shim.protocol import Exit
from engine.spec.options import RunOptions

_PROGRAM = "import sys; from engine.containers.ending import reap; reap(*sys.argv[1:])"


def stay(engine: Engine, record: Record, shim: Launched, *, stdin: bool, detach_keys: bytes) -> int:
    """Relay an attached container's streams until it ends; return its exit status, or 0 when the user detached."""
    options = RunOptions.from_plain(record.options)
    if options.tty:
        engine.close()  # the console forks
    ended = Console(shim.connection, stdin=stdin, tty=options.tty, detach_keys=detach_keys).run()
    if ended is None:
        shim.close()
        return 0
    settle(engine, record, ended)
    with suppress(BrokenPipeError):  # the shim did not wait for the word
        shim.connection.sendall(protocol.control({"op": "settled"}))
    shim.close()
    shim.reap()
    return ended.code


def settle(engine: Engine, record: Record, ended: Exit) -> None:
    """Tell of a container's end, and remove it if it was started with ``--rm``."""
    tell_observers(Topic.DIE, record, **ended.attributes(record.started))
    if record.options.get("rm"):
        with engine.locked(record.id):
            removed = erase.ended(engine, record)
        if removed:
            tell(engine, Topic.DESTROY, record)


def reaper(engine: Engine, record: Record) -> tuple[list[str], dict[str, str]]:
    """Return the command, and its environment, that does `settle` without us; empty when there is nothing to do."""
    if not record.options.get("rm") and not plugins.index().names("observer"):
        return [], {}
    command = [sys.executable, "-c", _PROGRAM, str(engine.layout.root), str(engine.layout.state), record.id]
    return command, _settings(os.environ)


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


def _settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the part of the environment that settings are made from."""
    wanted = ("HOME", "PATH", "PYTHONPATH", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR")
    return {key: value for key, value in environment.items() if key in wanted or key.startswith("ENGINE_")}
