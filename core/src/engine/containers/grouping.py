"""Which steps of a cgroup driver's plan are run: all of them, or what is left to do beside a runtime's own cgroups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.actions.base import Step, kind_of
from engine.actions.cgroups import MakeCgroup
from engine.linux import cgroups

if TYPE_CHECKING:
    from engine.contracts.cgroup import CgroupPlan
    from engine.contracts.runtime import Runtime


def steps(runtime: Runtime, plan: CgroupPlan) -> list[Step]:
    """Return the steps of every phase. Of a runtime that manages the cgroup, those that the journal must know."""
    if not runtime.manages_cgroup:
        return [*plan.before, *plan.inside, *plan.after]
    return [_everywhere(step, plan.oci_path) for step in plan.before if kind_of(step.action).journalled]


def _everywhere(step: Step, path: str) -> Step:
    """Return the step for every v1 hierarchy that is mounted: such a runtime takes ``linux.cgroupsPath`` in all of
    them, also where the driver has nothing to limit, and leaves the parents that it made."""
    if not isinstance(step.action, MakeCgroup):
        return step
    v1 = {controller: found.mount_point + path for controller, found in cgroups.discover().v1.items()}
    return step._replace(action=step.action._replace(v1=tuple(v1.items())))
