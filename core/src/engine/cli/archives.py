"""`engine save` and `export`: images, or a container's files, as an archive."""

import os
import stat
from collections.abc import Iterable, Iterator
from typing import Annotated

import typer

from engine.cli.arguments import Container, Images
from engine.cli.output import write_bytes
from engine.cli.places import open_engine
from engine.cli.progress import Progress
from engine.errors import EngineError, InvalidInput

app = typer.Typer()

_Output = Annotated[
    str | None, typer.Option("--output", "-o", metavar="FILE", help="Write to a file instead of the output")
]
_Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress")]


@app.command("save")
def save(
    ctx: typer.Context,
    images: Images,
    output: _Output = None,
    quiet: _Quiet = False,
) -> None:
    """Write images to an archive that `engine load`, Docker, Podman and skopeo read: docker-archive and OCI in one.

    \b
    engine save -o app.tar app:1.0 app:1.1
    """
    _refuse_terminal(output)
    with open_engine(ctx) as engine, _progress(output, quiet=quiet) as progress:
        _put(_told(engine.library.save(images), ", ".join(images), progress), output)


@app.command("export")
def export(
    ctx: typer.Context,
    container: Container,
    output: _Output = None,
    quiet: _Quiet = False,
) -> None:
    """Write the files of a container, running or not, to a tar archive. What is in its mounts is left out.

    \b
    engine export web | tar -t
    """
    from engine.containers.committing import export as archive

    _refuse_terminal(output)
    with open_engine(ctx) as engine, _progress(output, quiet=quiet) as progress:
        _put(_told(archive(engine, container), container, progress), output)


def _progress(output: str | None, *, quiet: bool) -> Progress:
    """Return the progress, which is silent for an archive in a pipe: who reads it may use the same terminal."""
    return Progress(quiet=quiet or output is None)


def _told(chunks: Iterable[bytes], what: str, progress: Progress) -> Iterator[bytes]:
    """Yield the chunks, and tell how many bytes have gone."""
    done = 0
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        progress(what, done)


def _refuse_terminal(output: str | None) -> None:
    if output is None and os.isatty(1):
        raise InvalidInput("the archive would be written to the terminal", fix="Name a file with -o, or use a pipe.")


def _put(chunks: Iterable[bytes], output: str | None) -> None:
    if output is None:
        for chunk in chunks:
            write_bytes(chunk, 1)
        return
    try:
        _write_file(chunks, output)
    except OSError as error:
        if error.filename is None and error.filename2 is None:
            raise
        raise EngineError(f"cannot write {output}: {error.strerror}", fix="Choose another file with -o.") from error


def _write_file(chunks: Iterable[bytes], output: str) -> None:
    """Write beside the file and rename, so that nobody takes half an archive for one; a device or pipe is written."""
    if os.path.exists(output) and not stat.S_ISREG(os.stat(output).st_mode):
        with open(output, "wb", buffering=0) as file:
            _copy(chunks, file.fileno())
        return
    target = os.path.realpath(output)
    partial = f"{target}.partial-{os.getpid()}"
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        _copy(chunks, fd)
        os.rename(partial, target)
    except BaseException:
        os.unlink(partial)
        raise
    finally:
        os.close(fd)


def _copy(chunks: Iterable[bytes], fd: int) -> None:
    for chunk in chunks:
        write_bytes(chunk, fd)
