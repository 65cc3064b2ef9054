"""Start a container: plan everything, then let a shim do it."""

from __future__ import annotations

import errno
import json
from collections.abc import Sequence
from time import time_ns
from typing import TYPE_CHECKING, Any

from engine.containers import (
    client,
    failing,
    identities,
    planning,
    recover,
    status,
    stopping,
    tracing,
    wanting,
)
from engine.containers.engine import Engine
from engine.containers.planning import FIRST_RUN, Before
from engine.containers.telling import tell_observers
from engine.contracts.observer import Topic
from engine.errors import Conflict, EngineError, KernelError
from engine.linux import processes
from engine.linux.processes import Identity
from engine.metadata import containers
from engine.metadata.containers import Record
from engine.shim import protocol
from engine.shim.launch import Launched, launch
from engine.spec.options import RunOptions
from engine.tuples import NamedTuple

if TYPE_CHECKING:
    from engine.containers.passing import Passed
    from engine.contracts.cgroup import CgroupPlan
    from engine.contracts.storage import Mount
    from engine.spec.runtime import Spec


class Started(NamedTuple):
    """A container that runs: its record as saved, the shim, and the init's pid."""

    record: Record
    shim: Launched
    pid: int


def start(
    engine: Engine, record: Record, *, attach: bool, shim: Launched | None = None, passed: Passed | None = None
) -> Started:
    """Start a created or ended container; with ``attach``, its output comes through ``Started.shim.connection``.

    ``shim`` is one launched beforehand, which has got the descriptors that ``passed`` speaks of. Raises `Conflict` when
    it runs already, and whatever kept it from starting; then nothing of this run is left.
    """
    shim = shim or launch()
    try:
        with engine.locked(record.id):
            return _start(engine, record, shim, attach=attach, passed=passed)
    except BaseException:
        shim.close()
        raise


def start_held(engine: Engine, record: Record, *, before: Before | None = None) -> Started:
    """Do the same for whoever holds the container's lock, detached.

    ``before``: the caller is what the container's shim has executed in its place, to start it once more.
    """
    shim = launch()
    try:
        return _start(engine, record, shim, attach=False, before=before)
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
    paths = planning.paths(("runtime", runtime.name), ("log", log.name))
    client.send(shim.connection, {"op": "expect", "modules": modules, "paths": paths})


def _start(
    engine: Engine,
    record: Record,
    shim: Launched,
    *,
    attach: bool,
    passed: Passed | None = None,
    before: Before | None = None,
) -> Started:
    recover.run_ended(engine, record.id)
    record = containers.find(engine.store.connection, record.id)  # as it is now: another command had the lock before
    if before is None and status.of(engine.layout, record).running:
        raise Conflict(
            f"container {record.name!r} is running already", fix=f"Attach with `engine attach {record.name}`."
        )
    try:
        saved, pid = _hand_over(engine, record, shim, attach=attach, passed=passed, before=before)
    except EngineError as error:
        _clean_up(engine, record, error)
        if not record.options.get("rm"):
            failing.record(engine.layout, record.id, error)
        raise
    tell_observers(Topic.START, saved)
    return Started(saved, shim, pid)


def _clean_up(engine: Engine, record: Record, error: EngineError) -> None:
    """Undo what a shim has left that was killed; what cannot be undone is said in the error."""
    try:
        recover.run_ended(engine, record.id)
    except EngineError as left:
        error.what += f"; and {left.what}"


def _hand_over(
    engine: Engine, record: Record, shim: Launched, *, attach: bool, passed: Passed | None, before: Before | None
) -> tuple[Record, int]:
    """Have the shim do what the plan says; return the record as saved, and the init's pid."""
    directory = engine.layout.container(record.id)
    spec = read_spec(engine, record)
    record = record._replace(id_map=identities.of_run(engine, record))
    mounts = _mounts(engine, record)
    plan, cgroup = planning.make_plan(
        engine, record, spec, mounts, attach=attach, passed=passed, before=before or FIRST_RUN
    )
    ended = status.of(engine.layout, record).exit
    _make_state(engine, record, again=before is not None)
    (directory / "exit").unlink(missing_ok=True)
    failing.forget(engine.layout, record.id)
    client.send(shim.connection, {"op": "start", "plan": plan.to_plain()})
    tracing.lap("plan the run")
    pid, marks = _await_start(engine, record, shim, cgroup)
    tracing.add(marks, plan.task.steps)
    tracing.lap("wait for the shim to start it")
    saved = record._replace(
        started=time_ns(),
        finished=ended.finished if ended is not None else record.finished,
        restarts=plan.restarts,
        applied=_read_back(engine, record, cgroup),
    )
    try:
        with engine.store.transaction() as connection:
            containers.save(connection, saved)
            if record.options.get("rm"):
                containers.set_phase(connection, record.id, "ready", _identity(shim))
    except EngineError:
        stopping.kill_through_shim(engine, record)
        raise
    tracing.lap("read the limits back, and record that it runs")
    return saved, pid


def _identity(shim: Launched) -> Identity | None:
    try:
        return processes.identity(shim.pid)
    except ProcessLookupError:  # it has ended, and whoever started this command has no zombies
        return None


def _make_state(engine: Engine, record: Record, *, again: bool) -> None:
    """Make the state directory of a run that a user wants, or take over the one of the run that it follows."""
    if again:
        recover.clear_state(engine, record.id)
        return
    if not record.options.get("rm"):
        wanting.begin(engine.layout, record.id, RunOptions.from_plain(record.options).restart)
    place = engine.layout.container_state(record.id)
    try:
        place.mkdir(mode=0o700)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        what = "a quota is used up" if error.errno == errno.EDQUOT else "the disk is full"
        failure = KernelError(f"cannot make {place}: {what}", fix="Free some space there, then run the command again.")
        failure.errno = errno.errorcode[error.errno]
        raise failure from error


def _await_start(engine: Engine, record: Record, shim: Launched, cgroup: CgroupPlan) -> tuple[int, list[Any]]:
    """Serve the shim's requests until the container runs; return the init's pid, and what the shim measured."""
    while True:
        answer = client.read_answer(shim.connection)
        if "started" in answer:
            return int(answer["started"]), answer.get("trace", [])
        assert cgroup.unit is not None
        try:
            engine.cgroup(record.cgroup).run_unit(cgroup.unit.arguments, int(answer["unit"]))
        except EngineError as error:
            with client.unless_gone():
                shim.connection.sendall(protocol.error_frame(error))
        else:
            client.send(shim.connection, {"unit": "made"})


def _mounts(engine: Engine, record: Record) -> Sequence[Mount]:
    """Return the storage driver's mounts of a container that is about to run."""
    ids = identities.mapped(record.id_map)
    driver = engine.storage(record.storage)
    return driver.mounts(record.id) if ids is None else driver.mounts(record.id, idmap=ids)


def read_spec(engine: Engine, record: Record) -> Spec:
    """Return a container's specification, its config.json."""
    spec: Spec = json.loads((engine.layout.container(record.id) / "config.json").read_bytes())
    return spec


def _read_back(engine: Engine, record: Record, cgroup: CgroupPlan) -> dict[str, str]:
    """Return each limit as the kernel holds it; a container that ended meanwhile has none to show."""
    spec = read_spec(engine, record)
    try:
        return engine.cgroup(record.cgroup).read_back(cgroup.group, spec["linux"]["resources"])
    except EngineError:
        return {}
    except OSError as error:
        if error.errno not in {errno.ENOENT, errno.ENODEV}:  # what a group answers that is gone, or is going
            raise
        return {}
