"""`engine start`, `attach`, `stop`, `kill`, `wait` and `rm`."""

from typing import Annotated

import typer

from engine.cli.arguments import Container, Containers, StopSignal, StopTime
from engine.cli.output import write
from engine.cli.places import open_engine
from engine.cli.several import each
from engine.errors import InvalidInput
from engine.spec.sizes import parse_whole
from engine.spec.stop_signals import signal_number

app = typer.Typer()

_Keys = Annotated[str | None, typer.Option("--detach-keys", metavar="KEYS", help="Keys that detach (ctrl-p,ctrl-q)")]


@app.command("start")
def start(
    ctx: typer.Context,
    containers: Containers,
    attach: Annotated[bool, typer.Option("--attach", "-a", help="Show its output, and end as it ends")] = False,
    interactive: Annotated[bool, typer.Option("--interactive", "-i", help="Give it the standard input")] = False,
    detach_keys: _Keys = None,
) -> int:
    """Start containers that were made or have ended.

    \b
    engine start web db
    engine start -ai shell
    """
    from engine.containers.console import DETACH_KEYS, parse_detach_keys
    from engine.containers.resuming import resume, resume_attached

    keys = parse_detach_keys(detach_keys or DETACH_KEYS)
    if (attach or interactive) and len(containers) > 1:
        raise InvalidInput("only one container can be attached to", fix="Name one, or leave out --attach.")
    with open_engine(ctx) as engine:
        if attach or interactive:
            return resume_attached(engine, containers[0], stdin=interactive, detach_keys=keys)
        return each(containers, lambda name: resume(engine, name), debug=ctx.obj.debug)


@app.command("attach")
def attach(
    ctx: typer.Context,
    container: Container,
    no_stdin: Annotated[bool, typer.Option("--no-stdin", help="Only show its output")] = False,
    sig_proxy: Annotated[
        bool, typer.Option("--sig-proxy", help="Pass signals on to it; =false: keep them here")
    ] = True,
    detach_keys: _Keys = None,
) -> int:
    """Connect the terminal to a running container, until it ends or the detach keys are typed.

    \b
    engine attach shell
    engine attach --no-stdin web
    """
    from engine.containers import attaching
    from engine.containers.console import DETACH_KEYS, Console, parse_detach_keys

    keys = parse_detach_keys(detach_keys or DETACH_KEYS)
    with open_engine(ctx) as engine:
        connection, tty = attaching.attach(engine, container)
    with connection:
        console = Console(connection, stdin=not no_stdin, tty=tty, detach_keys=keys, forward=sig_proxy)
        ended = console.run()
    return ended.code if ended else 0


@app.command("stop")
def stop(
    ctx: typer.Context,
    containers: Containers,
    time: StopTime = None,
    signal: StopSignal = None,
) -> int:
    """Ask containers to end with their stop signal, and kill those that have not ended in time.

    \b
    engine stop -t 30 db
    """
    from engine.containers import resuming, stopping

    number = None if signal is None else signal_number(signal)
    seconds = None if time is None else parse_whole(time, "--time", "30")
    with open_engine(ctx) as engine:

        def end(name: str) -> None:
            asked = resuming.how_to_stop(engine, name, number=number, seconds=seconds)
            stopping.stop(engine, name, number=asked.number, timeout=asked.seconds)

        return each(containers, end, debug=ctx.obj.debug)


@app.command("kill")
def kill(
    ctx: typer.Context,
    containers: Containers,
    signal: Annotated[str, typer.Option("--signal", "-s", metavar="SIGNAL", help="Signal to send")] = "KILL",
) -> int:
    """Send a signal to the first process of containers.

    \b
    engine kill --signal HUP web
    """
    from engine.containers import stopping

    number = signal_number(signal)
    with open_engine(ctx) as engine:
        return each(containers, lambda name: stopping.kill(engine, name, number=number), debug=ctx.obj.debug)


@app.command("wait")
def wait(ctx: typer.Context, containers: Containers) -> int:
    """Wait until containers have ended, and print the exit status of each.

    \b
    engine wait job
    """
    from engine.containers import attaching

    with open_engine(ctx) as engine:
        return each(
            containers,
            lambda name: write(str(attaching.wait(engine, name).code)),
            show=False,
            debug=ctx.obj.debug,
        )


@app.command("rm")
def rm(
    ctx: typer.Context,
    containers: Containers,
    force: Annotated[bool, typer.Option("--force", "-f", help="Kill those that run; none missing is an error")] = False,
    _volumes: Annotated[
        bool, typer.Option("--volumes", "-v", help="Docker's word: their own volumes always go")
    ] = False,
) -> int:
    """Remove containers and everything they wrote to their root filesystem. What was mounted from the host stays.

    \b
    engine rm -f web
    """
    from engine.containers.removal import remove
    from engine.errors import NotFound

    with open_engine(ctx) as engine:

        def erase(name: str) -> None:
            try:
                remove(engine, name, force=force)
            except NotFound:
                if not force:
                    raise
            else:
                write(name)

        return each(containers, erase, show=False, debug=ctx.obj.debug)
