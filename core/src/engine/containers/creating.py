"""Create a container: the record first, then its snapshot and its bundle."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from time import time_ns

from engine.containers import erase, joining, naming
from engine.containers.engine import Engine
from engine.containers.telling import tell
from engine.contracts.cgroup import Capability as CgroupCapability
from engine.contracts.observer import Topic
from engine.contracts.storage import Capability as StorageCapability
from engine.errors import Unsupported
from engine.images import host
from engine.linux import processes
from engine.metadata import containers
from engine.metadata.containers import Record
from engine.spec import facts
from engine.spec.builder import build
from engine.spec.command import labels_of
from engine.spec.facts import ContainerFiles
from engine.spec.image import RunConfig
from engine.spec.options import RunOptions, check


@dataclass(frozen=True, slots=True)
class Base:
    """What a container is made of: an image's ID, its run configuration, and the snapshot or directory below."""

    image: str
    config: RunConfig
    parent: str | None
    lower: Path | None


def create(engine: Engine, options: RunOptions) -> Record:
    """Make a container ready to start, and return its record.

    Everything that can be refused is refused before anything is made; what fails later is taken back. Raises
    `InvalidInput`, `NotFound`, `Conflict`, `Unsupported`, or `EngineError` with advice.
    """
    check(options)
    if options.name:
        naming.check_name(options.name)
    settings = engine.settings
    storage = engine.chosen("storage", options.storage or settings.storage)
    cgroup = engine.chosen("cgroup", options.cgroup_driver or settings.cgroup_driver)
    runtime = engine.chosen("runtime", options.runtime or settings.runtime)
    log = engine.chosen("log", options.log_driver or settings.log_driver, options.log_opts)
    log.driver.sink_arguments()
    base = find_base(engine, options, storage.name)
    record = Record(
        id=naming.new_id(),
        name=options.name or naming.new_name(),
        image=base.image,
        image_name=options.image,
        created=time_ns(),
        storage=storage.name,
        cgroup=cgroup.name,
        runtime=runtime.name,
        log=log.name,
        options=options.to_plain(),
        labels=labels_of(options, base.config),
    )
    known = facts.gather(options, swap=CgroupCapability.SWAP in cgroup.driver.capabilities)
    files = _etc_files(engine.layout.container(record.id))
    spec = build(
        options,
        base.config,
        id=record.id,
        rootfs_path="rootfs",
        facts=known,
        files=files,
        joins=joining.resolve(engine, options),
        hidden=_hidden(engine, base),
    )
    cgroup.driver.plan(record.id, spec["linux"]["resources"], parent=options.cgroup_parent)
    facts.prepare_sources(options)
    with engine.store.transaction() as connection:
        containers.insert(connection, record, processes.identity())
    try:
        storage.driver.prepare(record.id, base.parent, lower=base.lower)
        _write_bundle(engine.layout.container(record.id), json.dumps(spec), files, spec.get("hostname", known.hostname))
    except BaseException:
        erase.ended(engine, record)
        raise
    with engine.store.transaction() as connection:
        containers.set_phase(connection, record.id, "ready")
    tell(Topic.CREATE, record)
    return replace(record, phase="ready")


def find_base(engine: Engine, options: RunOptions, storage: str) -> Base:
    """Resolve the image, and unpack it for the storage driver where that was not done yet.

    The image ``host:`` is the machine's own root filesystem. Raises `NotFound` for an unknown image, `Unsupported` when
    the driver or the machine cannot offer ``host:``.
    """
    if options.image != host.NAME:
        image = engine.library.resolve(options.image)
        parent = engine.library.ensure_unpacked(image, engine.storage(storage), storage)
        return Base(image.id, image.config.config, parent, None)
    if StorageCapability.HOST_LOWER not in engine.storage(storage).capabilities:
        raise Unsupported(
            f"storage driver {storage} cannot use the machine's own files as an image",
            fix="Use one that can: --storage overlay.",
        )
    host.check()
    return Base("", host.CONFIG, None, Path("/"))


def _hidden(engine: Engine, base: Base) -> list[str]:
    """Return the engine's own directories for the image ``host:``: they would show every container's files."""
    return [] if base.lower is None else [str(engine.layout.root), str(engine.layout.state)]


def _etc_files(directory: Path) -> ContainerFiles:
    return ContainerFiles(
        hosts=str(directory / "hosts"), hostname=str(directory / "hostname"), resolv_conf=str(directory / "resolv.conf")
    )


def _write_bundle(directory: Path, spec: str, files: ContainerFiles, hostname: str) -> None:
    directory.mkdir(mode=0o700)
    (directory / "rootfs").mkdir(mode=0o700)
    (directory / "config.json").write_text(spec)
    _write_readable(files.hostname, f"{hostname}\n")
    _write_readable(files.hosts, f"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n127.0.1.1\t{hostname}\n")
    _write_readable(files.resolv_conf, _resolvers())


def _write_readable(path: str, text: str) -> None:
    """Write a file that the container's users may read: its owner's umask must not decide."""
    Path(path).write_text(text)
    os.chmod(path, 0o644)


def _resolvers() -> str:
    try:
        return Path("/etc/resolv.conf").read_text()
    except OSError:  # a machine without name service: the container has none either
        return ""
