"""`engine top` and `engine stats`."""

import os
import sys
from collections.abc import Mapping, Sequence
from time import sleep
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.arguments import Container
from engine.cli.output import TABLE, terminal_width, write, write_bytes, write_rows
from engine.cli.places import open_engine
from engine.cli.terminal import printable
from engine.cli.words import clock, size

if TYPE_CHECKING:
    from engine.containers.measuring import Sample

app = typer.Typer()

_TOP = {
    "UID": "UID", "PID": "PID", "PPID": "PPID", "Elapsed": "ELAPSED", "TTY": "TTY", "Time": "TIME",
    "Command": "COMMAND",
}  # fmt: skip
_STATS = {
    "ID": "CONTAINER ID", "Name": "NAME", "CPUPerc": "CPU %", "MemUsage": "MEM USAGE / LIMIT", "MemPerc": "MEM %",
    "NetIO": "NET I/O", "BlockIO": "BLOCK I/O", "PIDs": "PIDS",
}  # fmt: skip
_SHORT_ID, _UNKNOWN = 12, "--"
_FIRST, _PERIOD = 0.5, 1.0
"""Seconds between two looks: a share of the processors needs two, and nobody wants to wait for the first."""


@app.command("top", context_settings={"ignore_unknown_options": True})
def top(
    ctx: typer.Context,
    container: Container,
    ps_options: Annotated[
        list[str] | None, typer.Argument(metavar="PS-OPTION", help="Show them as ps(1) does with these")
    ] = None,
    form: Annotated[
        str, typer.Option("--format", metavar="FORM", help="table, json, or a template as {{.PID}}")
    ] = TABLE,
) -> None:
    """Show the processes of a running container. Users and process IDs are the host's.

    \b
    engine top web --format '{{.PID}} {{.Command}}'
    engine top web -o pid,rss,comm
    """
    from engine.containers.measuring import processes

    if ps_options:
        from engine.containers.ps import ps

        with open_engine(ctx) as engine:
            pids = {one.pid for one in processes(engine, container)}
        for line in ps(ps_options, pids):
            write(printable(line))
        return
    with open_engine(ctx) as engine:
        rows = [
            {
                "UID": one.uid,
                "PID": one.pid,
                "PPID": one.parent,
                "Elapsed": clock(one.age),
                "TTY": one.terminal,
                "Time": clock(one.used),
                "Command": one.command,
            }
            for one in processes(engine, container)
        ]
    write_rows(rows, _TOP, form, flexible="Command")


@app.command("stats")
def stats(
    ctx: typer.Context,
    containers: Annotated[
        list[str] | None, typer.Argument(metavar="CONTAINER", help="Names, or IDs or their beginnings; none: all")
    ] = None,
    no_stream: Annotated[bool, typer.Option("--no-stream", help="Only once")] = False,
    form: Annotated[
        str, typer.Option("--format", metavar="FORM", help="table, json, or a template as {{.MemUsage}}")
    ] = TABLE,
) -> None:
    """Show what running containers use, again every second until Ctrl-C, or until those named have ended.

    \b
    engine stats --no-stream --format '{{.Name}} {{.MemUsage}}'
    """
    from engine.containers import measuring

    names, live = containers or [], form == TABLE and not no_stream and sys.stdout.isatty()
    with open_engine(ctx) as engine:
        measuring.must_run(engine, names)
        before, pause = measuring.samples(engine, names), _FIRST
        while True:
            sleep(pause)
            now = measuring.samples(engine, names)
            if names and not now:
                return
            if live:
                _redraw(_rows(before, now))
            else:
                write_rows(_rows(before, now), _STATS, form, flexible="Name")
            if no_stream:
                return
            before, pause = now, _PERIOD


def _rows(before: "Sequence[Sample]", now: "Sequence[Sample]") -> list[dict[str, Any]]:
    from engine.containers.measuring import processor_share

    earlier = {one.record.id: one for one in before}
    return [_row(one, processor_share(earlier.get(one.record.id), one)) for one in now]


def _row(sample: "Sample", share: float | None) -> dict[str, Any]:
    counters = sample.counters
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = min(counters.memory_limit_bytes or machine, machine)
    used = counters.memory_bytes
    return {
        "ID": sample.record.id[:_SHORT_ID],
        "Name": sample.record.name,
        "CPUPerc": _percent(share),
        "MemUsage": f"{_UNKNOWN if used is None else size(used)} / {size(limit)}",
        "MemPerc": _percent(None if used is None else 100 * used / limit),
        "NetIO": _pair(*(sample.traffic or (None, None))),
        "BlockIO": _pair(counters.io_read_bytes, counters.io_write_bytes),
        "PIDs": _UNKNOWN if counters.pids is None else counters.pids,
        "Counters": counters._asdict(),
    }


def _pair(one: int | None, other: int | None) -> str:
    return " / ".join(_UNKNOWN if count is None else size(count) for count in (one, other))


def _percent(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:.2f}%"


def _redraw(rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw the table over the last one (ECMA-48: home, erase to the line's end, erase below)."""
    from engine.cli.tables import table

    lines = table(rows, _STATS, terminal_width(), "Name")[: (os.get_terminal_size(1).lines or 24) - 1]
    write_bytes(("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J").encode(), 1)
