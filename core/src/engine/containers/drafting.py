"""A container as it would be: drivers chosen, the image resolved, the specification built. Nothing is made here.

`engine.containers.creating` makes what a draft describes, `engine.containers.explaining` shows it.
"""

from __future__ import annotations

from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING

from engine.containers import identities, joining, naming
from engine.containers.engine import Engine
from engine.contracts.cgroup import Capability as CgroupCapability
from engine.contracts.runtime import Capability as RuntimeCapability
from engine.contracts.storage import Capability as StorageCapability
from engine.errors import NotFound, Unsupported
from engine.images import host
from engine.metadata.containers import Record
from engine.spec import facts
from engine.spec.builder import build, id_mappings
from engine.spec.command import labels_of
from engine.spec.descriptor import parse_platform
from engine.spec.facts import ContainerFiles
from engine.spec.health import healthcheck_of
from engine.spec.isolation import HOST
from engine.spec.options import RunOptions
from engine.spec.options import check as check_options
from engine.tuples import NamedTuple

if TYPE_CHECKING:
    from engine.contracts.common import IdMap
    from engine.images.image import Image
    from engine.plugins import Chosen
    from engine.spec.image import RunConfig
    from engine.spec.runtime import Linux, Spec


class Base(NamedTuple):
    """What a container is made of: an image, or for ``host:`` the directory below; and its run configuration."""

    image: Image | None
    config: RunConfig
    lower: Path | None

    @property
    def parents(self) -> tuple[str, ...]:
        """The committed snapshots below the container's own, nearest first, whether they are unpacked yet or not."""
        return () if self.image is None else self.image.snapshots[::-1]


class Draft(NamedTuple):
    """The record to be written, what the container is made of, its config.json, and what goes beside that."""

    record: Record
    options: RunOptions
    base: Base
    spec: Spec
    files: ContainerFiles
    hostname: str


def draft(engine: Engine, options: RunOptions) -> Draft:
    """Return the container that these options describe, under a new ID. Looks, and makes nothing.

    Everything that can be refused is refused here. Raises `InvalidInput`, `NotFound`, `Conflict`, `Unsupported`.
    """
    if options.volumes_from:
        from engine.containers.inheriting import inherit

        options = inherit(engine, options)
    check_options(options)
    if options.name:
        naming.check_name(options.name)
    settings = engine.settings
    storage = engine.chosen("storage", options.storage or settings.storage)
    cgroup = engine.chosen("cgroup", options.cgroup_driver or settings.cgroup_driver)
    runtime = engine.chosen("runtime", options.runtime or settings.runtime)
    log = engine.chosen("log", options.log_driver or settings.log_driver, options.log_opts)
    log.driver.sink_arguments()
    base = find_base(engine, options, storage.name)
    ids = identities.proposed(engine, options)
    check_ids(options, ids, storage, runtime)
    check = healthcheck_of(options.health, base.config)
    record = Record(
        id=naming.new_id(),
        name=options.name or naming.new_name(),
        image=base.image.id if base.image else "",
        image_name=options.image,
        created=time_ns(),
        storage=storage.name,
        cgroup=cgroup.name,
        runtime=runtime.name,
        log=log.name,
        options=options.to_plain(),
        id_map=ids,
        labels=labels_of(options, base.config),
        health=check.to_plain() if check else None,
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
        ids=ids,
    )
    cgroup.driver.plan(record.id, spec["linux"]["resources"], parent=options.cgroup_parent)
    return Draft(record, options, base, spec, files, spec.get("hostname", known.hostname))


def with_ids(draft: Draft, ids: IdMap | None) -> Draft:
    """Return the draft with another identity map than it was made with."""
    if ids is None or ids == draft.record.id_map:
        return draft
    linux: Linux = {**draft.spec["linux"], **id_mappings(ids)}
    return draft._replace(record=draft.record._replace(id_map=ids), spec={**draft.spec, "linux": linux})


def check_ids(options: RunOptions, ids: IdMap | None, storage: Chosen, runtime: Chosen) -> None:
    """Raise `Unsupported` for a user namespace that the drivers cannot give."""
    if options.wishes()["user"] == HOST:
        return
    if RuntimeCapability.USER_NAMESPACE not in runtime.driver.capabilities:
        raise Unsupported(
            f"the runtime {runtime.name} cannot give a container a user namespace (user-namespace)",
            fix="Use one that can (--runtime native), or leave out --userns.",
        )
    if identities.mapped(ids) is not None and StorageCapability.IDMAP not in storage.driver.capabilities:
        raise Unsupported(
            f"the storage driver {storage.name} cannot map the ids of its layers (idmap)",
            fix="Use one that can (--storage overlay), or leave out --userns.",
        )


def find_base(engine: Engine, options: RunOptions, storage: str) -> Base:
    """Resolve the image; ``host:`` is the machine's own root filesystem.

    Raises `NotFound` for an unknown image and one for another platform, `Unsupported` when the driver or the machine
    cannot offer ``host:``.
    """
    if options.image != host.NAME:
        image = engine.library.resolve(options.image)
        if options.platform and not image.suits(parse_platform(options.platform)):
            raise NotFound(
                f"the image {options.image} here is for {image.config.platform}, not for {options.platform}",
                fix="Pull the other with --pull always, or leave out --platform.",
            )
        return Base(image, image.config.config, None)
    if StorageCapability.HOST_LOWER not in engine.storage(storage).capabilities:
        raise Unsupported(
            f"storage driver {storage} cannot use the machine's own files as an image",
            fix="Use one that can: --storage overlay.",
        )
    host.check()
    return Base(None, host.CONFIG, Path("/"))


def _hidden(engine: Engine, base: Base) -> list[str]:
    """Return the engine's own directories for the image ``host:``: they would show every container's files."""
    return [] if base.lower is None else [str(engine.layout.root), str(engine.layout.state)]


def _etc_files(directory: Path) -> ContainerFiles:
    return ContainerFiles(
        hosts=str(directory / "hosts"), hostname=str(directory / "hostname"), resolv_conf=str(directory / "resolv.conf")
    )
