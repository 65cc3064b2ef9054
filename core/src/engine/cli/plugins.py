"""``engine plugins``: what is installed and usable, the contract suite of a plugin, and a new one to begin with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import output, terminal
from engine.cli.places import Places
from engine.cli.terminal import GREEN, RED, YELLOW
from engine.errors import EngineError

if TYPE_CHECKING:
    from engine.settings import Settings

app = typer.Typer(add_completion=False, rich_markup_mode=None)

Format = Annotated[str, typer.Option("--format", metavar="FORM", help="table, json, or a template as {{.Name}}")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only names, as KIND/NAME")]

_HEADINGS = {
    "Kind": "KIND",
    "Name": "NAME",
    "Auto": "AUTO",
    "Usable": "USABLE",
    "Distribution": "DISTRIBUTION",
    "Version": "VERSION",
    "Reason": "WHY",
}
_COLOURS = {"yes": GREEN, "no": YELLOW, "broken": RED}


@app.callback(invoke_without_command=True)
def plugins(ctx: typer.Context, form: Format = output.TABLE, quiet: Quiet = False) -> None:
    """Show every installed plugin: its distribution, whether it is usable here, and what `auto` takes.

    \b
    engine plugins
    engine plugins check storage/overlay
    """
    if ctx.invoked_subcommand is None:
        list_plugins(ctx, form, quiet)


@app.command("list")
def list_plugins(ctx: typer.Context, form: Format = output.TABLE, quiet: Quiet = False) -> None:
    """Show every installed plugin: its distribution, whether it is usable here, and what `auto` takes.

    \b
    engine plugins list --format '{{.Kind}} {{.Name}}: {{.Reason}}'
    """
    from engine.plugins.reporting import report

    settings = _settings(ctx.obj)
    found = report(_make_config(settings), scope=str(settings.root))
    rows = [_row(one) for one in found]
    if quiet:
        output.write_rows(rows, _HEADINGS, "{{.Kind}}/{{.Name}}")
        return
    output.write_rows(rows, _HEADINGS, form, flexible="Reason", colours={"Usable": lambda row: _COLOURS[row["Usable"]]})
    if form == output.TABLE:
        for line in _notes(found):
            output.write(terminal.printable(line))


@app.command("check")
def check(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The plugin's name, or KIND/NAME.")],
    directory: Annotated[
        str,
        typer.Option("--directory", metavar="DIR", help="Where to work, as for a storage driver of one file system."),
    ] = "",
    verbose: Annotated[bool, typer.Option("--verbose", help="Name each check.")] = False,
) -> int:
    """Run the contract suite of its kind against an installed plugin.

    \b
    engine plugins check overlay
    engine plugins check storage/btrfs --directory /mnt/btrfs
    """
    from engine.plugins.checking import check as run_suite

    return run_suite(name, Path(directory) if directory else None, verbose=verbose)


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What people will type, as in --log-driver NAME.")],
    kind: Annotated[str, typer.Option("--kind", metavar="KIND", help="The kind of plugin.")] = "log",
    directory: Annotated[str, typer.Option("--directory", metavar="DIR", help="Where to make it.")] = ".",
) -> None:
    """Make a new plugin's package: a driver that works, with its tests.

    \b
    engine plugins new mine --kind storage
    """
    from engine.plugins.scaffold import scaffold

    made = scaffold(name, kind, Path(directory))
    output.write(f"{made}: install it with `pip install -e {made}`, then try `engine plugins check {kind}/{name}`")


def _settings(places: Places) -> Settings:
    from engine.settings import load

    return load({"root": places.root, "state": places.state})


def _make_config(settings: Settings) -> Callable[[str, str], Any]:
    from engine.plugins.configs import config_for

    def make(kind: str, name: str) -> Any:
        config = config_for(kind, name, settings)
        for directory in (getattr(config, "root", None), getattr(config, "cache", None)):
            if directory is not None:
                _make_directory(directory)
        return config

    return make


def _make_directory(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise EngineError(f"{directory} cannot be made: {error.strerror}", fix="Run as root, or set --root.") from error


def _row(one: Any) -> dict[str, Any]:
    return {
        "Kind": one.entry.kind,
        "Name": one.entry.name,
        "Auto": "yes" if one.default else "",
        "Usable": "broken" if one.broken else "yes" if one.usable else "no",
        "Distribution": one.entry.distribution,
        "Version": one.entry.version,
        "Reason": one.reason,
        "Module": one.entry.value,
        "Contract": one.contract,
        "Preference": one.preference,
        "AutoReason": one.why,
        "Fix": one.fix,
        "Warning": one.warning,
    }


def _notes(found: list[Any]) -> list[str]:
    """Return what does not fit into the table: why `auto` takes what it takes, and what is to be mended."""
    taken = [f"  {one.entry.kind}: {one.why}" for one in found if one.default]
    mend = [f"  {one.entry.kind} {one.entry.name}: {one.fix}" for one in found if one.fix]
    titled = [("auto takes:", taken), ("to mend:", mend)]
    return [line for title, lines in titled if lines for line in ("", title, *lines)]
