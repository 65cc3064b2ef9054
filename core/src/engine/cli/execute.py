"""`engine exec`."""

import os
from typing import Annotated

import typer

from engine.cli.places import open_engine
from engine.errors import InvalidInput
from engine.spec.environment import variables

app = typer.Typer()


@app.command("exec", context_settings={"allow_interspersed_args": False})
def execute(
    ctx: typer.Context,
    container: Annotated[str, typer.Argument(metavar="CONTAINER", help="A name, or an ID or its beginning")],
    command: Annotated[list[str], typer.Argument(metavar="COMMAND", help="What to run in it, with its arguments")],
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Leave it running")] = False,
    interactive: Annotated[bool, typer.Option("--interactive", "-i", help="Give it the standard input")] = False,
    tty: Annotated[bool, typer.Option("--tty", "-t", help="Give it a terminal")] = False,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", "-e", metavar="KEY[=VALUE]", help="Set a variable, or pass one on"),
    ] = None,
    env_file: Annotated[
        list[str] | None, typer.Option("--env-file", metavar="FILE", help="Read variables from a file")
    ] = None,
    workdir: Annotated[str | None, typer.Option("--workdir", "-w", metavar="DIR", help="Run in this directory")] = None,
    user: Annotated[
        str | None, typer.Option("--user", "-u", metavar="USER[:GROUP]", help="Run as this user, by name or number")
    ] = None,
    privileged: Annotated[bool, typer.Option("--privileged", help="Give it every capability of the container")] = False,
    detach_keys: Annotated[
        str | None, typer.Option("--detach-keys", metavar="KEYS", help="Keys that detach (ctrl-p,ctrl-q)")
    ] = None,
) -> int:
    """Run one more command in a running container. The exit status is the command's.

    \b
    engine exec -it web sh
    engine exec -u postgres db psql -c 'select 1'
    """
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
