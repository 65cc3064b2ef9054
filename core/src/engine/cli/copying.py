"""`engine cp`: files between a container and the machine."""

import os
import sys
from typing import Annotated

import typer

from engine.cli.output import write_bytes
from engine.cli.places import open_engine
from engine.cli.terminal import printable
from engine.errors import InvalidInput

app = typer.Typer()

_STREAM = "-"


@app.command("cp")
def cp(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="CONTAINER:PATH, PATH, or - for a tar archive")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="The same")],
    archive: Annotated[bool, typer.Option("--archive", "-a", help="Keep owners")] = False,
    follow: Annotated[bool, typer.Option("--follow-link", "-L", help="Copy what the source's link leads to")] = False,
) -> None:
    """Copy files between a container, running or not, and the machine. SOURCE/. copies what is in a directory.

    \b
    engine cp web:/var/log/app.log .
    tar -c site | engine cp - web:/srv
    """
    from engine.containers.copying import container_side, copy, local_side, read_archive, write_archive

    (giver, given), (taker, taken) = _side(source), _side(target)
    if bool(giver) == bool(taker):
        raise InvalidInput(
            "one side has to be in a container, and the other here",
            fix="Write one as CONTAINER:PATH. A file here whose name has a colon is ./NAME.",
        )
    with open_engine(ctx) as engine:
        if not giver and given == _STREAM:
            with container_side(engine, taker, taken) as side:
                write_archive(lambda count: os.read(0, count), side)
        elif not taker and taken == _STREAM:
            _refuse_terminal()
            with container_side(engine, giver, given) as side:
                for chunk in read_archive(side, follow=follow):
                    write_bytes(chunk, 1)
        else:
            here, there = (taken, (giver, given)) if giver else (given, (taker, taken))
            with local_side(here) as ours, container_side(engine, *there) as theirs:
                sides = (theirs, ours) if giver else (ours, theirs)
                for name in copy(*sides, follow=follow, archive=archive):
                    print(f"engine: left out {printable(name)}: it is a device", file=sys.stderr)


def _side(text: str) -> tuple[str, str]:
    """Return container and path; the container is "" for a path here: one that begins so, or has no colon."""
    container, colon, path = text.partition(":")
    if not text or (colon and not container):
        raise InvalidInput(f"{text!r} is neither CONTAINER:PATH nor a path", fix="Write for example web:/etc/hosts.")
    if not colon or text.startswith((".", "/")) or "/" in container:
        return "", text
    if not path:
        raise InvalidInput(f"{text!r} has no path after the colon", fix=f"Write for example {text}/etc/hosts.")
    return container, path


def _refuse_terminal() -> None:
    if os.isatty(1):
        raise InvalidInput(
            "the archive would be written to the terminal", fix="Name a file or directory, or use a pipe."
        )
