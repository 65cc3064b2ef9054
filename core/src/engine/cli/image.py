"""`engine image`: everything about images in one group, with Docker's names."""

from typing import Annotated

import typer

from engine.cli import images
from engine.cli.output import JSON, render, write, write_json
from engine.cli.places import open_engine

app = typer.Typer(rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def image(ctx: typer.Context) -> None:
    """List, load, import, inspect, tag and remove images.

    \b
    engine image ls
    engine image inspect debian:12
    """
    if ctx.invoked_subcommand is None:
        write(ctx.get_help())


app.command("ls", short_help="List images")(images.images)
app.command("load", short_help="Load images from an archive or an OCI directory")(images.load)
app.command("import", short_help="Make an image of a root filesystem's tarball")(images.import_)
app.command("tag", short_help="Give an image one more name")(images.tag)
app.command("rm", short_help="Remove images")(images.rmi)


@app.command("inspect", short_help="Show everything known of images, as JSON")
def inspect(
    ctx: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="IMAGE", help="Names, or IDs or their beginnings")],
    form: Annotated[
        str, typer.Option("--format", "-f", metavar="FORM", help="json, or a template as {{.Config.Cmd}}")
    ] = JSON,
) -> None:
    """Show everything known of images, as JSON.

    \b
    engine image inspect --format '{{.Config.Env}}' debian:12
    """
    with open_engine(ctx) as engine:
        found = [images.inspect_image(engine, name) for name in names]
    if form == JSON:
        write_json(found)
        return
    for one in found:
        write(render(form, one))
