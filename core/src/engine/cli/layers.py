"""`engine commit` and `history`: images made of containers, and the steps that images were made in."""

from time import time
from typing import Annotated, Any

import typer

from engine.cli.arguments import Container, Image
from engine.cli.output import TABLE, write, write_rows
from engine.cli.places import open_engine
from engine.cli.progress import Progress
from engine.cli.words import age, seconds_of, size

app = typer.Typer()

_HEADINGS = {"ID": "IMAGE", "CreatedSince": "CREATED", "CreatedBy": "CREATED BY", "Size": "SIZE", "Comment": "COMMENT"}
_SHORT_ID, _SHORT_TEXT, _MISSING = 12, 45, "<missing>"


@app.command("commit")
def commit(
    ctx: typer.Context,
    container: Container,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="What to call the image")] = None,
    author: Annotated[str, typer.Option("--author", "-a", metavar="TEXT", help="Who made it")] = "",
    message: Annotated[str, typer.Option("--message", "-m", metavar="TEXT", help="What the history says")] = "",
    change: Annotated[
        list[str] | None, typer.Option("--change", "-c", metavar="LINE", help="A Dockerfile's line, as 'CMD [\"sh\"]'")
    ] = None,
    pause: Annotated[bool, typer.Option("--pause", "-p", help="Let it stand still meanwhile; =false: do not")] = True,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress")] = False,
) -> None:
    """Make an image of a container: its image, and what it changed. Prints the image's ID.

    \b
    engine commit -m 'with my tools' -c 'CMD ["bash"]' work tools:1
    """
    from engine.containers.committing import commit as make

    with open_engine(ctx) as engine, Progress(quiet=quiet) as progress:
        made = make(
            engine, container, name, changes=tuple(change or ()), author=author, message=message, pause=pause,
            progress=progress,
        )  # fmt: skip
    write(made)


@app.command("history")
def history(
    ctx: typer.Context,
    image: Image,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only IDs")] = False,
    no_trunc: Annotated[bool, typer.Option("--no-trunc", help="Whole IDs and commands")] = False,
    form: Annotated[
        str, typer.Option("--format", metavar="FORM", help="table, json, or a template as {{.CreatedBy}}")
    ] = TABLE,
) -> None:
    """Show the steps that an image was made in, the last one first. Sizes are those of the layers as stored.

    \b
    engine history --no-trunc --format '{{.Size}} {{.CreatedBy}}' debian:12
    """
    from engine.images.history import steps

    with open_engine(ctx) as engine:
        found = engine.library.resolve(image)
        made = steps(found, engine.library.layer_sizes(found))
    identity = found.id if no_trunc else found.id.removeprefix("sha256:")[:_SHORT_ID]
    rows = [_row(step.history, step.size, identity if number == 0 else _MISSING, whole=no_trunc)
            for number, step in enumerate(made)]  # fmt: skip
    if quiet:
        for row in rows:
            write(row["ID"])
        return
    write_rows(rows, _HEADINGS, form, flexible="CreatedBy", whole=no_trunc)


def _row(step: Any, count: int, identity: str, *, whole: bool) -> dict[str, Any]:
    created = seconds_of(step.created)
    return {
        "ID": identity,
        "CreatedAt": step.created,
        "CreatedSince": age(time() - created) if created else "N/A",
        "CreatedBy": step.created_by if whole else _cut(step.created_by),
        "Size": size(count),
        "Comment": step.comment,
    }


def _cut(text: str) -> str:
    return text if len(text) <= _SHORT_TEXT else f"{text[: _SHORT_TEXT - 1]}…"
