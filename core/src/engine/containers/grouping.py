"""Which steps of a cgroup driver's plan are run: all of them, or what is left to do beside a runtime's own cgroups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.actions.base import Phase, Step, kind_of
from engine.actions.cgroups import MakeCgroup
from engine.linux import cgroups

if TYPE_CHECKING:
    from engine.contracts.cgroup import CgroupPlan
    from engine.contracts.runtime import Runtime

_SYSTEMD = "name=systemd"


def steps(runtime: Runtime, plan: CgroupPlan) -> list[Step]:
    """Return the steps of every phase. Of a runtime that manages the cgroup, those that the journal must know."""
    if not runtime.manages_cgroup:
        return [*plan.before, *plan.inside, *plan.after]
    return [*_elsewhere(plan), *(step for step in plan.before if kind_of(step.action).journalled)]


def _elsewhere(plan: CgroupPlan) -> list[Step]:
    """Return the step that makes the group in the v1 hierarchies where the driver has nothing to limit.

    Such a runtime takes ``linux.cgroupsPath`` in every one, and leaves the parents that it made. The hierarchy that
    systemd names after itself is systemd's own, when that makes the group.
    """
    mounted = cgroups.discover().v1
    below = {path.removeprefix(mounted[name].mount_point) for name, path in plan.group.v1.items() if name in mounted}
    missing = mounted.keys() - plan.group.v1.keys() - ({_SYSTEMD} if plan.oci_systemd else set())
    rows = tuple((name, mounted[name].mount_point + path) for path in below for name in sorted(missing))
    return [Step(Phase.PARENT_BEFORE, MakeCgroup("", rows))] if rows else []
