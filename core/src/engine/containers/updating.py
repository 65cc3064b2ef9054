"""Change the limits of a container, while it runs and for its next runs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.containers import groups, status, wanting
from engine.containers.engine import Engine
from engine.containers.telling import tell_kept, to_tell
from engine.contracts.cgroup import Capability
from engine.contracts.observer import Topic
from engine.metadata import containers
from engine.metadata.containers import Record
from engine.spec import facts
from engine.spec.options import RATES, RunOptions, check
from engine.spec.resource_changes import difference
from engine.spec.resources import resources_of

if TYPE_CHECKING:
    from engine.spec.runtime import Resources, Spec


def update(engine: Engine, wanted: str, changes: Mapping[str, Any]) -> None:
    """Change options of a container: ``changes`` maps fields of `RunOptions` to values, None to lift a limit.

    Of block devices and of files of cgroup v2, those that it names are changed; a rate of 0 lifts one. A new restart
    policy counts from the next end on.

    A running container gets all of them or none. Raises `InvalidInput` for what contradicts the container's other
    options or the machine, `Unsupported` for what its cgroup driver cannot hold, `Conflict` for a memory limit below
    what is in use, `KernelError` for what else the kernel refuses now.
    """
    found = containers.find(engine.store.connection, wanted)
    with engine.locked(found.id):
        record = containers.find(engine.store.connection, found.id)
        options = changed(RunOptions.from_plain(record.options), changes)
        check(options)
        path = engine.layout.container(record.id) / "config.json"
        spec: Spec = json.loads(path.read_bytes())
        before = spec["linux"]["resources"]
        after = _resources(engine, record, options, before)
        engine.cgroup(record.cgroup).plan(record.id, after, parent=options.cgroup_parent)
        spec["linux"]["resources"] = after
        beside = path.with_name(".config.json")
        beside.write_text(json.dumps(spec))  # before the kernel is told: the disk may be full
        applied = _apply(engine, record, options, before, after)
        os.replace(beside, path)
        saved = record._replace(options=options.to_plain(), applied=applied)
        with engine.store.transaction() as connection:
            containers.save(connection, saved)
            kept = to_tell(connection, Topic.UPDATE, saved)
        wanting.change(engine.layout, record.id, options.restart)
    tell_kept(engine, kept)


def changed(options: RunOptions, changes: Mapping[str, Any]) -> RunOptions:
    """Return the options with the changes in them. Pure."""
    new = dict(changes)
    for name in RATES:
        if name in changes:
            rows = {one.path: one for one in (*getattr(options, name), *changes[name])}
            new[name] = tuple(one for one in rows.values() if one.rate)
    if "cgroup_conf" in changes:
        new["cgroup_conf"] = {**options.cgroup_conf, **changes["cgroup_conf"]}
    return options._replace(**new)


def _resources(engine: Engine, record: Record, options: RunOptions, before: Resources) -> Resources:
    """Return the resources as `engine create` would make them of these options; the device rules stay as they are."""
    swap = Capability.SWAP in engine.cgroup(record.cgroup).capabilities
    bare = options._replace(devices=(), privileged=False, init=False)
    return {**resources_of(bare, facts.gather(bare, swap=swap)), "devices": before["devices"]}


def _apply(engine: Engine, record: Record, options: RunOptions, before: Resources, after: Resources) -> dict[str, str]:
    """Tell the kernel, if the container runs; return what it holds then of each limit."""
    group = groups.of(engine.layout, record.id)
    if group is None or not status.of(engine.layout, record).running:
        return record.applied
    driver = engine.cgroup(record.cgroup)
    changed = difference(before, after)
    if changed:
        driver.update(record.id, changed, parent=options.cgroup_parent)
    return driver.read_back(group, after)
