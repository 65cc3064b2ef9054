"""`engine container`: what concerns containers as a whole."""

from typing import Annotated

import typer

from engine.cli.app import Group
from engine.cli.arguments import Containers, Unasked
from engine.cli.confirm import CANCELLED, confirmed
from engine.cli.output import JSON, write
from engine.cli.places import open_engine
from engine.cli.words import size

app = typer.Typer(cls=Group, rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def container(ctx: typer.Context) -> None:
    """Make, run, list, inspect, change, end and remove containers: Docker's group of these commands.

    \b
    engine container ls --all
    engine container prune
    """
    if ctx.invoked_subcommand is None:
        write(ctx.get_help())


@app.command("prune", short_help="Remove every container that does not run")
def prune(
    ctx: typer.Context,
    force: Unasked = False,
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


@app.command("inspect", short_help="Show everything known of containers, as JSON")
def inspect(
    ctx: typer.Context,
    names: Containers,
    form: Annotated[
        str, typer.Option("--format", "-f", metavar="FORM", help="json, or a template as {{.State.Pid}}")
    ] = JSON,
    size: Annotated[bool, typer.Option("--size", "-s", help="How much they have written, too")] = False,
) -> None:
    """Show everything known of containers, as JSON.

    \b
    engine container inspect --format '{{.State.Pid}}' web
    """
    from engine.cli.look import inspect as show

    show(ctx, names, form, "container", size)
