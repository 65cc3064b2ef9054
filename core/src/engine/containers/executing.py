"""Run one more process in a running container."""

from __future__ import annotations

import json
import socket
from typing import Any

from engine.actions.base import to_plain
from engine.actions.cgroups import entrance
from engine.containers import client, pausing
from engine.containers.engine import Engine
from engine.linux import capabilities
from engine.linux.cgroups import Group
from engine.metadata import containers
from engine.metadata.containers import Record
from engine.spec.environment import merge_env
from engine.spec.options import RunOptions
from engine.spec.runtime import Process, Spec
from engine.spec.users import parse_user, user_of
from engine.tuples import NamedTuple


class ExecOptions(NamedTuple):
    """What `engine exec` takes. ``env``, ``workdir`` and ``user`` go over the container's own."""

    command: tuple[str, ...]
    interactive: bool = False
    tty: bool = False
    detach: bool = False
    env: tuple[str, ...] = ()
    workdir: str = ""
    user: str = ""
    privileged: bool = False
    size: tuple[int, int] = (0, 0)


def execute(engine: Engine, wanted: str, options: ExecOptions) -> socket.socket | None:
    """Start the process; return the connection to relay its streams over, or None with ``detach``.

    Raises `Conflict` when the container does not run or is paused, `CommandNotFound` and `CommandNotRunnable` for the
    command.
    """
    record = containers.find(engine.store.connection, wanted)
    connection = client.connect(engine.layout, record.id)
    if connection is None:
        raise pausing.not_running(record)
    try:
        pausing.must_not_be_paused(engine, record, ", and a command in it would stand still too")
        client.ask(connection, request(engine, record, _spec(engine, record), options))
    except BaseException:
        connection.close()
        raise
    if options.detach:
        connection.close()
        return None
    return connection


def _spec(engine: Engine, record: Record) -> Spec:
    spec: Spec = json.loads((engine.layout.container(record.id) / "config.json").read_bytes())
    return spec


def request(engine: Engine, record: Record, spec: Spec, options: ExecOptions) -> dict[str, Any]:
    """Return what the shim is asked: the process, its steps, and the container's cgroup to enter."""
    asked = RunOptions.from_plain(record.options)
    process = _process(spec["process"], options, asked.groups)
    runtime = engine.runtime(record.runtime)
    group: Group = engine.cgroup(record.cgroup).group(record.id, parent=asked.cgroup_parent)
    before, inside = ((), ()) if runtime.manages_cgroup else entrance(group, record.cgroup)
    steps = [*before, *inside, *runtime.plan_exec(spec, process)]
    return {
        "op": "exec",
        "process": process,
        "steps": [to_plain(step) for step in steps],
        "stdin": options.interactive,
        "attach": not options.detach,
    }


def _process(init: Process, options: ExecOptions, groups: tuple[str, ...]) -> Process:
    process: Process = {**init, "args": list(options.command), "terminal": options.tty}
    process["env"] = merge_env(init["env"], options.env)
    if options.workdir:
        process["cwd"] = options.workdir
    if options.user:
        process["user"] = user_of(parse_user(options.user), groups)
    if options.tty and options.size[0]:
        process["consoleSize"] = {"height": options.size[0], "width": options.size[1]}
    if options.privileged:
        every = capabilities.names(capabilities.bounding())
        process["capabilities"] = {**init["capabilities"], "bounding": every, "effective": every, "permitted": every}
    return process
