"""`engine system`: what concerns the engine as a whole."""

from typing import Annotated

import typer

from engine.cli.confirm import CANCELLED, confirmed
from engine.cli.output import printable, write
from engine.cli.places import open_engine
from engine.cli.words import size

app = typer.Typer(rich_markup_mode=None)

_EVERYTHING = "This removes every container that does not run, and every image that no container is made of."
_UNNAMED = (
    "This removes every container that does not run, and every image without a name that no container is made of."
)


@app.callback(invoke_without_command=True)
def system(ctx: typer.Context) -> None:
    """Remove what nobody uses.

    \b
    engine system prune
    """
    if ctx.invoked_subcommand is None:
        write(ctx.get_help())


@app.command("prune", short_help="Remove containers that do not run, and unused images")
def prune(
    ctx: typer.Context,
    everything: Annotated[bool, typer.Option("--all", "-a", help="Images that have a name, too")] = False,
    force: Annotated[bool, typer.Option("--force", "-f", help="Do not ask")] = False,
) -> int:
    """Remove containers that do not run, then images without a name that no container is made of, and what only they
    needed.

    \b
    engine system prune --all --force
    """
    from engine.containers.pruning import prune_containers, prune_images

    if not confirmed(_EVERYTHING if everything else _UNNAMED, force=force):
        return CANCELLED
    with open_engine(ctx) as engine:
        containers = prune_containers(engine)
        images = prune_images(engine, everything=everything)
    for one in containers.ids:
        write(f"Deleted container: {one}")
    for one in images.untagged:
        write(f"Untagged: {printable(one)}")
    for one in images.deleted:
        write(f"Deleted: {one}")
    write(f"Total reclaimed space: {size(containers.bytes + images.collected.bytes)}")
    return 0
