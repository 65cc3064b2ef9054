"""`engine pull` and `push`: images from and to registries."""

from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.output import write
from engine.cli.places import open_engine
from engine.cli.progress import Progress
from engine.cli.terminal import printable

if TYPE_CHECKING:
    from engine.images.remote import Pulled

app = typer.Typer()

_Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress, and print only the name")]
_TlsVerify = Annotated[
    str | None, typer.Option("--tls-verify", metavar="BOOLEAN", help="false: trust any certificate, and plain HTTP")
]


@app.command("pull")
def pull(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="[REGISTRY/]PATH[:TAG|@DIGEST]")],
    all_tags: Annotated[bool, typer.Option("--all-tags", "-a", help="Every image of the repository NAME")] = False,
    quiet: _Quiet = False,
    platform: Annotated[
        str | None, typer.Option("--platform", metavar="OS/ARCH[/VARIANT]", help="Of several, the image for this")
    ] = None,
    storage: Annotated[
        str | None, typer.Option("--storage", metavar="DRIVER", help="Unpack for this storage driver")
    ] = None,
    tls_verify: _TlsVerify = None,
) -> None:
    """Get an image from a registry, and unpack it. A name without a registry is on docker.io.

    \b
    engine pull debian:12
    engine pull --all-tags registry.example/team/app
    engine pull --platform linux/arm64 registry.example/team/app:1.0
    """
    from engine.containers import fetching
    from engine.spec.descriptor import parse_platform

    wanted = None if platform is None else parse_platform(platform)
    with open_engine(ctx) as engine, Progress(quiet=quiet) as progress:
        engine.progress = progress
        options = _options(tls_verify)
        names = fetching.tagged(engine, name, options=options) if all_tags else (name,)
        for one in names:
            pulled = fetching.pull(engine, one, platform=wanted, storage=storage or "", options=options)
            _show(pulled, quiet=quiet)


def _show(pulled: "Pulled", *, quiet: bool) -> None:
    if not quiet:
        write(f"Digest: {pulled.digest}")
        status = "Downloaded newer image for" if pulled.is_new else "Image is up to date for"
        write(f"Status: {status} {printable(pulled.name.familiar)}")
    write(printable(pulled.name.canonical))


@app.command("push")
def push(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="[REGISTRY/]PATH[:TAG], a name that the image has")],
    quiet: _Quiet = False,
    tls_verify: _TlsVerify = None,
) -> None:
    """Send an image to the registry that its name says: what is not there already.

    \b
    engine tag app registry.example/team/app:1.0 && engine push registry.example/team/app:1.0
    """
    from engine.containers import fetching

    with open_engine(ctx) as engine, Progress(quiet=quiet) as progress:
        engine.progress = progress
        pushed = fetching.push(engine, name, options=_options(tls_verify))
    if quiet:
        write(printable(pushed.name.canonical))
        return
    write(f"{printable(pushed.name.tag)}: digest: {pushed.digest} size: {pushed.size}")


def _options(tls_verify: str | None) -> dict[str, str]:
    return {} if tls_verify is None else {"tls-verify": tls_verify}
