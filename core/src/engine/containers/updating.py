"""Change the limits of a container, while it runs and for its next runs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from engine.containers import groups, status
from engine.containers.engine import Engine
from engine.containers.telling import tell
from engine.contracts.cgroup import Capability
from engine.contracts.observer import Topic
from engine.metadata import containers
from engine.metadata.containers import Record
from engine.spec import facts
from engine.spec.options import RunOptions, check
from engine.spec.resources import resources_of

if TYPE_CHECKING:
    from engine.spec.runtime import Resources, Spec

_LIFTED: Mapping[str, Mapping[str, int]] = {
    "memory": {"limit": -1, "swap": -1},
    "cpu": {"quota": -1, "shares": 1024},
    "pids": {"limit": -1},
}
"""What takes each limit away again: 1024 is the kernel's own weight (sched-design-CFS.rst)."""


def update(engine: Engine, wanted: str, changes: Mapping[str, Any]) -> None:
    """Change options of a container: ``changes`` maps fields of `RunOptions` to values, None to lift a limit.

    A running container gets all of them or none. Raises `InvalidInput` for what contradicts the container's other
    options or the machine, `Unsupported` for what its cgroup driver cannot hold, `KernelError` for what the kernel
    refuses now (a memory limit below what is in use).
    """
    found = containers.find(engine.store.connection, wanted)
    with engine.locked(found.id):
        record = containers.find(engine.store.connection, found.id)
        options = replace(RunOptions.from_plain(record.options), **changes)
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
        saved = replace(record, options=options.to_plain(), applied=applied)
        with engine.store.transaction() as connection:
            containers.save(connection, saved)
    tell(engine, Topic.UPDATE, saved)


def _resources(engine: Engine, record: Record, options: RunOptions, before: Resources) -> Resources:
    """Return the resources as `engine create` would make them of these options; the device rules stay as they are."""
    swap = Capability.SWAP in engine.cgroup(record.cgroup).capabilities
    known = facts.gather(RunOptions(image=""), swap=swap)
    after = resources_of(replace(options, devices=(), privileged=False), known)
    return {**after, "devices": before["devices"]}


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


def difference(before: Resources, after: Resources) -> Resources:
    """Return what leads from one to the other: each controller that changes with all its limits, for they depend on
    each other, and what is no longer limited as lifted. Pure."""
    found: dict[str, dict[str, Any]] = {}
    for controller, lifted in _LIFTED.items():
        old: Mapping[str, Any] = cast("Mapping[str, Any]", before.get(controller) or {})
        new: Mapping[str, Any] = cast("Mapping[str, Any]", after.get(controller) or {})
        if old != new:
            gone = {name: value for name, value in lifted.items() if name in old and name not in new}
            found[controller] = {**gone, **new}
    return cast("Resources", found)
