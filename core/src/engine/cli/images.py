"""`engine images`, `load`, `import`, `tag` and `rmi`, which `engine image` has too under shorter names."""

import os
from collections.abc import Iterable
from time import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.arguments import Image, Images
from engine.cli.output import TABLE, write, write_rows
from engine.cli.places import open_engine
from engine.cli.progress import Progress
from engine.cli.several import each
from engine.cli.terminal import printable
from engine.cli.words import age, seconds_of, size
from engine.errors import InvalidInput, NotFound
from engine.spec.filters import parse_filters

if TYPE_CHECKING:
    from engine.containers.engine import Engine
    from engine.contracts.storage import StorageDriver
    from engine.contracts.transport import Transport
    from engine.images.image import ImageSummary
    from engine.images.loading import Loaded
    from engine.spec.descriptor import Platform

app = typer.Typer()

Storage = Annotated[str | None, typer.Option("--storage", metavar="DRIVER", help="Unpack for this storage driver")]
_HEADINGS = {"Repository": "REPOSITORY", "Tag": "TAG", "ID": "IMAGE ID", "CreatedSince": "CREATED", "Size": "SIZE"}
_SHORT_ID, _NONE = 12, "<none>"


@app.command("images")
def images(
    ctx: typer.Context,
    reference: Annotated[
        str | None, typer.Argument(metavar="REFERENCE", help="Only of this name, or whose name fits the pattern")
    ] = None,
    _everything: Annotated[bool, typer.Option("--all", "-a", help="Docker's word: none is hidden anyway")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only IDs")] = False,
    no_trunc: Annotated[bool, typer.Option("--no-trunc", help="Whole IDs")] = False,
    digests: Annotated[bool, typer.Option("--digests", help="Show what names stand for in registries")] = False,
    filters: Annotated[
        list[str] | None,
        typer.Option("--filter", "-f", metavar="KEY=VALUE", help="By dangling, reference, label"),
    ] = None,
    form: Annotated[
        str, typer.Option("--format", metavar="FORM", help="table, json, or a template as {{.Repository}}")
    ] = TABLE,
) -> None:
    """List images, the newest first. Of several references one must fit, of labels all.

    \b
    engine images --filter 'reference=debian:*'
    engine images --format '{{.Repository}}:{{.Tag}} {{.Size}}'
    """
    from engine.images import filtering

    referring = [f"reference={reference}"] if reference else []
    wanted = parse_filters([*(filters or ()), *referring], filtering.KEYS)
    with open_engine(ctx) as engine:
        found = filtering.keep(engine.library, engine.library.list(), wanted)
        rows = [row for one in found for row in _rows(one, whole=no_trunc)]
    if quiet:
        for short in dict.fromkeys(row["ID"] for row in rows):
            write(short)
        return
    write_rows(rows, _with_digest() if digests else _HEADINGS, form, flexible="Repository", whole=no_trunc)


def _with_digest() -> dict[str, str]:
    fields = list(_HEADINGS.items())
    return dict([*fields[:2], ("Digest", "DIGEST"), *fields[2:]])


def _rows(image: "ImageSummary", *, whole: bool) -> list[dict[str, Any]]:
    created = seconds_of(image.created)
    common = {
        "ID": image.id if whole else image.id.removeprefix("sha256:")[:_SHORT_ID],
        "CreatedAt": image.created,
        "CreatedSince": age(time() - created) if created else "N/A",
        "Size": size(image.size),
        "Digests": list(image.digests),
    }
    digests = {repository: digest for repository, _, digest in (one.partition("@") for one in image.digests)}
    named = [name.rpartition(":")[::2] for name in image.names]
    tagged = {repository for repository, _ in named}
    named += [(repository, _NONE) for repository in digests if repository not in tagged]
    return [
        {"Repository": repository, "Tag": tag, "Digest": digests.get(repository, _NONE), **common}
        for repository, tag in named or [(_NONE, _NONE)]
    ]


@app.command("load")
def load(
    ctx: typer.Context,
    source: Annotated[str | None, typer.Argument(metavar="FILE", help="An archive or directory; -: the input")] = None,
    file: Annotated[str | None, typer.Option("--input", "-i", metavar="FILE", help="The same, as in Docker")] = None,
    platform: Annotated[
        str | None, typer.Option("--platform", metavar="OS/ARCH[/VARIANT]", help="Of several, the image for this")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress, and print only IDs")] = False,
    storage: Storage = None,
) -> None:
    """Load images from a docker-archive, an OCI archive or an OCI directory, and unpack them.

    \b
    engine load -i app.tar
    docker save app | engine load
    """
    if source and file:
        raise InvalidInput("two files to load from", fix="Name it after the command, or with --input.")
    if not source and not file and os.isatty(0):
        raise InvalidInput("nothing to load: the standard input is a terminal", fix="Name a file, or pipe one in.")
    wanted = _platform(platform)
    with open_engine(ctx) as engine, Progress(quiet=quiet) as progress:
        loaded = engine.library.load(
            source or file or "-",
            _transports(engine),
            platform=wanted,
            storage=_storage(engine, storage),
            progress=progress,
        )
    lines = [line for one in loaded for line in ([one.image.id] if quiet else _loaded(one))]
    for line in dict.fromkeys(lines):  # an archive may have one image more than once, under several names
        write(line)


def _loaded(one: "Loaded") -> list[str]:
    return [
        *(f"Loaded image: {printable(name)}" for name in one.image.names or (one.image.id,)),
        *(f"The image that was {printable(name)} before has lost that name" for name in one.moved),
    ]


@app.command("import")
def import_(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(metavar="FILE", help="A root filesystem's tarball; - is the input")],
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="What to call the image")] = None,
    change: Annotated[
        list[str] | None, typer.Option("--change", "-c", metavar="LINE", help="A Dockerfile's line, as 'CMD [\"sh\"]'")
    ] = None,
    message: Annotated[str, typer.Option("--message", "-m", metavar="TEXT", help="What the history says")] = "",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress")] = False,
    storage: Storage = None,
) -> None:
    """Make an image of a root filesystem's tarball, compressed with gzip, zstd or not, and print its ID.

    \b
    mmdebstrap --variant=minbase bookworm - | engine import - debian:12 -c 'CMD ["bash"]'
    """
    with open_engine(ctx) as engine, Progress(quiet=quiet) as progress:
        loaded = engine.library.import_rootfs(
            source,
            name,
            changes=tuple(change or ()),
            message=message,
            storage=_storage(engine, storage),
            progress=progress,
        )
    write(loaded.image.id)


@app.command("tag")
def tag(
    ctx: typer.Context,
    image: Image,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new name")],
) -> None:
    """Give an image one more name. Another image that had it loses it.

    \b
    engine tag debian:12 base:latest
    """
    with open_engine(ctx) as engine:
        engine.library.tag(image, name)


@app.command("rmi")
def rmi(
    ctx: typer.Context,
    images: Images,
    force: Annotated[bool, typer.Option("--force", "-f", help="Also those in use; none missing is an error")] = False,
) -> int:
    """Remove images: a name, and with its last name the image and what nothing else needs of it.

    \b
    engine rmi app:1.0 app:1.1
    """
    with open_engine(ctx) as engine:

        def remove(text: str) -> None:
            try:
                removed = engine.library.remove(text, force=force)
            except NotFound:
                if not force:
                    raise
                return
            write_removed(removed.untagged, removed.deleted)

        status = each(images, remove, show=False, debug=ctx.obj.debug)
        engine.library.collect({name: engine.storage(name) for name in engine.library.drivers_in_use()})
    return status


def write_removed(untagged: Iterable[str], deleted: Iterable[str]) -> None:
    """Print a line for each name that an image has lost, and for each image that is gone."""
    for name in untagged:
        write(f"Untagged: {printable(name)}")
    for image_id in deleted:
        write(f"Deleted: {image_id}")


def inspect_image(engine: "Engine", text: str) -> dict[str, Any]:
    """Return what is known of an image. Raises `NotFound`, also for what can be no image's name."""
    try:
        return engine.library.inspect(text)
    except InvalidInput as error:
        raise NotFound(error.what, fix=error.fix) from error


def _transports(engine: "Engine") -> list["Transport"]:
    from engine import plugins

    return [engine.chosen("transport", name).driver for name in plugins.index().names("transport")]


def _storage(engine: "Engine", name: str | None) -> tuple[str, "StorageDriver"]:
    chosen = engine.chosen("storage", name or engine.settings.storage)
    return chosen.name, chosen.driver


def _platform(text: str | None) -> "Platform | None":
    from engine.spec.descriptor import parse_platform

    return None if text is None else parse_platform(text)
