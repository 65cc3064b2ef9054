"""`engine system`: what concerns the engine as a whole."""

from typing import Annotated

import typer

from engine.cli.app import Group
from engine.cli.arguments import NamedToo, Unasked
from engine.cli.confirm import CANCELLED, confirmed
from engine.cli.output import TABLE, write, write_rows
from engine.cli.places import open_engine
from engine.cli.several import each
from engine.cli.words import size

app = typer.Typer(cls=Group, rich_markup_mode=None)

_USAGE = {
    "Type": "TYPE", "TotalCount": "TOTAL", "Active": "ACTIVE", "Size": "SIZE", "Reclaimable": "RECLAIMABLE",
}  # fmt: skip
_EVERYTHING = "This removes every container that does not run, and every image that no container is made of."
_UNNAMED = (
    "This removes every container that does not run, and every image without a name that no container is made of."
)


@app.callback(invoke_without_command=True)
def system(ctx: typer.Context) -> None:
    """Show what takes room and what happens, remove what nobody uses, start and stop all.

    \b
    engine system df
    engine system prune
    """
    if ctx.invoked_subcommand is None:
        write(ctx.get_help())


@app.command("df", short_help="Show how much images and containers take")
def df(
    ctx: typer.Context,
    form: Annotated[
        str, typer.Option("--format", metavar="FORM", help="table, json, or a template as {{.Reclaimable}}")
    ] = TABLE,
) -> None:
    """Show how many bytes images and containers take on the disk, and how many `engine system prune --all` would free.

    An image is active when a container is made of it, a container when it runs.

    \b
    engine system df
    """
    from engine.containers.disk_usage import disk_usage

    with open_engine(ctx) as engine:
        rows = [
            {
                "Type": kind.name,
                "TotalCount": kind.total,
                "Active": kind.active,
                "Size": size(kind.bytes),
                "Reclaimable": f"{size(kind.reclaimable)} ({100 * kind.reclaimable // max(kind.bytes, 1)}%)",
            }
            for kind in disk_usage(engine)
        ]
    write_rows(rows, _USAGE, form)


@app.command("start", short_help="Start what is to run after a boot")
def start(ctx: typer.Context) -> int:
    """Start the containers with --restart always, and those with unless-stopped that nobody has stopped.

    For the service manager, once the machine has booted; and after a crash. Those that run already are left alone.

    \b
    engine system start
    """
    from engine.containers.booting import due
    from engine.containers.resuming import resume

    with open_engine(ctx) as engine:
        return each(due(engine), lambda name: resume(engine, name), debug=ctx.obj.debug)


@app.command("stop", short_help="Stop all containers, until `engine system start`")
def stop(ctx: typer.Context) -> int:
    """Stop every container as `engine stop` does, all at once, but as if nobody had asked for it.

    For the service manager, before the machine halts: `engine system start` starts the same ones after it.

    \b
    engine system stop
    """
    from engine.containers.booting import ask_all
    from engine.containers.stopping import await_end

    with open_engine(ctx) as engine:
        asked = {one.record.name: one for one in ask_all(engine)}
        return each(list(asked), lambda name: await_end(engine, asked[name]), debug=ctx.obj.debug)


@app.command("prune", short_help="Remove containers that do not run, and unused images")
def prune(
    ctx: typer.Context,
    everything: NamedToo = False,
    force: Unasked = False,
) -> int:
    """Remove containers that do not run, then images without a name that no container is made of, and what only they
    needed.

    \b
    engine system prune --all --force
    """
    from engine.cli.images import write_removed
    from engine.containers.pruning import prune_containers, prune_images

    if not confirmed(_EVERYTHING if everything else _UNNAMED, force=force):
        return CANCELLED
    with open_engine(ctx) as engine:
        containers = prune_containers(engine)
        images = prune_images(engine, everything=everything)
    for one in containers.ids:
        write(f"Deleted container: {one}")
    write_removed(images.untagged, images.deleted)
    write(f"Total reclaimed space: {size(containers.bytes + images.collected.bytes)}")
    return 0
