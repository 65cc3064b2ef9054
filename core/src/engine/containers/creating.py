"""Create a container: the record first, then its snapshot and its bundle."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from engine.containers import drafting, erase, failing, fetching, identities, tracing
from engine.containers.drafting import Base, Draft
from engine.containers.engine import Engine
from engine.containers.telling import tell_kept, to_tell
from engine.contracts.observer import Topic
from engine.errors import Conflict
from engine.linux import idmapped, processes
from engine.linux.paths import read_regular
from engine.metadata import containers
from engine.metadata.containers import Record
from engine.spec import facts
from engine.spec.isolation import HOST, joined_containers
from engine.spec.options import RunOptions

if TYPE_CHECKING:
    from engine.spec.runtime import Spec

_HOSTS = b"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n"
_LARGEST = 8 << 20
"""Bytes read of another container's file."""


def create(engine: Engine, options: RunOptions) -> Record:
    """Make a container ready to start, and return its record.

    The image is pulled first where that is to be done. Everything that can be refused is refused before anything is
    made; what fails later is taken back. Raises `Unreachable`, `InvalidInput`, `NotFound`, `Conflict`, `Unsupported`,
    or `EngineError` with advice.
    """
    fetching.ensure(engine, options)
    tracing.lap("pull the image where it is not")
    draft = drafting.draft(engine, options)
    tracing.lap("choose drivers, resolve the image, build the specification")
    storage = draft.record.storage
    parent = _unpacked(engine, draft.base, storage)
    tracing.lap("unpack the image where it is not", storage)
    facts.check_sources(draft.options)
    etc = _etc(engine, draft)
    with engine.store.transaction() as connection:
        draft = drafting.with_ids(draft, identities.claimed(engine, connection, draft.record))
        containers.insert(connection, draft.record, processes.identity())
    record = draft.record
    tracing.lap("record the container")
    try:
        facts.make_sources(draft.options, _root(record))
        engine.storage(record.storage).prepare(record.id, parent, lower=draft.base.lower)
        tracing.lap("make the snapshot", record.storage)
        _write_bundle(engine.layout.container(record.id), draft.spec, etc)
        if not options.rm:
            failing.reserve(engine.layout, record.id)
    except BaseException:
        erase.ended(engine, record, silently=True)
        raise
    with engine.store.transaction() as connection:
        containers.set_phase(connection, record.id, "ready")
        kept = to_tell(connection, Topic.CREATE, record)
    tracing.lap("write the bundle, and record that it is ready")
    tell_kept(engine, kept)
    return record._replace(phase="ready")


def _root(record: Record) -> tuple[int, int]:
    """Return the host's ids of the container's root."""
    return (0, 0) if record.id_map is None else idmapped.root_of(record.id_map)


def _unpacked(engine: Engine, base: Base, storage: str) -> str | None:
    """Unpack the image for the storage driver where that was not done yet; return the snapshot to prepare upon."""
    if base.image is None:
        return None
    return engine.library.ensure_unpacked(base.image, engine.storage(storage), storage, engine.progress)


def _write_bundle(directory: Path, spec: Spec, etc: Mapping[str, bytes]) -> None:
    directory.mkdir(mode=0o700)
    (directory / "rootfs").mkdir(mode=0o700)
    (directory / "config.json").write_text(json.dumps(spec))
    for path, content in etc.items():
        Path(path).write_bytes(content)
        os.chmod(path, 0o644)  # the container's users may read it: the umask of whoever makes it must not decide


def _etc(engine: Engine, draft: Draft) -> dict[str, bytes]:
    """Return what will be in the container's own /etc/hostname, hosts and resolv.conf, by the path of each.

    With the host's network they begin as copies of the host's, with another container's as copies of what that one has.
    """
    options, files, hostname = draft.options, draft.files, draft.hostname
    wishes = options.wishes()
    own = f"{hostname}.{options.domainname} {hostname}" if options.domainname else hostname
    hosts, resolvers = _HOSTS, _of_host("/etc/resolv.conf")
    if wishes["net"] == HOST:
        hosts, own = _of_host("/etc/hosts"), own if options.hostname else ""
    other = joined_containers(wishes).get("net")
    if other is not None:
        hosts, resolvers = _of_container(engine, other, "hosts"), _of_container(engine, other, "resolv.conf")
    if own:
        hosts = _ended(hosts) + f"127.0.1.1\t{own}\n".encode()
    if options.hosts or options.dns or options.dns_search or options.dns_options:
        from engine.spec import name_service

        hosts = _ended(hosts) + name_service.host_lines(options.hosts)
        resolvers = name_service.resolvers(_ended(resolvers), options.dns, options.dns_search, options.dns_options)
    return {files.hostname: f"{hostname}\n".encode(), files.hosts: hosts, files.resolv_conf: resolvers}


def _of_host(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:  # a machine without name service: the container has none either
        return b""


def _of_container(engine: Engine, wanted: str, name: str) -> bytes:
    """Return the file of another container, which may write to it: it is read by descriptor, and only so far."""
    record = containers.find(engine.store.connection, wanted)
    directory = os.open(engine.layout.container(record.id), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return read_regular(directory, name, _LARGEST)
    except OSError as error:
        raise Conflict(
            f"the /etc/{name} of container {record.name!r} cannot be taken over: {error.strerror}",
            fix="Look at that file in the container.",
        ) from error
    finally:
        os.close(directory)


def _ended(text: bytes) -> bytes:
    return text if not text or text.endswith(b"\n") else text + b"\n"
