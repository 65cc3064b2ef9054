"""`engine explain`: what a command would do, without doing it."""

from typing import TYPE_CHECKING, Annotated, Any, Unpack

import typer

from engine.cli.output import JSON, render, write, write_json
from engine.cli.places import open_engine
from engine.cli.run_flags import RunFlags, SectionedCommand, takes_flags
from engine.cli.tree import Branch, write_tree

if TYPE_CHECKING:
    from engine.containers.explaining import Explanation, Stretch

app = typer.Typer(rich_markup_mode=None)

TREE = "tree"
_SHORT_ID = 12


@app.callback(invoke_without_command=True)
def explain(ctx: typer.Context) -> None:
    """Show what a command would do, without doing it.

    \b
    engine explain run --memory 64m host: true
    """
    if ctx.invoked_subcommand is None:
        write(ctx.get_help())


@app.command(
    "run",
    cls=SectionedCommand,
    context_settings={"allow_interspersed_args": False, "help_option_names": ["--help"]},
)
@takes_flags()
def run(
    ctx: typer.Context,
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="A name, an ID, or host: for this machine's files")],
    command: Annotated[list[str] | None, typer.Argument(metavar="COMMAND", help="What would run in it")] = None,
    form: Annotated[str, typer.Option("--format", metavar="FORM", help="tree, json, or a template as {{.Id}}")] = TREE,
    **flags: Unpack[RunFlags],
) -> None:
    """Show every action of `engine run` with the same flags, in order, and which plugin asks for it. Nothing is made.

    \b
    engine explain run --memory 64m host: true
    engine explain run --format json --runtime runc debian:12 sh
    """
    from engine.cli.run_options import options_of
    from engine.containers.explaining import explain as explain_run

    options = options_of(image, command or [], flags)
    with open_engine(ctx, looking=True) as engine:
        explanation = explain_run(engine, options)
    if form == TREE:
        write_tree(_title(explanation), [_branch(stretch, explanation.id) for stretch in explanation.stretches])
    elif form == JSON:
        write_json(_plain(explanation))
    else:
        write(render(form, _plain(explanation)))


def _title(explanation: "Explanation") -> str:
    drivers = ", ".join(f"{kind} {name}" for kind, name in explanation.drivers.items())
    return f"{explanation.name}, a container of {explanation.image} ({drivers})"


def _branch(stretch: "Stretch", container_id: str) -> Branch:
    """Return a branch for people, who need but the beginning of an ID that is in nearly every line."""
    short = f"{container_id[:_SHORT_ID]}…"
    leaves = [(deed.plugin or "engine", deed.sentence.replace(container_id, short)) for deed in stretch.deeds]
    return Branch(f"{stretch.name} (in the {stretch.process})", leaves)


def _plain(explanation: "Explanation") -> dict[str, Any]:
    return {
        "Id": explanation.id,
        "Name": explanation.name,
        "Image": explanation.image,
        "Drivers": dict(explanation.drivers),
        "Phases": [
            {
                "Phase": stretch.name,
                "Process": stretch.process,
                "Actions": [
                    {key.capitalize(): value for key, value in deed._asdict().items()} for deed in stretch.deeds
                ],
            }
            for stretch in explanation.stretches
        ],
    }
