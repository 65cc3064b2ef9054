"""The limits of a container as ``linux.resources``: memory, processor, pids and device rules. Pure."""

from __future__ import annotations

from engine.errors import InvalidInput
from engine.spec.devices import all_rules, default_rules, rules_for
from engine.spec.facts import HostFacts
from engine.spec.options import RunOptions
from engine.spec.runtime import Cpu, DeviceRule, Memory, Resources
from engine.spec.sizes import NANO, PERIOD, cpuset_members, quota_of


def resources_of(options: RunOptions, facts: HostFacts) -> Resources:
    """Return the whole object. Raises `InvalidInput` for processors that the machine does not have."""
    resources: Resources = {"devices": _rules(options, facts)}
    memory, cpu = _memory(options, facts), _cpu(options, facts)
    if memory:
        resources["memory"] = memory
    if cpu:
        resources["cpu"] = cpu
    if options.pids_limit is not None:
        resources["pids"] = {"limit": options.pids_limit if options.pids_limit > 0 else -1}
    return resources


def _rules(options: RunOptions, facts: HostFacts) -> list[DeviceRule]:
    if options.privileged:
        return all_rules()
    asked = (rule for one in options.devices for rule in rules_for(one, facts.devices[one.source]))
    return [*default_rules(), *asked]


def _memory(options: RunOptions, facts: HostFacts) -> Memory:
    """Return the memory limits. Swap not spoken of is limited to as much again, where it can be, as in Docker."""
    memory: Memory = {}
    if options.memory is not None:
        memory["limit"] = options.memory
    if options.memory_swap is not None:
        memory["swap"] = options.memory_swap
    elif options.memory is not None and facts.swap:
        memory["swap"] = 2 * options.memory
    return memory


def _cpu(options: RunOptions, facts: HostFacts) -> Cpu:
    cpu: Cpu = {}
    if options.nano_cpus is not None:
        online = len(cpuset_members(facts.cpus))
        if options.nano_cpus > online * NANO:
            raise InvalidInput(
                f"--cpus {options.nano_cpus / NANO:g} is more than the machine has", fix=f"Use at most --cpus {online}."
            )
        cpu["quota"], cpu["period"] = quota_of(options.nano_cpus), PERIOD
    if options.cpu_shares is not None:
        cpu["shares"] = options.cpu_shares
    if options.cpuset_cpus:
        missing = sorted(cpuset_members(options.cpuset_cpus) - cpuset_members(facts.cpus))
        if missing:
            raise InvalidInput(
                f"--cpuset-cpus {options.cpuset_cpus}: the machine has no processor {missing[0]}",
                fix=f"Choose among {facts.cpus}.",
            )
        cpu["cpus"] = options.cpuset_cpus
    return cpu
