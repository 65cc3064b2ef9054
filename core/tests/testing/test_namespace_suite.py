"""The namespace suite is run against broken drivers: every check must catch one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.contracts.common import Probe
from engine.contracts.namespace import Choice, Host, Join, NamespaceConfig, NamespaceDriver, NamespacePlan, New
from engine.errors import EngineError, InvalidInput
from engine.linux import namespaces
from engine.testing.namespace import NamespaceContract
from engine.testing.processes import in_private_mounts
from engine_namespace_linux.driver import LinuxNamespaces

CHECKS = [name for name in dir(NamespaceContract) if name.startswith("test_")]
CAUGHT = (AssertionError, EngineError, OSError, pytest.fail.Exception)


class Altered(NamespaceDriver):
    """The real driver with its choices, its plan, its kinds or its probe changed."""

    def __init__(
        self,
        choices: Callable[[dict[str, Choice]], Mapping[str, Choice]] = lambda choices: choices,
        plan: Callable[[NamespacePlan], NamespacePlan] = lambda plan: plan,
        probe: Probe | None = None,
        kinds: frozenset[str] | None = None,
    ) -> None:
        self.real = LinuxNamespaces(NamespaceConfig({}))
        self.kinds = self.real.kinds if kinds is None else kinds
        self._choices, self._plan, self._probe = choices, plan, probe

    def probe(self) -> Probe:
        return self._probe or self.real.probe()

    def plan(self, choices: Mapping[str, Choice]) -> NamespacePlan:
        return self._plan(self.real.plan(self._choices(dict(choices))))


class Careless(Altered):
    """Takes what it should refuse."""

    def plan(self, choices: Mapping[str, Choice]) -> NamespacePlan:
        try:
            return super().plan(choices)
        except InvalidInput:
            return NamespacePlan()


class Meddling(Altered):
    """Enters a namespace while it plans."""

    def plan(self, choices: Mapping[str, Choice]) -> NamespacePlan:
        namespaces.unshare(namespaces.CLONE_NEWUTS)
        return super().plan(choices)


def without_steps(name: str) -> NamespaceDriver:
    return Altered(
        plan=lambda plan: plan._replace(steps=tuple(one for one in plan.steps if type(one.action).__name__ != name))
    )


def new_instead(choices: dict[str, Choice]) -> Mapping[str, Choice]:
    return {kind: New() for kind, _choice in choices.items()}


def shared_instead(choices: dict[str, Choice]) -> Mapping[str, Choice]:
    return {kind: Host() for kind in choices}


def host_when_joined(choices: dict[str, Choice]) -> Mapping[str, Choice]:
    return {kind: Host() if isinstance(choice, Join) else choice for kind, choice in choices.items()}


def forgetting_settings() -> NamespaceDriver:
    return Altered(choices=new_instead)


def without_kind(kind: str) -> NamespaceDriver:
    """Shares a kind that was to be new."""
    return Altered(choices=lambda choices: {**choices, **({kind: Host()} if kind in choices else {})})


MUTANTS: dict[str, Callable[[], NamespaceDriver]] = {
    "test_kinds_are_known_ones": lambda: Altered(kinds=frozenset({"mnt"})),
    "test_probe_says_that_it_works_here": lambda: Altered(probe=Probe(True, "")),
    "test_plan_and_probe_change_nothing": Meddling,
    "test_new_is_planned_once_by_clone_or_unshare": lambda: Altered(
        plan=lambda plan: plan._replace(unshare=(*plan.unshare, *plan.clone))
    ),
    "test_new_is_not_the_hosts": lambda: Altered(choices=shared_instead),
    "test_host_is_the_hosts": lambda: Altered(choices=new_instead),
    "test_join_is_the_neighbours": lambda: Altered(choices=new_instead),
    "test_several_are_joined_with_their_user_namespace": lambda: without_kind("net"),
    "test_join_by_a_bind_mounted_file": lambda: Altered(choices=host_when_joined),
    "test_join_of_the_own_namespace_is_nothing_to_do": lambda: Altered(choices=new_instead),
    "test_all_kinds_at_once": lambda: without_kind("ipc"),
    "test_user_namespace_owns_the_others": lambda: without_kind("user"),
    "test_host_and_domain_name_are_set_inside_alone": lambda: without_steps("SetDomainname"),
    "test_loopback_is_brought_up": lambda: without_steps("LoopbackUp"),
    "test_identity_map_is_written": forgetting_settings,
    "test_identity_map_is_the_engines_own_by_default": lambda: without_steps("WriteIdMaps"),
    "test_clock_offsets_are_set": forgetting_settings,
    "test_first_process_of_a_pid_namespace_is_1": lambda: without_kind("pid"),
    "test_mounts_stay_inside": lambda: without_kind("mount"),
    "test_cgroup_namespace_is_rooted_where_its_maker_is": lambda: without_kind("cgroup"),
    "test_setting_of_another_kind_is_refused": Careless,
    "test_name_that_is_too_long_is_refused": Careless,
    "test_identity_map_that_cannot_be_is_refused": Careless,
    "test_join_of_what_is_no_such_namespace_is_refused": Careless,
    "test_joined_user_namespace_has_its_map": lambda: Altered(choices=host_when_joined),
}
"""Check to mutant."""


def test_every_check_has_a_mutant_and_every_mutant_a_check() -> None:
    assert sorted(MUTANTS) == sorted(CHECKS)


@pytest.mark.parametrize("check", CHECKS)
def test_check_catches_its_mutant(check: str, tmp_path: Path) -> None:
    function = getattr(NamespaceContract(), check)
    given: dict[str, Any] = {"driver": MUTANTS[check](), "tmp_path": tmp_path}
    arguments = {name: given[name] for name in inspect.signature(function).parameters}
    with pytest.raises(CAUGHT):
        in_private_mounts(lambda: function(**arguments))
