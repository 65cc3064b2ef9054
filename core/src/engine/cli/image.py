"""`engine image`: everything about images in one group, with Docker's names."""

from typing import Annotated

import typer

from engine.cli.app import Group
from engine.cli.arguments import Images, NamedToo, Unasked
from engine.cli.confirm import CANCELLED, confirmed
from engine.cli.output import JSON, render, write, write_json
from engine.cli.places import open_engine
from engine.cli.words import size

app = typer.Typer(cls=Group, rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def image(ctx: typer.Context) -> None:
    """List, pull, push, load, import, inspect, tag, save, remove and prune images: Docker's group of these commands.

    \b
    engine image ls
    engine image inspect debian:12
    """
    if ctx.invoked_subcommand is None:
        write(ctx.get_help())


@app.command("inspect", short_help="Show everything known of images, as JSON")
def inspect(
    ctx: typer.Context,
    names: Images,
    form: Annotated[
        str, typer.Option("--format", "-f", metavar="FORM", help="json, or a template as {{.Config.Cmd}}")
    ] = JSON,
) -> None:
    """Show everything known of images, as JSON.

    \b
    engine image inspect --format '{{.Config.Env}}' debian:12
    """
    from engine.cli.images import inspect_image

    with open_engine(ctx) as engine:
        found = [inspect_image(engine, name) for name in names]
    if form == JSON:
        write_json(found)
        return
    for one in found:
        write(render(form, one))


@app.command("prune", short_help="Remove images that nobody uses")
def prune(
    ctx: typer.Context,
    everything: NamedToo = False,
    force: Unasked = False,
) -> int:
    """Remove images without a name that no container is made of, and what only they needed.

    \b
    engine image prune --all --force
    """
    from engine.cli.images import write_removed
    from engine.containers.pruning import prune_images

    which = "every image" if everything else "every image without a name"
    if not confirmed(f"This removes {which} that no container is made of.", force=force):
        return CANCELLED
    with open_engine(ctx) as engine:
        pruned = prune_images(engine, everything=everything)
    write_removed(pruned.untagged, pruned.deleted)
    write(f"Total reclaimed space: {size(pruned.collected.bytes)}")
    return 0
