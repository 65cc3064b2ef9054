"""`engine container`: what concerns containers as a whole."""

from typing import Annotated

import typer

from engine.cli.confirm import CANCELLED, confirmed
from engine.cli.output import write
from engine.cli.places import open_engine
from engine.cli.words import size

app = typer.Typer(rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def container(ctx: typer.Context) -> None:
    """Remove containers that have ended.

    \b
    engine container prune
    """
    if ctx.invoked_subcommand is None:
        write(ctx.get_help())


@app.command("prune", short_help="Remove every container that does not run")
def prune(
    ctx: typer.Context,
    force: Annotated[bool, typer.Option("--force", "-f", help="Do not ask")] = False,
) -> int:
    """Remove every container that does not run, with everything it wrote, and print their IDs.

    \b
    engine container prune --force
    """
    from engine.containers.pruning import prune_containers

    if not confirmed("This removes every container that does not run.", force=force):
        return CANCELLED
    with open_engine(ctx) as engine:
        pruned = prune_containers(engine)
    for one in pruned.ids:
        write(one)
    write(f"Total reclaimed space: {size(pruned.bytes)}")
    return 0
