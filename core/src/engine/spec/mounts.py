"""All mounts of a container, in the order they are made. Pure.

First the kernel's file systems, then the engine's files and what the user asked for, parents before what is inside.
A mount of the user's takes the place of one of ours with the same target, and of ours below it in /dev, /proc and /sys.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

from engine.spec.defaults import INIT_TARGET, SHM_SIZE, default_mounts
from engine.spec.facts import ContainerFiles, HostFacts
from engine.spec.image import RunConfig
from engine.spec.isolation import HOST
from engine.spec.options import RunOptions
from engine.spec.runtime import SpecMount
from engine.spec.volumes import MountRequest

_VOLUME_OPTIONS = ("nosuid", "nodev", "mode=1777")


def mounts_of(options: RunOptions, image: RunConfig, facts: HostFacts, files: ContainerFiles) -> list[SpecMount]:
    """Return ``mounts`` of the specification."""
    asked = {one.target: _asked(one) for one in (*_declared_volumes(options, image), *options.mounts)}
    kernel = default_mounts(shm_size=options.shm_size or SHM_SIZE, writable=options.privileged)
    shared = "/dev/shm" if options.wishes()["ipc"] == "host" else files.shm
    if shared:
        kernel = [_bind("/dev/shm", shared, "rw") if one["destination"] == "/dev/shm" else one for one in kernel]
    own = [one for one in _files(options, facts, files) if one["destination"] not in asked]
    inner = sorted([*own, *asked.values()], key=lambda one: one["destination"].count("/"))
    return [one for one in kernel if not _replaced(one["destination"], asked)] + inner


def _replaced(target: str, asked: Iterable[str]) -> bool:
    return any(target == one or target.startswith(f"{one}/") for one in asked)


def _files(options: RunOptions, facts: HostFacts, files: ContainerFiles) -> list[SpecMount]:
    in_etc = {"/etc/hosts": files.hosts, "/etc/hostname": files.hostname, "/etc/resolv.conf": files.resolv_conf}
    # The engine's files, which are root's, are the container's root's as well.
    mapped = () if options.wishes()["user"] == HOST else ("ridmap",)
    mounts = [_bind(target, source, "rw", *mapped) for target, source in in_etc.items() if source]
    if options.init and facts.init:
        mounts.append(_bind(INIT_TARGET, facts.init, "ro"))
    return mounts


def _bind(target: str, source: str, access: str, *more: str) -> SpecMount:
    return {"destination": target, "type": "bind", "source": source, "options": ["rbind", "rprivate", access, *more]}


def _asked(request: MountRequest) -> SpecMount:
    source = request.source or request.kind
    return {"destination": request.target, "type": request.kind, "source": source, "options": list(request.options)}


def _declared_volumes(options: RunOptions, image: RunConfig) -> list[MountRequest]:
    """Return a tmpfs for each volume that the image declares, if the root is read-only (see `engine.spec.builder`)."""
    if not options.read_only:
        return []
    targets = [posixpath.normpath(f"/{volume.strip('/')}") for volume in image.volumes]
    return [MountRequest("tmpfs", target, options=_VOLUME_OPTIONS) for target in targets if target != "/"]
