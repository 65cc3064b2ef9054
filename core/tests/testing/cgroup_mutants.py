"""The cgroupfs driver broken in one way at a time, and which check of the cgroup suite must notice each.

`MUTANTS` is the table that `test_cgroup_suite` holds complete: a check without a mutant might be one that cannot fail.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from engine.actions.base import Step
from engine.actions.cgroups import MakeCgroup, OpenCgroup, WriteCgroup
from engine.contracts.cgroup import CgroupConfig, CgroupPlan, Statistics, UnitCall
from engine.contracts.common import Probe
from engine.errors import Conflict, EngineError
from engine.linux.cgroups import Group
from engine.spec.runtime import Resources
from engine_cgroup_fs.driver import CgroupFs

MUTANTS: dict[str, type[CgroupFs]] = {}


def caught_by(*checks: str) -> Callable[[type[CgroupFs]], type[CgroupFs]]:
    """Enter a broken driver into the table; each check has one."""

    def enter(mutant: type[CgroupFs]) -> type[CgroupFs]:
        assert not MUTANTS.keys() & set(checks), f"{checks} have a mutant already"
        MUTANTS.update(dict.fromkeys(checks, mutant))
        return mutant

    return enter


class Forgets(CgroupFs):
    """Drops a part of the limits in silence; a subclass says which."""

    part = ""
    keys: tuple[str, ...] = ()

    def plan(self, name: str, resources: Resources, *, parent: str = "") -> CgroupPlan:
        return super().plan(name, self._less(resources), parent=parent)

    def update(self, name: str, resources: Resources, *, parent: str = "") -> None:
        super().update(name, self._less(resources), parent=parent)

    def _less(self, resources: Resources) -> Resources:
        less: dict[str, Any] = {key: value for key, value in resources.items() if key != self.part}
        if self.keys and isinstance(part := resources.get(self.part), Mapping):
            less[self.part] = {key: value for key, value in part.items() if key not in self.keys}
        return less  # type: ignore[return-value]


class Steps(CgroupFs):
    """Plans and then changes the steps; a subclass says how."""

    def plan(self, name: str, resources: Resources, *, parent: str = "") -> CgroupPlan:
        return self.change(super().plan(name, resources, parent=parent))

    def change(self, plan: CgroupPlan) -> CgroupPlan:
        raise NotImplementedError


# Lifecycle


@caught_by("test_probe_says_usable_and_why")
class GivesNoReason(CgroupFs):
    def probe(self) -> Probe:
        return super().probe()._replace(reason="")


@caught_by("test_capabilities_are_of_the_contract")
class DeclaresNonsense(CgroupFs):
    def __init__(self, config: CgroupConfig) -> None:
        super().__init__(config)
        self.capabilities = frozenset({"teleport"})  # type: ignore[arg-type]


@caught_by("test_plan_touches_nothing")
class MakesWhilePlanning(CgroupFs):
    left: ClassVar[list[str]] = []

    def plan(self, name: str, resources: Resources, *, parent: str = "") -> CgroupPlan:
        plan = super().plan(name, resources, parent=parent)
        os.makedirs(plan.group.v2)
        self.left.append(plan.group.v2)
        return plan


@caught_by("test_steps_are_plain_data_of_the_right_phases")
class PutsStepsIntoTheWrongField(Steps):
    def change(self, plan: CgroupPlan) -> CgroupPlan:
        return plan._replace(after=(*plan.after, plan.before[0]))


@caught_by(
    "test_directories_are_journalled_before_they_exist",
    "test_undo_removes_everything_and_may_be_repeated",
    "test_a_name_can_be_used_again_at_once",
)
class MakesBehindTheJournal(Steps):
    """One directory of the group is made by the driver itself, so that no step takes it back."""

    left: ClassVar[list[str]] = []

    def change(self, plan: CgroupPlan) -> CgroupPlan:
        hidden = f"{plan.group.v2}-hidden"
        group = plan.group._replace(v1={**plan.group.v1, "hidden": hidden})
        return plan._replace(group=group, unit=UnitCall("make one more", {"path": hidden}))

    def run_unit(self, arguments: Mapping[str, Any], pid: int) -> None:
        os.mkdir(arguments["path"])
        self.left.append(arguments["path"])


@caught_by("test_process_is_in_every_directory_of_its_group", "test_undo_kills_what_was_left_running")
class ForgetsToJoin(Steps):
    def change(self, plan: CgroupPlan) -> CgroupPlan:
        before = tuple(step for step in plan.before if not isinstance(step.action, OpenCgroup))
        return plan._replace(before=before, inside=())


@caught_by("test_group_names_the_same_place_as_the_plan")
class NamesAnotherPlace(CgroupFs):
    def group(self, name: str, *, parent: str = "") -> Group:
        return super().group(f"{name}x", parent=parent)


@caught_by("test_two_marks_never_share_a_group")
class IgnoresTheMark(CgroupFs):
    def __init__(self, config: CgroupConfig) -> None:
        super().__init__(CgroupConfig(config.parent, "00000000", config.options))


@caught_by(
    "test_parent_is_honoured", "test_a_threaded_parent_is_refused", "test_a_parent_with_processes_is_refused",
)  # fmt: skip
class IgnoresTheParent(CgroupFs):
    def plan(self, name: str, resources: Resources, *, parent: str = "") -> CgroupPlan:
        return super().plan(name, resources)


@caught_by(
    "test_freezing_stops_all_progress", "test_kill_empties_a_fork_bomb_within_a_second",
    "test_a_bomb_of_thousands_is_gone_within_a_second", "test_a_kill_for_memory_is_told_as_it_happens",
)  # fmt: skip
class TellsOfAnotherGroup(Steps):
    """The steps are right, but the group that others freeze and kill by is the parent's empty neighbour."""

    def change(self, plan: CgroupPlan) -> CgroupPlan:
        elsewhere = Group({}, f"{plan.group.v2}-elsewhere")
        return plan._replace(group=elsewhere, before=(_make(plan.before[0], elsewhere), *plan.before))


def _make(like: Step, group: Group) -> Step:
    return like._replace(action=MakeCgroup(group.v2, tuple(group.v1.items())))


@caught_by("test_neighbours_do_not_disturb_each_other")
class PutsAllIntoOneGroup(CgroupFs):
    def plan(self, name: str, resources: Resources, *, parent: str = "") -> CgroupPlan:
        plan = super().plan("all", resources, parent=parent)
        if os.path.isdir(plan.group.v2):
            plan = plan._replace(before=plan.before[1:])
        return plan


@caught_by("test_a_unit_is_refused_by_a_driver_without_units")
class AcceptsAnyUnit(CgroupFs):
    def run_unit(self, arguments: Mapping[str, Any], pid: int) -> None:
        return


# Limits


@caught_by(
    "test_quota_is_the_processor_time_that_is_had", "test_update_of_quota_takes_effect",
    "test_read_back_is_what_the_kernel_holds",
)  # fmt: skip
class ForgetsTheQuota(Forgets):
    part, keys = "cpu", ("quota", "period")


@caught_by("test_shares_divide_a_contended_processor")
class ForgetsShares(Forgets):
    part, keys = "cpu", ("shares",)


@caught_by(
    "test_cpuset_restricts_affinity", "test_update_of_cpuset_takes_effect", "test_a_start_that_fails_leaves_nothing",
)  # fmt: skip
class ForgetsTheCpuset(Forgets):
    part, keys = "cpu", ("cpus",)


@caught_by(
    "test_allocation_past_the_limit_is_killed_and_counted", "test_statistics_tell_the_limits",
    "test_update_of_memory_goes_up_and_down",
)  # fmt: skip
class ForgetsMemory(Forgets):
    part = "memory"


@caught_by("test_allocation_below_the_limit_lives")
class HalvesMemory(CgroupFs):
    def plan(self, name: str, resources: Resources, *, parent: str = "") -> CgroupPlan:
        memory = resources.get("memory") or {}
        halved = {key: value // 2 for key, value in memory.items() if isinstance(value, int)}
        return super().plan(name, {**resources, "memory": halved}, parent=parent)  # type: ignore[typeddict-item]


@caught_by("test_the_process_past_the_limit_is_refused", "test_update_of_pids_takes_effect")
class IsOffByOne(CgroupFs):
    def plan(self, name: str, resources: Resources, *, parent: str = "") -> CgroupPlan:
        return super().plan(name, _one_more(resources), parent=parent)

    def update(self, name: str, resources: Resources, *, parent: str = "") -> None:
        super().update(name, _one_more(resources), parent=parent)


def _one_more(resources: Resources) -> Resources:
    pids = resources.get("pids")
    return resources if pids is None else {**resources, "pids": {"limit": pids["limit"] + 1}}


@caught_by("test_devices_outside_the_rules_cannot_be_opened", "test_update_of_devices_takes_effect")
class ForgetsDevices(Forgets):
    part = "devices"


@caught_by("test_every_device_may_be_allowed")
class KeepsTheFirstRule(CgroupFs):
    def plan(self, name: str, resources: Resources, *, parent: str = "") -> CgroupPlan:
        first = resources.get("devices", [])[:1]
        return super().plan(name, {**resources, "devices": first}, parent=parent)


@caught_by("test_statistics_move", "test_refused_forks_and_kinds_of_memory_are_counted")
class CountsNothing(CgroupFs):
    def statistics(self, group: Group) -> Statistics:
        super().statistics(group)
        return Statistics(0, 0, 0, 0, 0, 0, 0, 0, None, 0, 0, 0, None)


@caught_by("test_statistics_of_a_group_that_is_gone")
class CountsTheDead(CgroupFs):
    def statistics(self, group: Group) -> Statistics:
        try:
            return super().statistics(group)
        except EngineError:
            return Statistics()


@caught_by("test_pressure_is_told")
class StandsStill(CgroupFs):
    def statistics(self, group: Group) -> Statistics:
        found = super().statistics(group)
        still = {kind: {who: {**row, "total": 0} for who, row in rows.items()} for kind, rows in found.pressure.items()}
        return found._replace(pressure=still)


# Block devices, and the rest


@caught_by(
    "test_a_transfer_is_slowed_to_its_rate", "test_operations_are_slowed_to_their_rate",
    "test_update_of_a_rate_takes_effect", "test_weights_divide_a_contended_disk",
)  # fmt: skip
class ForgetsBlockDevices(Forgets):
    part = "blockIO"


@caught_by("test_idle_gets_what_is_left", "test_a_realtime_budget_lets_processes_be_realtime")
class ForgetsIdlenessAndRealtime(Forgets):
    part, keys = "cpu", ("idle", "realtimeRuntime")


@caught_by("test_without_the_killer_an_allocation_waits")
class LetsTheKillerKill(Forgets):
    part, keys = "memory", ("disableOOMKiller",)


@caught_by("test_any_file_of_v2_can_be_written")
class ForgetsFiles(Forgets):
    part = "unified"


# Kinds of memory, and networks


@caught_by(
    "test_swappiness_decides_what_is_swapped", "test_a_reservation_is_kept_when_memory_is_short",
    "test_buffers_of_tcp_are_limited",
)  # fmt: skip
class ForgetsKindsOfMemory(Forgets):
    part, keys = "memory", ("swappiness", "reservation", "kernelTCP")


@caught_by("test_huge_pages_are_limited")
class ForgetsHugePages(Forgets):
    part = "hugepageLimits"


@caught_by("test_packets_bear_their_class", "test_packets_bear_their_priority")
class ForgetsTheNetwork(Forgets):
    part = "network"


@caught_by("test_handles_of_rdma_devices_are_limited")
class ForgetsRdma(Forgets):
    part = "rdma"


# Changes


@caught_by("test_update_leaves_alone_what_is_not_set")
class LiftsWhatIsNotSet(CgroupFs):
    def update(self, name: str, resources: Resources, *, parent: str = "") -> None:
        lifted: Resources = {"memory": {"swap": -1, "limit": -1}, "pids": {"limit": -1}}
        super().update(name, {**lifted, **resources}, parent=parent)


@caught_by("test_a_failing_update_restores_the_limits")
class LeavesHalfAnUpdate(CgroupFs):
    def update(self, name: str, resources: Resources, *, parent: str = "") -> None:
        for step in super().plan(name, resources, parent=parent).before:
            if isinstance(step.action, WriteCgroup):
                try:
                    step.action.run({})
                except OSError as error:
                    raise EngineError(f"could not {step.action.describe()}") from error


@caught_by("test_memory_in_use_is_not_taken_away_if_that_is_asked")
class RefusesInSilence(CgroupFs):
    def update(self, name: str, resources: Resources, *, parent: str = "") -> None:
        try:
            super().update(name, resources, parent=parent)
        except Conflict:
            return


@caught_by("test_memory_that_can_be_reclaimed_is_in_no_limit_s_way")
class ReclaimsNothing(CgroupFs):
    def update(self, name: str, resources: Resources, *, parent: str = "") -> None:
        used = self.statistics(self.group(name, parent=parent)).memory_bytes or 0
        if used > resources.get("memory", {}).get("limit", used):
            raise Conflict(f"{used} bytes are in use")
        super().update(name, resources, parent=parent)


@caught_by("test_update_of_a_group_that_is_gone")
class UpdatesTheDead(CgroupFs):
    def update(self, name: str, resources: Resources, *, parent: str = "") -> None:
        if os.path.isdir(self.group(name, parent=parent).v2):
            super().update(name, resources, parent=parent)


# Refusals


@caught_by("test_what_is_not_declared_is_refused_by_name")
class DoesNothing(CgroupFs):
    def plan(self, name: str, resources: Resources, *, parent: str = "") -> CgroupPlan:
        return super().plan(name, {}, parent=parent)


@caught_by("test_unknown_parts_are_refused_by_name")
class DropsWhatItDoesNotKnow(CgroupFs):
    def plan(self, name: str, resources: Resources, *, parent: str = "") -> CgroupPlan:
        known: dict[str, Any] = {key: value for key, value in resources.items() if key in ("cpu", "pids", "devices")}
        return super().plan(name, known, parent=parent)  # type: ignore[arg-type]


@caught_by("test_nonsense_is_refused")
class TakesAnything(CgroupFs):
    def plan(self, name: str, resources: Resources, *, parent: str = "") -> CgroupPlan:
        try:
            return super().plan(name, resources, parent=parent)
        except EngineError:
            return super().plan(name, {}, parent=parent)


@caught_by("test_names_that_lead_elsewhere_are_refused")
class FollowsNames(CgroupFs):
    def plan(self, name: str, resources: Resources, *, parent: str = "") -> CgroupPlan:
        plan = super().plan("x", resources, parent=parent)
        below = {controller: f"{path[:-1]}{name}" for controller, path in plan.group.v1.items()}
        return plan._replace(group=Group(below, f"{plan.group.v2[:-1]}{name}"))


@caught_by("test_a_parent_that_makes_no_sense_is_refused")
class TakesAnyParent(CgroupFs):
    def plan(self, name: str, resources: Resources, *, parent: str = "") -> CgroupPlan:
        return super().plan(name, resources, parent=f"/{parent.replace('.', '').replace(' ', '').strip('/')}")


@caught_by("test_an_option_that_is_unknown_is_refused")
class TakesAnyOption(CgroupFs):
    def __init__(self, config: CgroupConfig) -> None:
        super().__init__(CgroupConfig(config.parent, config.mark, {}))
