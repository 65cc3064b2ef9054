"""`engine run` and `engine create`: their flags and help. What they do is `engine.cli.running`'s."""

from typing import Annotated, Unpack

import typer

from engine.cli import running
from engine.cli.run_flags import RunFlags, SectionedCommand, takes_flags

app = typer.Typer()

_OPTIONS_FIRST = {"allow_interspersed_args": False, "help_option_names": ["--help"]}
"""Whatever stands after the image belongs to the command in the container."""
_Image = Annotated[str, typer.Argument(metavar="IMAGE", help="A name, an ID, or host: for this machine's files")]
_Command = Annotated[list[str] | None, typer.Argument(metavar="COMMAND", help="What to run in it, with its arguments")]


@app.command("run", cls=SectionedCommand, context_settings=_OPTIONS_FIRST)
@takes_flags()
def run(
    ctx: typer.Context,
    image: _Image,
    command: _Command = None,
    attach: Annotated[
        list[str] | None,
        typer.Option("--attach", "-a", metavar="STREAM", help="Connect this one only: stdin, stdout, stderr"),
    ] = None,
    sig_proxy: Annotated[
        bool, typer.Option("--sig-proxy", help="Pass signals on to it; =false: keep them here")
    ] = True,
    preserve_fds: Annotated[
        str | None, typer.Option("--preserve-fds", metavar="N", help="Pass N descriptors on, from 3 on")
    ] = None,
    trace: Annotated[bool, typer.Option("--trace", help="Show what took how long, at the end")] = False,
    trace_file: Annotated[
        str, typer.Option("--trace-file", metavar="FILE", help="Write that for a trace viewer (Chrome's format)")
    ] = "",
    **flags: Unpack[RunFlags],
) -> int:
    """Make a container of an image and run a command in it.

    Options stand before the image; everything after it belongs to the command. The exit status is the command's, or
    125 when the engine failed, 126 when the command cannot be run, 127 when there is none of that name.

    \b
    engine run --rm host: sh -c 'echo hello from $(hostname)'
    engine run -it --rm -v /srv/data:/data:ro debian:12 bash
    engine run -d --name web --memory 256m --cpus 0.5 --pids-limit 100 nginx
    """
    return running.run(
        ctx,
        image,
        command or (),
        attach=attach,
        sig_proxy=sig_proxy,
        preserve_fds=preserve_fds,
        trace=trace,
        trace_file=trace_file,
        **flags,
    )


@app.command("create", cls=SectionedCommand, context_settings=_OPTIONS_FIRST)
@takes_flags()
def create(ctx: typer.Context, image: _Image, command: _Command = None, **flags: Unpack[RunFlags]) -> None:
    """Make a container without starting it, and print its ID. The flags are those of `engine run`.

    \b
    engine create --name web nginx && engine start web
    """
    running.create(ctx, image, command or (), **flags)
