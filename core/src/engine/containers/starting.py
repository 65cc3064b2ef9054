"""Start a container: plan everything, then let a shim do it."""

from __future__ import annotations

import errno
import json
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING

from engine import plugins
from engine.actions.base import Phase, Step
from engine.actions.rootfs import MountRootfs
from engine.actions.task import Task
from engine.containers import client, ending, grouping, joining, locks, recover, status, stopping
from engine.containers.engine import Engine
from engine.containers.telling import tell
from engine.contracts.observer import Topic
from engine.errors import Conflict, EngineError
from engine.metadata import containers
from engine.metadata.containers import Record
from engine.shim import protocol
from engine.shim.launch import Launched, launch
from engine.shim.plan import Plan
from engine.spec.isolation import choose
from engine.spec.options import RunOptions

if TYPE_CHECKING:
    from engine.contracts.cgroup import CgroupPlan
    from engine.contracts.namespace import NamespacePlan
    from engine.spec.runtime import Spec


@dataclass(frozen=True, slots=True)
class Started:
    """A container that runs: its record as saved, the shim, and the init's pid."""

    record: Record
    shim: Launched
    pid: int


def start(engine: Engine, record: Record, *, attach: bool, shim: Launched | None = None) -> Started:
    """Start a created or ended container; with ``attach``, its output comes through ``Started.shim.connection``.

    ``shim`` is one launched beforehand. Raises `Conflict` when it runs already, and whatever kept it from starting;
    then nothing of this run is left.
    """
    shim = shim or launch()
    try:
        with locks.locked(engine.layout, record.id):
            return _start(engine, record, shim, attach=attach)
    except BaseException:
        shim.close()
        raise


def expect(engine: Engine, shim: Launched, options: RunOptions) -> None:
    """Tell a shim which modules its plan will need, so that it imports them while the plan is made.

    A shim that ended already says so when it gets the plan.
    """
    runtime = engine.chosen("runtime", options.runtime or engine.settings.runtime)
    log = engine.chosen("log", options.log_driver or engine.settings.log_driver)
    modules = [module for module in (runtime.driver.stage, log.driver.sink) if module]
    paths = _paths(("runtime", runtime.name), ("log", log.name))
    with suppress(BrokenPipeError):
        shim.connection.sendall(protocol.control({"op": "expect", "modules": modules, "paths": paths}))


def _start(engine: Engine, record: Record, shim: Launched, *, attach: bool) -> Started:
    recover.run_ended(engine, record.id)
    if status.of(engine.layout, record).running:
        raise Conflict(
            f"container {record.name!r} is running already", fix=f"Attach with `engine attach {record.name}`."
        )
    directory, state = engine.layout.container(record.id), engine.layout.container_state(record.id)
    plan, cgroup = make_plan(engine, record, attach=attach)
    (directory / "exit").unlink(missing_ok=True)
    state.mkdir(mode=0o700)
    shim.connection.sendall(protocol.control({"op": "start", "plan": plan.to_plain()}))
    pid = _await_start(engine, record, shim, cgroup)
    saved = replace(record, started=time_ns(), applied=_read_back(engine, record, cgroup))
    try:
        with engine.store.transaction() as connection:
            containers.save(connection, saved)
    except EngineError:
        stopping.kill_through_shim(engine, record)
        raise
    tell(Topic.START, saved)
    return Started(saved, shim, pid)


def _await_start(engine: Engine, record: Record, shim: Launched, cgroup: CgroupPlan) -> int:
    """Serve the shim's requests until the container runs; return the init's pid."""
    while True:
        answer = client.read_answer(shim.connection)
        if "started" in answer:
            return int(answer["started"])
        assert cgroup.unit is not None
        try:
            engine.cgroup(record.cgroup).run_unit(cgroup.unit.arguments, int(answer["unit"]))
        except EngineError as error:
            shim.connection.sendall(protocol.frame(protocol.ERROR, json.dumps(error.to_plain()).encode()))
        else:
            shim.connection.sendall(protocol.control({"unit": "made"}))


def make_plan(engine: Engine, record: Record, *, attach: bool) -> tuple[Plan, CgroupPlan]:
    """Translate a container's specification into the plan of one run. Starts and makes nothing."""
    options = RunOptions.from_plain(record.options)
    directory = engine.layout.container(record.id)
    spec: Spec = json.loads((directory / "config.json").read_bytes())
    runtime = engine.runtime(record.runtime)
    namespaces = plan_namespaces(engine, options, spec.get("hostname", ""))
    resources = spec["linux"]["resources"]
    cgroup = engine.cgroup(record.cgroup).plan(record.id, resources, parent=options.cgroup_parent)
    arguments = dict(runtime.arguments())
    if runtime.manages_cgroup:
        spec["linux"]["cgroupsPath"] = cgroup.oci_path
        arguments["systemd_cgroup"] = cgroup.oci_systemd
    steps = [
        _rootfs_step(engine, record, directory),
        *grouping.steps(runtime, cgroup),
        *([] if runtime.manages_namespaces else namespaces.steps),
        *runtime.plan(spec, namespaces),
        *joining.shared_memory(engine, options),
    ]
    log = engine.log(record.log, options.log_opts)
    command, environment = ending.reaper(engine, record)
    task = Task(
        id=record.id,
        bundle=str(directory),
        clone=namespaces.clone,
        unshare=namespaces.unshare,
        joins=namespaces.joins,
        steps=tuple(steps),
        process=spec["process"],
        arguments=arguments,
    )
    plan = Plan(
        directory=str(directory),
        state=str(engine.layout.container_state(record.id)),
        stage=runtime.stage,
        paths=_paths(("runtime", record.runtime), ("log", record.log)),
        task=task,
        group=cgroup.group,
        unit=cgroup.unit is not None and not runtime.manages_cgroup,
        sink=(log.sink, log.sink_arguments()) if log.sink else None,
        stdin=_stdin(options),
        attach=attach,
        sync=not options.rm,
        timeout=options.timeout or 0,
        reaper=command,
        reaper_environment=environment,
    )
    return plan, cgroup


def plan_namespaces(engine: Engine, options: RunOptions, hostname: str) -> NamespacePlan:
    """Ask the namespace driver how to give the container what it chose, container names resolved to paths."""
    choices = choose(options.wishes(), joining.resolve(engine, options), hostname)
    plan: NamespacePlan = engine.chosen("namespace", engine.settings.namespace_driver).driver.plan(choices)
    return plan


def _rootfs_step(engine: Engine, record: Record, directory: Path) -> Step:
    mounts = engine.storage(record.storage).mounts(record.id)
    rows = tuple((mount.fstype, mount.source, mount.options, mount.attributes) for mount in mounts)
    return Step(Phase.PARENT_BEFORE, MountRootfs(str(directory / "rootfs"), rows), record.storage)


def _paths(*wanted: tuple[str, str]) -> list[str]:
    index = plugins.index()
    return [entry.directory for kind, name in wanted for entry in index.named(kind, name)]


def _stdin(options: RunOptions) -> str:
    if not options.interactive:
        return "none"
    return "open" if options.detach else "once"


def _read_back(engine: Engine, record: Record, cgroup: CgroupPlan) -> dict[str, str]:
    """Return each limit as the kernel holds it; a container that ended meanwhile has none to show."""
    spec: Spec = json.loads((engine.layout.container(record.id) / "config.json").read_bytes())
    try:
        return engine.cgroup(record.cgroup).read_back(cgroup.group, spec["linux"]["resources"])
    except EngineError:
        return {}
    except OSError as error:
        if error.errno not in {errno.ENOENT, errno.ENODEV}:  # what a group answers that is gone, or is going
            raise
        return {}
