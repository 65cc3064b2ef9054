"""`engine commit`: an image of a container's own and of what the container changed. `engine export`: all its files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from engine.containers import reading, rootfs, standstill
from engine.containers.engine import Engine
from engine.errors import NotFound, Unsupported
from engine.images import changes as dockerfile
from engine.images.files import FileReader
from engine.images.layering import layer
from engine.images.progress import Progress, silent
from engine.metadata import containers
from engine.metadata.containers import Record
from engine.spec.environment import merge_env
from engine.spec.health import Healthcheck
from engine.spec.image import History, RunConfig
from engine.spec.options import RunOptions
from engine.spec.tarwriter import END

if TYPE_CHECKING:
    from engine.images.image import Image


def commit(
    engine: Engine,
    wanted: str,
    name: str | None = None,
    *,
    changes: Sequence[str] = (),
    author: str = "",
    message: str = "",
    pause: bool = True,
    progress: Progress = silent,
) -> str:
    """Make an image of a container and return its ID. A running container stands still meanwhile, unless ``pause`` is
    false: then files that it writes meanwhile may be in the image half written.

    The image's configuration is what the container was run with (command, environment, user, directory, labels) and
    then ``changes``, instructions of a Dockerfile. What is in the container's mounts is not in the image. Raises
    `NotFound`, `InvalidInput` for a name or change that is none, `Unsupported` for a container of ``host:``,
    `EngineError` on a full disk; then nothing is kept.
    """
    record = containers.find(engine.store.connection, wanted)
    base = _base(engine, record)
    config = dockerfile.apply(configured(record, base.config.config), changes)
    step = History(
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        created_by=" ".join((*(config.entrypoint or ()), *(config.cmd or ()))),
        author=author,
        comment=message,
    )
    with rootfs.bare(engine, record) as root, standstill.still(engine, record, wanted=pause):
        found = reading.changes(engine, record.id)
        made = engine.library.commit(base, layer(root.fd, found, ids=root.ids), config, step, name, progress)
    return made.image.id


def export(engine: Engine, wanted: str) -> Iterator[bytes]:
    """Yield the files of a container as an uncompressed tar archive, its mounts left out. Raises `NotFound`."""
    record = containers.find(engine.store.connection, wanted)
    with rootfs.bare(engine, record) as root:
        for found in FileReader(root.fd, ids=root.ids).all(""):
            yield from found.archived()
    yield END


def configured(record: Record, image: RunConfig) -> RunConfig:
    """Return an image's configuration with what the container's options say in its place, as Docker keeps it. Pure."""
    options = RunOptions.from_plain(record.options)
    own = options.entrypoint is not None
    return image._replace(
        user=options.user or image.user,
        env=tuple(merge_env((), image.env, options.env)),
        entrypoint=(options.entrypoint or None) if own else image.entrypoint,
        cmd=options.command or (None if own else image.cmd),
        working_dir=options.workdir or image.working_dir,
        labels=record.labels,
        healthcheck=_healthcheck(record, image),
    )


def _healthcheck(record: Record, image: RunConfig) -> Mapping[str, Any] | None:
    """Return the container's check; that there is none is said only where the image has one."""
    if record.health is not None:
        return Healthcheck.from_plain(record.health).shown()
    return {"Test": ["NONE"]} if image.healthcheck else None


def _base(engine: Engine, record: Record) -> Image:
    if not record.image:
        raise Unsupported(
            f"container {record.name!r} is made of the machine's own files, and no image can stand on those",
            fix=f"Make an image of all of them: `engine export {record.name} | engine import -`.",
        )
    try:
        return engine.library.resolve(record.image)
    except NotFound as error:
        raise NotFound(
            f"the image that container {record.name!r} is made of is gone",
            fix=f"Make an image of all its files: `engine export {record.name} | engine import -`.",
        ) from error
