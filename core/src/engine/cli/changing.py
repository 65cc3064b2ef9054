"""`engine restart`, `pause`, `unpause`, `rename` and `update`."""

from typing import Annotated, Unpack

import typer

from engine.cli.arguments import Container, Containers, StopSignal, StopTime
from engine.cli.limit_flags import LimitFlags
from engine.cli.places import open_engine
from engine.cli.run_flags import takes_flags
from engine.cli.several import each
from engine.errors import InvalidInput
from engine.spec import sizes
from engine.spec.restart_policy import parse_restart
from engine.spec.stop_signals import signal_number

app = typer.Typer()


@app.command("restart")
def restart(
    ctx: typer.Context,
    containers: Containers,
    time: StopTime = None,
    signal: StopSignal = None,
) -> int:
    """Stop containers as `engine stop` does, and start them again. Those that do not run are started.

    \b
    engine restart -t 30 db
    """
    from engine.containers import resuming

    number = None if signal is None else signal_number(signal)
    seconds = None if time is None else sizes.parse_whole(time, "--time", "30")
    with open_engine(ctx) as engine:

        def again(name: str) -> None:
            how = resuming.how_to_stop(engine, name, number=number, seconds=seconds)
            resuming.restart(engine, name, how)

        return each(containers, again, debug=ctx.obj.debug)


@app.command("pause")
def pause(ctx: typer.Context, containers: Containers) -> int:
    """Stop every process of containers where it is, until `engine unpause`. They keep their memory and files.

    \b
    engine pause db
    """
    from engine.containers import pausing

    with open_engine(ctx) as engine:
        return each(containers, lambda name: pausing.pause(engine, name), debug=ctx.obj.debug)


@app.command("unpause")
def unpause(ctx: typer.Context, containers: Containers) -> int:
    """Let paused containers go on.

    \b
    engine unpause db
    """
    from engine.containers import pausing

    with open_engine(ctx) as engine:
        return each(containers, lambda name: pausing.unpause(engine, name), debug=ctx.obj.debug)


@app.command("rename")
def rename(
    ctx: typer.Context,
    container: Container,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new name")],
) -> None:
    """Give a container another name; its host name stays.

    \b
    engine rename brave-otter-7 web
    """
    from engine.containers import renaming

    with open_engine(ctx) as engine:
        renaming.rename(engine, container, name)


@app.command("update")
@takes_flags(LimitFlags)
def update(
    ctx: typer.Context,
    containers: Containers,
    policy: Annotated[
        str | None, typer.Option("--restart", metavar="POLICY", help="no, on-failure[:N], always, unless-stopped")
    ] = None,
    **flags: Unpack[LimitFlags],
) -> int:
    """Change the limits of containers, at once and for their next runs; 0 takes a limit away. And the restart policy.

    \b
    engine update --memory 1g --cpus 2 db
    """
    from engine.cli.limit_options import limits_of

    changes = limits_of(flags)
    if policy is not None:
        changes["restart"] = parse_restart(policy)
    if not changes:
        raise InvalidInput("nothing to change is named", fix="Name a limit, as in `engine update --memory 1g db`.")
    from engine.containers import updating

    with open_engine(ctx) as engine:
        return each(containers, lambda name: updating.update(engine, name, changes), debug=ctx.obj.debug)
