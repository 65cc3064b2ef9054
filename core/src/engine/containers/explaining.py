"""What `engine explain` shows: every action of a run, in order, with the process that does it and who asked for it.

The actions are those of the plan that `engine run` would hand to a shim. Around them stand the deeds that the contracts
promise of every run: the record and the snapshot, the shim's mount namespace, the clone, pivot_root(2), execve(2).
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

from engine.actions.base import Phase, Step, kind_of, of_phase
from engine.actions.task import Task
from engine.containers import drafting, identities, planning
from engine.containers.drafting import Draft
from engine.containers.engine import Engine
from engine.contracts.cgroup import CgroupPlan
from engine.contracts.storage import Mount
from engine.errors import Conflict, NotFound
from engine.metadata import containers, images
from engine.metadata.containers import Record
from engine.shim.plan import Plan
from engine.spec.options import RunOptions
from engine.tuples import NamedTuple


class Deed(NamedTuple):
    """One action. ``plugin`` asked for it ("" the core); ``call`` is its family of system calls; ``arguments`` and the
    name ``action`` are those of an action value, empty for what is no step of the plan."""

    plugin: str
    sentence: str
    call: str
    action: str = ""
    arguments: Mapping[str, Any] = {}  # a named tuple's, and nobody adds to it


class Stretch(NamedTuple):
    """Consecutive deeds of one process: "command", "shim" or "container"."""

    name: str
    process: str
    deeds: tuple[Deed, ...]


class Explanation(NamedTuple):
    """A run as it would be: who it would be, the drivers that would serve it, and its stretches in order of time."""

    id: str
    name: str
    image: str
    drivers: Mapping[str, str]
    stretches: tuple[Stretch, ...]


def explain(engine: Engine, options: RunOptions) -> Explanation:
    """Return what `engine run` would do with these options. Makes nothing; raises what `engine run` would raise."""
    draft = drafting.draft(engine, options)
    record = draft.record
    _refuse_taken(engine, options.name)
    mounts = _mounts(engine, draft)
    plan, cgroup = planning.make_plan(engine, record, draft.spec, mounts, attach=not options.detach)
    drivers = {kind: getattr(record, kind) for kind in ("storage", "cgroup", "runtime", "log")}
    stretches = (
        Stretch("make the container", "command", tuple(_making(engine, draft))),
        *(one for one in _running(engine, plan, cgroup, record) if one.deeds),
    )
    return Explanation(record.id, record.name, options.image, drivers, stretches)


def _mounts(engine: Engine, draft: Draft) -> Sequence[Mount]:
    record, base = draft.record, draft.base
    ids = identities.mapped(record.id_map)
    plan = engine.storage(record.storage).plan_mounts
    if ids is None:
        return plan(record.id, base.parents, lower=base.lower)
    return plan(record.id, base.parents, lower=base.lower, idmap=ids)


def _refuse_taken(engine: Engine, name: str) -> None:
    try:
        found = containers.find(engine.store.connection, name) if name else None
    except NotFound:
        return
    if found is not None and found.name == name:
        raise Conflict(
            f"the name {name!r} is in use by another container",
            fix=f"Remove it with `engine rm {name}`, or choose another --name.",
        )


def _making(engine: Engine, draft: Draft) -> Iterator[Deed]:
    """Yield what the command itself would do before it hands over to the shim."""
    storage, base = draft.record.storage, draft.base
    missing = [name for name in base.parents if storage not in images.unpacked(engine.store.connection, name)]
    if missing:
        layers = f"{len(missing)} of {len(base.parents)} layers"
        yield Deed(storage, f"unpack {layers} of {draft.options.image}", "write")
    for mount in draft.options.mounts:
        if mount.kind == "bind" and not os.path.exists(mount.source):
            yield Deed("", f"make the directory {mount.source} on the host", "mkdir")
    yield Deed("", f"record container {draft.record.name} in the store", "write")
    below = base.parents[0] if base.parents else base.lower or "nothing"
    yield Deed(storage, f"make a writable snapshot over {below}", "mkdir")
    directory = engine.layout.container(draft.record.id)
    yield Deed("", f"write config.json, hosts, hostname and resolv.conf in {directory}", "write")


def _running(engine: Engine, plan: Plan, cgroup: CgroupPlan, record: Record) -> Iterator[Stretch]:
    """Yield what happens from the shim's start to the command's; the child waits until the shim has done its part."""
    steps = plan.task.steps
    isolate = Deed("", "take a mount namespace of its own, whose mounts do not reach the host", "unshare")
    unit = [Deed(record.cgroup, cgroup.unit.description, "unit")] if plan.unit and cgroup.unit is not None else []
    yield Stretch("before the clone", "shim", (isolate, *map(_deed, of_phase(steps, Phase.PARENT_BEFORE))))
    inside = of_phase(steps, Phase.CHILD_BEFORE_PIVOT)
    if engine.runtime(record.runtime).manages_namespaces:
        yield Stretch("clone", "shim", tuple(map(_deed, inside)))
        inside = []
    else:
        yield Stretch("clone", "shim", tuple(_cloning(engine, plan.task)))
    yield Stretch("after the clone", "shim", (*unit, *map(_deed, of_phase(steps, Phase.PARENT_AFTER))))
    if inside:
        yield Stretch("before the pivot", "container", tuple(_entering(engine, plan.task, inside, record.runtime)))
        yield Stretch("after the pivot", "container", tuple(_becoming(plan.task, record.runtime)))


def _cloning(engine: Engine, task: Task) -> Iterator[Deed]:
    namespace = _namespace_driver(engine)
    for kind, path in task.joins:
        yield Deed(namespace, f"join the {kind} namespace {path}", "setns")
    new = f"clone into new {', '.join(task.clone)} namespaces" if task.clone else "clone"
    yield Deed(namespace, new, "clone3")


def _entering(engine: Engine, task: Task, steps: Sequence[Step], runtime: str) -> Iterator[Deed]:
    """Yield the child's deeds on the host's files; it enters cgroups before a namespace hides where they are."""
    yield Deed(runtime, "make the root filesystem a mount that nothing of the host's reaches", "mount")
    leading = list(takewhile(lambda step: kind_of(step.action).call == "cgroup", steps))
    yield from map(_deed, leading)
    if task.unshare:
        yield Deed(_namespace_driver(engine), f"make new {', '.join(task.unshare)} namespaces", "unshare")
    yield from map(_deed, steps[len(leading) :])


def _becoming(task: Task, runtime: str) -> Iterator[Deed]:
    yield Deed(runtime, "make it the root, and let go of the host's", "pivot_root")
    yield from map(_deed, of_phase(task.steps, Phase.CHILD_AFTER_PIVOT))
    yield Deed(runtime, f"execute {shlex.join(task.process['args'])}", "execve")


def _namespace_driver(engine: Engine) -> str:
    return engine.chosen("namespace", engine.settings.namespace_driver).name


def _deed(step: Step) -> Deed:
    action = step.action
    return Deed(step.plugin, action.describe(), kind_of(action).call, type(action).__name__, action._asdict())
