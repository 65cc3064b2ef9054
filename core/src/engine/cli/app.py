"""The command line as a whole: the options before the command, finding the command, and what its end means.

A command's function returns its exit status, or None for success. What it raises is reported here and nowhere else:
`engine.errors.EngineError` with its own status, everything else as 125, like bad usage (docker-run(1), "Exit status").
"""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_command_from_info, get_group

from engine import __version__
from engine.cli.commands import BORROWED, COMMANDS, first_word, overview
from engine.cli.failures import EXIT_INTERRUPTED, guarded
from engine.cli.lean import lighten
from engine.cli.output import write
from engine.cli.places import Places
from engine.errors import InvalidInput


class CommandTable(TyperGroup):
    """The group of all commands, which imports the module of the one that is called."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command, or raise `InvalidInput` that names the nearest ones."""
        if cmd_name not in COMMANDS:
            raise _unknown(cmd_name)
        return load(cmd_name)

    def list_commands(self, ctx: Any) -> list[str]:
        """Return every command's name, for shell completion."""
        return list(COMMANDS)

    def get_help(self, ctx: Any) -> str:
        """Return the help that `engine --help` shows."""
        return overview()


class Group(TyperGroup):
    """A group that has commands from above too (`engine.cli.commands.BORROWED`), imported when they are called."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command, or None."""
        borrowed = self._borrowed()
        return load(borrowed[cmd_name]) if cmd_name in borrowed else super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: Any) -> list[str]:
        """Return every command's name."""
        return sorted({*self.commands, *self._borrowed()})

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands that help shows, without an import."""
        texts = {name: COMMANDS[above].help for name, above in self._borrowed().items()}
        texts |= {name: command.short_help or "" for name, command in self.commands.items()}
        with formatter.section("Commands"):
            formatter.write_dl([(name, texts[name]) for name in self.list_commands(ctx)])

    def _borrowed(self) -> dict[str, str]:
        return BORROWED[self.name or ""]


def load(name: str) -> Any:
    """Import the module of a command and return the command."""
    entry = COMMANDS[name]
    app: typer.Typer = import_module(entry.module).app
    if entry.group:
        group = lighten(get_group(app))
        group.name = name
        return group
    info = next(info for info in app.registered_commands if info.name == name)
    return lighten(get_command_from_info(info, pretty_exceptions_short=False, rich_markup_mode=None))


def _unknown(name: str) -> InvalidInput:
    from difflib import get_close_matches

    near = get_close_matches(name, COMMANDS, n=2, cutoff=0.6)
    fix = f"Did you mean {' or '.join(near)}?" if near else "`engine --help` lists the commands."
    return InvalidInput(f"there is no command {name!r}", fix=fix)


app = typer.Typer(cls=CommandTable, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def options(
    ctx: typer.Context,
    root: Annotated[str | None, typer.Option("--root", metavar="DIR")] = None,
    state: Annotated[str | None, typer.Option("--state", metavar="DIR")] = None,
    debug: Annotated[bool, typer.Option("--debug")] = False,
    version: Annotated[bool, typer.Option("--version", "-v")] = False,
) -> None:
    """Keep what is said before the command, for the command."""
    ctx.obj = Places(root, state, debug)
    if version:
        write(f"engine {__version__}")
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        write(overview())
        raise typer.Exit


def invoke(arguments: list[str]) -> int:
    """Run the command that ``arguments`` name and return the exit status."""
    return guarded(lambda: _run(arguments), debug="--debug" in arguments[: first_word(arguments)])


def _run(arguments: list[str]) -> int:
    group: Any = lighten(get_command(app))
    try:
        with group.make_context("engine", arguments) as ctx:
            status = group.invoke(ctx)
    except typer.Exit as ended:
        return ended.exit_code
    except typer.Abort:
        return EXIT_INTERRUPTED
    except typer.TyperException as error:
        raise _usage(error, arguments) from error
    return status if isinstance(status, int) else 0


def _usage(error: typer.TyperException, arguments: list[str]) -> InvalidInput:
    context = getattr(error, "ctx", None)
    words = [word for word in arguments[first_word(arguments) :][:1] if word in COMMANDS]
    path = context.command_path if context else " ".join(["engine", *words])
    what = error.format_message().rstrip(".")
    return InvalidInput(what[:1].lower() + what[1:], fix=f"`{path} --help` explains it.")
