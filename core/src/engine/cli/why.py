"""`engine why`."""

from typing import Annotated

import typer

from engine.cli.arguments import Container
from engine.cli.output import JSON, render, write, write_json
from engine.cli.places import open_engine
from engine.cli.terminal import printable

app = typer.Typer()

_TEXT = "text"
_LABELS = {"Action": "action", "Plugin": "plugin", "Errno": "errno", "Meaning": "which means", "Fix": "what to do"}


@app.command("why")
def why(
    ctx: typer.Context,
    container: Container,
    form: Annotated[
        str, typer.Option("--format", metavar="FORM", help="text, json, or a template as {{.Kind}}")
    ] = _TEXT,
) -> None:
    """Say what ended a container, or what kept it from starting, and what to do about it.

    \b
    engine why web
    """
    from engine.containers import recover
    from engine.containers.diagnosing import why as diagnose

    with open_engine(ctx) as engine:
        recover.everything(engine)
        found = {key.capitalize(): value for key, value in diagnose(engine, container)._asdict().items()}
    if form == JSON:
        write_json(found)
    elif form == _TEXT:
        _write_text(container, found)
    else:
        write(render(form, found))


def _write_text(container: str, found: dict[str, str]) -> None:
    write(printable(f"{container}: {found['What']}"))
    width = max(map(len, _LABELS.values()))
    for name, label in _LABELS.items():
        if found[name]:
            write(printable(f"  {label:{width}}  {found[name]}"))
