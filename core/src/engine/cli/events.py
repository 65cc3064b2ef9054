"""`engine events`."""

import json
from time import time_ns
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.failures import nobody_reads
from engine.cli.output import JSON, render, write
from engine.cli.places import open_engine
from engine.cli.terminal import printable
from engine.spec.filters import parse_filters
from engine.spec.moments import parse_moment

if TYPE_CHECKING:
    from engine.contracts.observer import Event

app = typer.Typer()

_TEXT = ""
_WHOLE = "{{json .}}"
"""What Docker's users write for JSON."""
_NANO = 1_000_000_000


@app.command("events")
def events(
    ctx: typer.Context,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="From then on: 10m ago, a date, seconds since 1970")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Up to then, and end then")] = None,
    filters: Annotated[
        list[str] | None,
        typer.Option("--filter", "-f", metavar="KEY=VALUE", help="By type, event, container, image, label"),
    ] = None,
    form: Annotated[str, typer.Option("--format", metavar="FORM", help="json, or a template as {{.Action}}")] = _TEXT,
) -> None:
    """Show what happens to containers and images, as it happens, until Ctrl-C; with --since, what happened before too.

    Of several filters by one key one must fit, of labels all.

    \b
    engine events --since 1h --until 0s --filter container=web
    engine events --filter event=die --format '{{.Actor.Attributes.name}}: {{.Actor.Attributes.exitCode}}'
    """
    from engine.events import filtering
    from engine.events.reading import read

    now = time_ns()
    wanted = parse_filters(filters or (), filtering.KEYS)
    filtering.check(wanted)
    first = None if since is None else parse_moment(since, "--since", now)
    last = None if until is None else parse_moment(until, "--until", now)
    with open_engine(ctx) as engine:
        directory = str(engine.layout.events)
    for event in read(directory, since=first, until=last, reader=1):
        if filtering.fits(event, wanted):
            write(_shown(event, form))
    if nobody_reads():
        raise BrokenPipeError


def _shown(event: "Event", form: str) -> str:
    if form in {JSON, _WHOLE}:
        return json.dumps(_message(event), ensure_ascii=False)
    return render(form, _fields(event)) if form else _text(event)


def _text(event: "Event") -> str:
    """Return Docker's line: ``2026-11-24T10:00:00.000000000Z container die 0123 (exitCode=0, image=x, name=y)``."""
    from engine.containers.inspecting import moment

    said = ", ".join(f"{key}={value}" for key, value in sorted(event.attributes.items()))
    return printable(f"{moment(event.nanoseconds)} {event.subject} {event.action} {event.id} ({said})")


def _message(event: "Event") -> dict[str, Any]:
    """Return the event with the names of Docker's API (GET /events)."""
    fields = _fields(event)
    lower = {"Status": "status", "ID": "id", "From": "from", "Scope": "scope", "Time": "time", "TimeNano": "timeNano"}
    return {lower.get(name, name): value for name, value in fields.items() if value != ""}


def _fields(event: "Event") -> dict[str, Any]:
    """Return the event with the names that Docker's templates have."""
    return {
        "Status": event.action,
        "ID": event.id,
        "From": event.attributes.get("image", ""),
        "Type": event.subject,
        "Action": event.action,
        "Actor": {"ID": event.id, "Attributes": dict(event.attributes)},
        "Scope": "local",
        "Time": event.nanoseconds // _NANO,
        "TimeNano": event.nanoseconds,
    }
