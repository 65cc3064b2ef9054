"""What `engine run` and `engine create` do with what was typed. Imports no typer: see `engine.cli.quick`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Unpack

from engine.cli.output import write
from engine.cli.places import open_engine
from engine.cli.run_options import options_of
from engine.errors import InvalidInput
from engine.spec.options import RunOptions
from engine.spec.refusal import refusal

if TYPE_CHECKING:
    from engine.cli.places import Placed
    from engine.cli.run_flags import RunFlags
    from engine.containers.passing import Passed
    from engine.metadata.containers import Record

_STREAMS = ("stdin", "stdout", "stderr")


def run(
    ctx: Placed,
    image: str,
    command: Sequence[str],
    *,
    attach: Sequence[str] | None,
    sig_proxy: bool,
    preserve_fds: str | None,
    trace: bool,
    trace_file: str,
    **flags: Unpack[RunFlags],
) -> int:
    """Run a command in a new container; return the exit status. The flags' texts are those of the command line."""
    options = options_of(image, command, flags)
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

        def created(record: Record) -> None:
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


def create(ctx: Placed, image: str, command: Sequence[str], **flags: Unpack[RunFlags]) -> int:
    """Make a container and print its ID; return the exit status."""
    options = options_of(image, command, flags)
    from engine.cli.progress import Progress
    from engine.containers import recover
    from engine.containers.creating import create as create_container

    with _cidfile(flags["cidfile"]) as keep, open_engine(ctx) as engine, Progress() as progress:
        engine.progress = progress
        recover.everything(engine)
        record = create_container(engine, options)
        keep(record.id)
    write(record.id)
    return 0


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


def _passed(preserve: str | None, options: RunOptions) -> Passed | None:
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
