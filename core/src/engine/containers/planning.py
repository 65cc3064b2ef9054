"""The plan of one run of a container: computed from its record and its specification, and from nothing it has to make.

`engine start` hands the plan to a shim and `engine explain` shows it. Both call `make_plan`, so what is shown is what
would run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine import plugins
from engine.actions.base import Phase, Step
from engine.actions.rootfs import MountRootfs
from engine.actions.task import Task
from engine.containers import grouping, joining, programs, tracing
from engine.containers.engine import Engine
from engine.containers.telling import attributes_of
from engine.contracts.storage import to_row
from engine.metadata.containers import Record
from engine.shim.plan import Plan
from engine.spec.environment import merge_env
from engine.spec.isolation import choose
from engine.spec.options import RunOptions
from engine.tuples import NamedTuple

if TYPE_CHECKING:
    from engine.containers.passing import Passed
    from engine.contracts.cgroup import CgroupPlan
    from engine.contracts.common import IdMap
    from engine.contracts.namespace import NamespacePlan
    from engine.contracts.storage import Mount
    from engine.spec.runtime import Spec


class Before(NamedTuple):
    """How often a container was started again since a user started it, and the last back-off in seconds."""

    restarts: int = 0
    delay: float = 0.0


FIRST_RUN = Before()


def make_plan(
    engine: Engine,
    record: Record,
    spec: Spec,
    mounts: Sequence[Mount],
    *,
    attach: bool,
    passed: Passed | None = None,
    before: Before = FIRST_RUN,
) -> tuple[Plan, CgroupPlan]:
    """Translate a container's specification into the plan of one run. Starts and makes nothing.

    ``mounts`` are the storage driver's for the container's snapshot, ``before`` what came before this run.
    """
    if passed is not None:
        spec["process"]["preservedDescriptors"] = passed.descriptors
        spec["process"]["env"] = merge_env(spec["process"]["env"], passed.environment)
    options = RunOptions.from_plain(record.options)
    runtime = engine.runtime(record.runtime)
    log = engine.log(record.log, options.log_opts)
    resources = spec["linux"]["resources"]
    cgroup = engine.cgroup(record.cgroup).plan(record.id, resources, parent=options.cgroup_parent)
    plan = Plan(
        directory=str(engine.layout.container(record.id)),
        state=str(engine.layout.container_state(record.id)),
        stage=runtime.stage,
        paths=paths(("runtime", record.runtime), ("log", record.log)),
        task=_task(engine, record, options, spec, mounts, cgroup),
        group=cgroup.group,
        unit=cgroup.unit is not None and not runtime.manages_cgroup,
        sink=(log.sink, log.sink_arguments()) if log.sink else None,
        stdin=_stdin(options),
        attach=attach,
        sync=not options.rm,
        timeout=options.timeout or 0,
        reaper=programs.reaper(engine, record),
        again=programs.again(engine, record),
        environment=programs.environment(),
        restarts=before.restarts,
        delay=before.delay,
        trace=tracing.wanted(),
        health=_health(engine, record, spec),
        events=str(engine.layout.events),
        attributes=attributes_of(record),
    )
    return plan, cgroup


def _task(
    engine: Engine, record: Record, options: RunOptions, spec: Spec, mounts: Sequence[Mount], cgroup: CgroupPlan
) -> Task:
    """Return what the runtime's stage works with: every driver's steps in their order, and the process."""
    directory = engine.layout.container(record.id)
    runtime = engine.runtime(record.runtime)
    namespaces = plan_namespaces(engine, options, spec.get("hostname", ""), record.id_map)
    arguments = dict(runtime.arguments())
    if runtime.manages_cgroup:
        spec["linux"]["cgroupsPath"] = cgroup.oci_path
        arguments["systemd_cgroup"] = cgroup.oci_systemd
    steps = (
        _rootfs_step(record, mounts, f"{directory}/rootfs"),
        *grouping.steps(runtime, cgroup),
        *(() if runtime.manages_namespaces else namespaces.steps),
        *runtime.plan(spec, namespaces),
        *joining.shared_memory(engine, options),
    )
    return Task(
        id=record.id,
        bundle=str(directory),
        clone=namespaces.clone,
        unshare=namespaces.unshare,
        joins=namespaces.joins,
        steps=steps,
        process=spec["process"],
        arguments=arguments,
    )


def _health(engine: Engine, record: Record, spec: Spec) -> dict[str, Any] | None:
    """Return how the shim checks the container's health, or None."""
    if record.health is None:
        return None
    from engine.containers import executing, health

    wanted = executing.ExecOptions(command=tuple(record.health["args"]))
    return health.settings_of(record.health, executing.request(engine, record, spec, wanted))


def plan_namespaces(engine: Engine, options: RunOptions, hostname: str, ids: IdMap | None) -> NamespacePlan:
    """Ask the namespace driver how to give the container what it chose, container names resolved to paths.

    ``ids`` is the identity map of a new user namespace.
    """
    choices = choose(options.wishes(), joining.resolve(engine, options), hostname, options.domainname, ids)
    plan: NamespacePlan = engine.chosen("namespace", engine.settings.namespace_driver).driver.plan(choices)
    return plan


def paths(*wanted: tuple[str, str]) -> list[str]:
    """Return the directories from which the shim imports these plugins' lean halves: pairs of kind and name."""
    index = plugins.index()
    return [entry.directory for kind, name in wanted for entry in index.named(kind, name)]


def _rootfs_step(record: Record, mounts: Sequence[Mount], target: str) -> Step:
    return Step(Phase.PARENT_BEFORE, MountRootfs(target, tuple(map(to_row, mounts))), record.storage)


def _stdin(options: RunOptions) -> str:
    if not options.interactive:
        return "none"
    return "open" if options.detach else "once"
