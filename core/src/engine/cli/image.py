"""`engine image`: everything about images in one group, with Docker's names."""

from typing import Annotated

import typer

from engine.cli import images
from engine.cli.output import JSON, render, write, write_json
from engine.cli.places import open_engine

app = typer.Typer(help="List, load, import, inspect, tag and remove images.", rich_markup_mode=None)

app.command("ls")(images.images)
app.command("load")(images.load)
app.command("import")(images.import_)
app.command("tag")(images.tag)
app.command("rm")(images.rmi)


@app.command("inspect")
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
