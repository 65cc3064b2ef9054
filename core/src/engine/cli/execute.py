"""`engine exec`: its flags and help. What it does is `engine.cli.executing`'s."""

from typing import Annotated

import typer

from engine.cli import executing
from engine.cli.arguments import Container

app = typer.Typer()


@app.command("exec", context_settings={"allow_interspersed_args": False})
def execute(
    ctx: typer.Context,
    container: Container,
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
    return executing.execute(
        ctx,
        container,
        command,
        detach=detach,
        interactive=interactive,
        tty=tty,
        env=env,
        env_file=env_file,
        workdir=workdir,
        user=user,
        privileged=privileged,
        detach_keys=detach_keys,
    )
