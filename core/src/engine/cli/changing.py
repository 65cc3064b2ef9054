"""`engine restart`, `pause`, `unpause`, `rename` and `update`."""

from collections.abc import Callable, Mapping
from typing import Annotated

import typer

from engine.cli.places import open_engine
from engine.cli.several import each
from engine.errors import InvalidInput
from engine.spec import sizes
from engine.spec.stop_signals import signal_number

app = typer.Typer()

_Name = Annotated[str, typer.Argument(metavar="CONTAINER", help="A name, or an ID or its beginning")]
_Text = str | None
_Names = Annotated[list[str], typer.Argument(metavar="CONTAINER", help="Names, or IDs or their beginnings")]


@app.command("restart")
def restart(
    ctx: typer.Context,
    containers: _Names,
    time: Annotated[
        str | None,
        typer.Option("--time", "--timeout", "-t", metavar="SECONDS", help="Wait before killing; -1: no end"),
    ] = None,
    signal: Annotated[str | None, typer.Option("--signal", "-s", metavar="SIGNAL", help="Ask with this signal")] = None,
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
def pause(ctx: typer.Context, containers: _Names) -> int:
    """Stop every process of containers where it is, until `engine unpause`. They keep their memory and files.

    \b
    engine pause db
    """
    from engine.containers import pausing

    with open_engine(ctx) as engine:
        return each(containers, lambda name: pausing.pause(engine, name), debug=ctx.obj.debug)


@app.command("unpause")
def unpause(ctx: typer.Context, containers: _Names) -> int:
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
    container: _Name,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new name")],
) -> None:
    """Give a container another name; its host name stays.

    \b
    engine rename brave-otter-7 web
    """
    from engine.containers import renaming

    with open_engine(ctx) as engine:
        renaming.rename(engine, container, name)


def _limit(parse: Callable[[str], int]) -> Callable[[str], int | None]:
    """Return a parser for which 0 takes the limit away."""
    return lambda text: None if text == "0" else parse(text)


_LIMITS: Mapping[str, Callable[[str], int | str | None]] = {
    "memory": _limit(lambda text: sizes.parse_size(text, "--memory")),
    "memory_swap": _limit(lambda text: sizes.parse_size(text, "--memory-swap", unlimited=True)),
    "nano_cpus": _limit(sizes.parse_cpus),
    "cpu_shares": _limit(lambda text: sizes.parse_whole(text, "--cpu-shares", "1024")),
    "cpuset_cpus": sizes.parse_cpuset,
    "pids_limit": _limit(lambda text: sizes.parse_whole(text, "--pids-limit", "100")),
}


@app.command("update")
def update(
    ctx: typer.Context,
    containers: _Names,
    memory: Annotated[_Text, typer.Option("--memory", "-m", metavar="SIZE", help="Limit memory, as in 512m")] = None,
    memory_swap: Annotated[
        _Text, typer.Option("--memory-swap", metavar="SIZE", help="Limit memory and swap; -1: no limit")
    ] = None,
    cpus: Annotated[
        _Text, typer.Option("--cpus", metavar="N", help="Limit processor time, as in 1.5 processors")
    ] = None,
    cpu_shares: Annotated[
        _Text, typer.Option("--cpu-shares", "-c", metavar="N", help="Weight under contention (1024)")
    ] = None,
    cpuset_cpus: Annotated[
        _Text, typer.Option("--cpuset-cpus", metavar="LIST", help="Run on these processors, as in 0-2,5")
    ] = None,
    pids_limit: Annotated[
        _Text, typer.Option("--pids-limit", metavar="N", help="Limit the number of processes; -1: no limit")
    ] = None,
) -> int:
    """Change the limits of containers, at once and for their next runs; 0 takes a limit away.

    \b
    engine update --memory 1g --cpus 2 db
    """
    from engine.containers import updating

    typed = {
        "memory": memory,
        "memory_swap": memory_swap,
        "nano_cpus": cpus,
        "cpu_shares": cpu_shares,
        "cpuset_cpus": cpuset_cpus,
        "pids_limit": pids_limit,
    }
    changes = {name: _LIMITS[name](text) for name, text in typed.items() if text is not None}
    if not changes:
        raise InvalidInput("no limit to change is named", fix="Name one, as in `engine update --memory 1g db`.")
    with open_engine(ctx) as engine:
        return each(containers, lambda name: updating.update(engine, name, changes), debug=ctx.obj.debug)
