"""Create a container: the record first, then its snapshot and its bundle."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

from engine.containers import drafting, erase, failing, tracing
from engine.containers.drafting import Base, Draft
from engine.containers.engine import Engine
from engine.containers.telling import tell
from engine.contracts.observer import Topic
from engine.linux import processes
from engine.metadata import containers
from engine.metadata.containers import Record
from engine.spec import facts
from engine.spec.options import RunOptions


def create(engine: Engine, options: RunOptions) -> Record:
    """Make a container ready to start, and return its record.

    Everything that can be refused is refused before anything is made; what fails later is taken back. Raises
    `InvalidInput`, `NotFound`, `Conflict`, `Unsupported`, or `EngineError` with advice.
    """
    draft = drafting.draft(engine, options)
    record = draft.record
    tracing.lap("choose drivers, resolve the image, build the specification")
    parent = _unpacked(engine, draft.base, record.storage)
    tracing.lap("unpack the image where it is not", record.storage)
    facts.prepare_sources(options)
    with engine.store.transaction() as connection:
        containers.insert(connection, record, processes.identity())
    tracing.lap("record the container")
    try:
        engine.storage(record.storage).prepare(record.id, parent, lower=draft.base.lower)
        tracing.lap("make the snapshot", record.storage)
        _write_bundle(engine.layout.container(record.id), draft)
        if not options.rm:
            failing.reserve(engine.layout, record.id)
    except BaseException:
        erase.ended(engine, record)
        raise
    with engine.store.transaction() as connection:
        containers.set_phase(connection, record.id, "ready")
    tracing.lap("write the bundle, and record that it is ready")
    tell(engine, Topic.CREATE, record)
    return replace(record, phase="ready")


def _unpacked(engine: Engine, base: Base, storage: str) -> str | None:
    """Unpack the image for the storage driver where that was not done yet; return the snapshot to prepare upon."""
    if base.image is None:
        return None
    return engine.library.ensure_unpacked(base.image, engine.storage(storage), storage, engine.progress)


def _write_bundle(directory: Path, draft: Draft) -> None:
    files, hostname = draft.files, draft.hostname
    directory.mkdir(mode=0o700)
    (directory / "rootfs").mkdir(mode=0o700)
    (directory / "config.json").write_text(json.dumps(draft.spec))
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
