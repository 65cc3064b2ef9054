"""`engine ps`, `logs`, `inspect` and `diff`."""

from collections.abc import Callable, Mapping
from time import time, time_ns
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.arguments import Container
from engine.cli.output import JSON, TABLE, render, write, write_bytes, write_json, write_rows
from engine.cli.places import open_engine
from engine.cli.words import age, span
from engine.errors import NotFound
from engine.spec.filters import parse_filters
from engine.spec.refusal import refusal

if TYPE_CHECKING:
    from engine.containers.engine import Engine
    from engine.containers.listing import View

app = typer.Typer()

_Form = Annotated[str, typer.Option("--format", metavar="FORM", help="table, json, or a template as {{.Names}}")]
_HEADINGS = {
    "ID": "CONTAINER ID", "Image": "IMAGE", "Command": "COMMAND", "RunningFor": "CREATED", "Status": "STATUS",
    "Names": "NAMES",
}  # fmt: skip
_SHORT_ID, _SHORT_COMMAND = 12, 20


@app.command("ps")
def ps(
    ctx: typer.Context,
    everything: Annotated[bool, typer.Option("--all", "-a", help="Those that do not run, too")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only IDs")] = False,
    no_trunc: Annotated[bool, typer.Option("--no-trunc", help="Whole IDs and commands")] = False,
    last: Annotated[
        str | None, typer.Option("--last", "-n", metavar="N", help="The N made last, whether they run or not")
    ] = None,
    latest: Annotated[bool, typer.Option("--latest", "-l", help="The one made last")] = False,
    size: Annotated[bool, typer.Option("--size", "-s", help="How much they have written, too")] = False,
    filters: Annotated[
        list[str] | None,
        typer.Option("--filter", "-f", metavar="KEY=VALUE", help="By name, id, status, health, label, ancestor"),
    ] = None,
    form: _Form = TABLE,
) -> None:
    """List the containers that run. Of several filters by one key one must fit, of labels all.

    \b
    engine ps --filter status=exited --filter label=team=x
    engine ps -a --format '{{.Names}}: {{.Status}}'
    """
    from engine.containers import filtering
    from engine.containers.listing import listing
    from engine.spec.sizes import parse_whole

    wanted = parse_filters(filters or (), filtering.KEYS)
    most = 1 if latest else -1 if last is None else parse_whole(last, "--last", "3")
    with open_engine(ctx) as engine:
        found = listing(engine, everything=everything or "status" in wanted or most >= 0)
        views = filtering.keep(engine, found, wanted)
        rows = [
            {**_row(engine, view, whole=no_trunc), **(_size(engine, view) if size else {})}
            for view in (views if most < 0 else views[:most])
        ]
    if quiet:
        for row in rows:
            write(row["ID"])
        return
    headings = {**_HEADINGS, **({"Size": "SIZE"} if size else {})}
    write_rows(rows, headings, form, flexible="Command", whole=no_trunc, colours={"Status": _colour})


def _row(engine: "Engine", view: "View", *, whole: bool) -> dict[str, Any]:
    from engine.containers.inspecting import command_of, moment

    record, command = view.record, " ".join(command_of(engine, view.record.id))
    if not whole and len(command) > _SHORT_COMMAND:
        command = f"{command[: _SHORT_COMMAND - 1]}…"
    return {
        "ID": record.id if whole else record.id[:_SHORT_ID],
        "Image": record.image_name,
        "Command": f'"{command}"',
        "CreatedAt": moment(record.created),
        "RunningFor": age(time() - record.created / 1e9),
        "Status": _status(engine, view),
        "State": view.status.state,
        "Names": record.name,
        "Labels": ",".join(f"{key}={value}" for key, value in record.labels.items()),
        "Storage": record.storage,
        "CgroupDriver": record.cgroup,
        "Runtime": record.runtime,
        "Pid": view.status.pid,
    }


def _size(engine: "Engine", view: "View") -> dict[str, str]:
    from engine.cli.words import size
    from engine.containers.disk_usage import size_of

    found = size_of(engine, view.record)
    return {"Size": f"{size(found.written)} (virtual {size(found.whole)})"}


def _colour(row: Mapping[str, Any]) -> str:
    """Return the colour of a status: a container that runs, stands still, or ended badly."""
    from engine.cli.terminal import GREEN, RED, YELLOW

    if row["State"] in {"paused", "restarting"}:
        return YELLOW
    if row["State"] == "running":
        return RED if "unhealthy" in row["Status"] else GREEN
    return RED if row["State"] == "exited" and not row["Status"].startswith("Exited (0)") else ""


def _status(engine: "Engine", view: "View") -> str:
    """Return Docker's words for a status: "Up 3 minutes (healthy)", "Exited (0) 2 hours ago", "Created"."""
    now = view.status
    if now.state == "restarting":
        return f"Restarting ({now.exit.code}) {age(time() - now.exit.finished / 1e9)}" if now.exit else "Restarting"
    if now.running:
        if not view.record.started:
            return "Starting"
        more = "Paused" if now.state == "paused" else _health(engine, view)
        return f"Up {span(time() - view.record.started / 1e9)}{f' ({more})' if more else ''}"
    if now.exit is None:
        return now.state.capitalize()
    when = f" {age(time() - now.exit.finished / 1e9)}" if now.exit.finished else ""
    oom = ", out of memory" if now.exit.oom else ""
    return f"Exited ({now.exit.code}{oom}){when}"


def _health(engine: "Engine", view: "View") -> str:
    if view.record.health is None:
        return ""
    from engine.containers import health

    return health.words(engine.layout, view.record, view.status)


@app.command("logs")
def logs(
    ctx: typer.Context,
    container: Container,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until it ends")] = False,
    tail: Annotated[str, typer.Option("--tail", "-n", metavar="N", help="Only the last lines, or all")] = "all",
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="From then on: 10m ago, a date, seconds since 1970")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Up to then")] = None,
    timestamps: Annotated[bool, typer.Option("--timestamps", "-t", help="The time before each line")] = False,
) -> None:
    """Show what a container wrote: its output on the output, its errors on the errors.

    \b
    engine logs -f --tail 100 web
    engine logs --since 2026-11-24T08:00 --until 10m web
    """
    from engine.containers.inspecting import moment
    from engine.containers.reading import logs as read
    from engine.spec.moments import parse_moment
    from engine.spec.sizes import parse_whole

    now = time_ns()
    first = None if since is None else parse_moment(since, "--since", now)
    until_then = None if until is None else parse_moment(until, "--until", now)
    last = None if tail == "all" else max(0, parse_whole(tail, "--tail", "100"))
    with open_engine(ctx) as engine:
        for entry in read(engine, container, tail=last, follow=follow, since=first, until=until_then):
            stamp = f"{moment(entry.nanoseconds)} ".encode() if timestamps else b""
            write_bytes(stamp + entry.data, 2 if entry.stream == "stderr" else 1)


@app.command("inspect")
def inspect(
    ctx: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Containers or images")],
    form: Annotated[
        str, typer.Option("--format", "-f", metavar="FORM", help="json, or a template as {{.State.Pid}}")
    ] = JSON,
    kind: Annotated[str, typer.Option("--type", metavar="KIND", help="container or image")] = "",
    size: Annotated[bool, typer.Option("--size", "-s", help="How much a container has written, too")] = False,
) -> None:
    """Show everything known of containers or images. Limits stand as asked beside what the kernel holds.

    \b
    engine inspect --format '{{.State.Pid}}' web
    """
    if kind not in {"", "container", "image"}:
        raise refusal("--type", kind, "is neither container nor image", "image")
    with open_engine(ctx) as engine:
        found = [_find(engine, name, kind, size=size) for name in names]
    if form == JSON:
        write_json(found)
        return
    for one in found:
        write(render(form, one))


def _find(engine: "Engine", name: str, kind: str, *, size: bool) -> dict[str, Any]:
    from engine.cli.images import inspect_image
    from engine.containers.inspecting import inspect as inspect_container

    ways: dict[str, Callable[[Engine, str], dict[str, Any]]] = {
        "container": lambda engine, name: inspect_container(engine, name, size=size),
        "image": inspect_image,
    }
    for way in [ways[kind]] if kind in ways else ways.values():
        try:
            return way(engine, name)
        except NotFound:
            continue
    what = kind or "container or image"
    raise NotFound(f"there is no {what} {name!r}", fix="`engine ps -a` and `engine images` list them.")


@app.command("diff")
def diff(ctx: typer.Context, container: Container, form: _Form = "{{.Kind}} {{.Path}}") -> None:
    """Show what a container changed in its files: A added, C changed, D deleted.

    \b
    engine diff web
    """
    from engine.containers.reading import changes

    with open_engine(ctx) as engine:
        rows = [{"Kind": str(change.kind), "Path": change.path} for change in changes(engine, container)]
    write_rows(rows, {"Kind": "KIND", "Path": "PATH"}, form)
