"""`engine run` and `engine create`."""

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated, Unpack

import typer

from engine.cli.output import write
from engine.cli.places import open_engine
from engine.cli.run_flags import RunFlags, SectionedCommand, takes_flags
from engine.cli.run_options import options_of
from engine.errors import InvalidInput
from engine.spec.options import RunOptions
from engine.spec.refusal import refusal

if TYPE_CHECKING:
    from engine.containers.passing import Passed
    from engine.metadata.containers import Record

app = typer.Typer()

_OPTIONS_FIRST = {"allow_interspersed_args": False, "help_option_names": ["--help"]}
"""Whatever stands after the image belongs to the command in the container."""
_STREAMS = ("stdin", "stdout", "stderr")
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
    options = options_of(image, command or [], flags)
    _check_terminal(options)
    streams = _streams(attach or (), options)
    from engine.cli.progress import Progress
    from engine.containers.console import DETACH_KEYS, parse_detach_keys
    from engine.containers.running import run as run_container

    passed = _passed(preserve_fds, options)
    keys = parse_detach_keys(flags["detach_keys"] or DETACH_KEYS)
    traced = trace or bool(trace_file)
    if traced:
        _begin_trace(trace_file)
    with _cidfile(flags["cidfile"]) as keep, open_engine(ctx) as engine, Progress() as progress:
        engine.progress = progress

        def created(record: "Record") -> None:
            progress.end()
            keep(record.id)
            if options.detach:
                write(record.id)

        code = run_container(
            engine,
            options,
            detach_keys=keys,
            created=created,
            passed=passed,
            streams=streams,
            forward=sig_proxy,
        )
    if traced:
        _end_trace(tree=trace, file=trace_file)
    return code


def _streams(typed: Sequence[str], options: RunOptions) -> tuple[str, ...]:
    """Return which streams ``--attach`` connects; all when it is not given."""
    if typed and options.detach:
        raise InvalidInput("--attach and --detach contradict each other", fix="Leave one of them out.")
    streams = tuple(text.lower() for text in typed) or _STREAMS
    for stream in streams:
        if stream not in _STREAMS:
            raise refusal("--attach", stream, "is none of stdin, stdout and stderr", "stdout")
    if typed and "stdin" in streams and not options.interactive:
        raise InvalidInput("--attach stdin has no standard input to connect", fix="Add --interactive.")
    return streams


def _passed(preserve: str | None, options: RunOptions) -> "Passed | None":
    """Return what the container gets of the caller's descriptors: what was asked, or what a service manager passed."""
    if preserve is None and "LISTEN_PID" not in os.environ:
        return None
    from engine.containers.passing import activated, parse_preserve

    return activated(options, os.environ) if preserve is None else parse_preserve(preserve, options)


def _begin_trace(file: str) -> None:
    from engine.cli.trace import check_file
    from engine.containers import tracing

    check_file(file)
    tracing.begin()


def _end_trace(*, tree: bool, file: str) -> None:
    from engine.cli.trace import write_trace
    from engine.containers import tracing

    write_trace(tracing.spans(), tree=tree, file=file)


@app.command("create", cls=SectionedCommand, context_settings=_OPTIONS_FIRST)
@takes_flags()
def create(ctx: typer.Context, image: _Image, command: _Command = None, **flags: Unpack[RunFlags]) -> None:
    """Make a container without starting it, and print its ID. The flags are those of `engine run`.

    \b
    engine create --name web nginx && engine start web
    """
    options = options_of(image, command or [], flags)
    from engine.cli.progress import Progress
    from engine.containers import recover
    from engine.containers.creating import create as create_container

    with _cidfile(flags["cidfile"]) as keep, open_engine(ctx) as engine, Progress() as progress:
        engine.progress = progress
        recover.everything(engine)
        record = create_container(engine, options)
        keep(record.id)
    write(record.id)


def _cidfile(path: str | None) -> AbstractContextManager[Callable[[str], None]]:
    if path is None:
        return nullcontext(lambda _id: None)
    from engine.cli.cidfile import cidfile

    return cidfile(path)


def _check_terminal(options: RunOptions) -> None:
    if options.tty and options.interactive and not options.detach and not os.isatty(0):
        raise InvalidInput(
            "-it needs a terminal, and the standard input is none", fix="Leave out -t, or run it from a terminal."
        )
