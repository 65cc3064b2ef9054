"""What `engine exec` does with what was typed. Imports no typer: see `engine.cli.quick`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.cli.places import open_engine
from engine.errors import InvalidInput
from engine.spec.environment import variables

if TYPE_CHECKING:
    from engine.cli.places import Placed


def execute(
    ctx: Placed,
    container: str,
    command: Sequence[str],
    *,
    detach: bool,
    interactive: bool,
    tty: bool,
    env: Sequence[str] | None,
    env_file: Sequence[str] | None,
    workdir: str | None,
    user: str | None,
    privileged: bool,
    detach_keys: str | None,
) -> int:
    """Run a command in a running container; return the exit status. The flags' texts are those of the command line."""
    from engine.containers.console import DETACH_KEYS, Console, parse_detach_keys
    from engine.containers.executing import ExecOptions
    from engine.containers.executing import execute as start

    if tty and interactive and not detach and not os.isatty(0):
        raise InvalidInput(
            "-it needs a terminal, and the standard input is none", fix="Leave out -t, or run it from a terminal."
        )
    if workdir and not workdir.startswith("/"):
        raise InvalidInput(f"--workdir {workdir!r} is not an absolute path", fix="Write it as in --workdir /srv.")
    keys = parse_detach_keys(detach_keys or DETACH_KEYS)
    options = ExecOptions(
        command=tuple(command),
        interactive=interactive,
        tty=tty,
        detach=detach,
        env=variables(env or (), env_file or (), os.environ),
        workdir=workdir or "",
        user=user or "",
        privileged=privileged,
    )
    with open_engine(ctx) as engine:
        connection = start(engine, container, options)
    if connection is None:
        return 0
    with connection:
        ended = Console(connection, stdin=interactive, tty=tty, detach_keys=keys).run()
    return ended.code if ended else 0
