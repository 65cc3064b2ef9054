"""What containers use at the moment: their processes, and the counters of their cgroups."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic_ns

from engine.containers import groups, listing, pausing
from engine.containers.engine import Engine
from engine.containers.listing import View
from engine.contracts.cgroup import Statistics
from engine.errors import NotFound
from engine.linux import cgroups, links, tasks
from engine.linux.tasks import Task
from engine.metadata.containers import Record
from engine.tuples import NamedTuple


class Sample(NamedTuple):
    """The counters of one container at one moment (nanoseconds of the monotonic clock).

    ``traffic`` is None for a container without a network namespace of its own.
    """

    record: Record
    moment: int
    counters: Statistics
    traffic: links.Traffic | None = None


def samples(engine: Engine, wanted: Sequence[str]) -> list[Sample]:
    """Measure the containers of these names, or all that run. One that ends meanwhile is left out.

    Raises `NotFound` for a name that no container has.
    """
    views = [listing.view(engine, name) for name in wanted] if wanted else listing.listing(engine)
    found = (_sample(engine, view) for view in views if view.status.has_task)
    return [one for one in found if one is not None]


def must_run(engine: Engine, wanted: Sequence[str]) -> None:
    """Raise `Conflict` for the first of these containers that does not run, `NotFound` for one that there is not."""
    for name in wanted:
        view = listing.view(engine, name)
        if not view.status.has_task:
            raise pausing.not_running(view.record)


def processor_share(before: Sample | None, now: Sample) -> float | None:
    """Return the percentage of one processor's time that was used between two samples; None when that is not known."""
    if before is None or now.counters.cpu_ns is None or before.counters.cpu_ns is None or before.moment == now.moment:
        return None
    return 100 * max(0, now.counters.cpu_ns - before.counters.cpu_ns) / (now.moment - before.moment)


def processes(engine: Engine, wanted: str) -> list[Task]:
    """Return the processes of a running container by their pids on the host. Raises `NotFound`, `Conflict`."""
    must_run(engine, [wanted])
    group = groups.of(engine.layout, listing.view(engine, wanted).record.id)
    found = map(tasks.read, cgroups.processes(group)) if group is not None else ()
    return [task for task in found if task is not None]


def _sample(engine: Engine, view: View) -> Sample | None:
    record = view.record
    group = groups.of(engine.layout, record.id)
    if group is None:
        return None
    try:
        counters = engine.cgroup(record.cgroup).statistics(group)
    except NotFound:
        return None
    return Sample(record, monotonic_ns(), counters, links.traffic(view.status.pid))
