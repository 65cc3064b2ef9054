"""``--volumes-from``: a container gets what others have mounted from the host, as their records say."""

from __future__ import annotations

from engine.containers.engine import Engine
from engine.metadata import containers
from engine.spec.options import RunOptions
from engine.spec.volumes import MountRequest, read_only, split_inherited


def inherit(engine: Engine, options: RunOptions) -> RunOptions:
    """Return the options with the others' mounts among their own, which count more; of the others the last one does.

    What a container mounts in memory is its own and is not inherited. Raises `NotFound`.
    """
    found: dict[str, MountRequest] = {}
    for text in options.volumes_from:
        name, only_read = split_inherited(text)
        record = containers.find(engine.store.connection, name)
        for mount in RunOptions.from_plain(record.options).mounts:
            if mount.kind == "bind":
                found[mount.target] = read_only(mount) if only_read else mount
    own = {mount.target for mount in options.mounts}
    inherited = (mount for target, mount in found.items() if target not in own)
    return options._replace(mounts=(*options.mounts, *inherited))
