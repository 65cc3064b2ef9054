"""The limits of a container as ``linux.resources``, from its options. Pure."""

from __future__ import annotations

from typing import Any

from engine.errors import InvalidInput
from engine.spec.devices import DeviceRate, all_rules, default_rules, parse_cgroup_rule, rules_for
from engine.spec.facts import HostFacts
from engine.spec.options import RunOptions
from engine.spec.runtime import BlockIO, Cpu, DeviceRule, Memory, Resources
from engine.spec.sizes import NANO, PERIOD, cpuset_members, quota_of


def resources_of(options: RunOptions, facts: HostFacts) -> Resources:
    """Return the whole object. Raises `InvalidInput` for processors and memory nodes that the machine does not have."""
    resources: Resources = {"devices": _rules(options, facts)}
    memory, cpu, block = _memory(options, facts), _cpu(options, facts), _block_io(options, facts)
    if memory:
        resources["memory"] = memory
    if cpu:
        resources["cpu"] = cpu
    if options.pids_limit is not None:
        resources["pids"] = {"limit": options.pids_limit if options.pids_limit > 0 else -1}
    if block:
        resources["blockIO"] = block
    if options.cgroup_conf:
        resources["unified"] = dict(options.cgroup_conf)
    return resources


def _rules(options: RunOptions, facts: HostFacts) -> list[DeviceRule]:
    if options.privileged:
        return all_rules()
    asked = (rule for one in options.devices for rule in rules_for(one, facts.devices[one.source]))
    return [*default_rules(), *asked, *map(parse_cgroup_rule, options.device_cgroup_rules)]


def _memory(options: RunOptions, facts: HostFacts) -> Memory:
    """Return the memory limits. Swap not spoken of is limited to as much again, where it can be, as in Docker."""
    memory: Memory = {}
    if options.memory is not None:
        memory["limit"] = options.memory
    if options.memory_swap is not None:
        memory["swap"] = options.memory_swap
    elif options.memory is not None and facts.swap:
        memory["swap"] = 2 * options.memory
    if options.memory_reservation is not None:
        memory["reservation"] = options.memory_reservation
    if options.memory_swappiness is not None:
        memory["swappiness"] = options.memory_swappiness
    if options.oom_kill_disable:
        memory["disableOOMKiller"] = True
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
    if options.cpu_quota is not None:
        cpu["quota"] = options.cpu_quota
    if options.cpu_period is not None:
        cpu["period"] = options.cpu_period
    if options.cpu_shares is not None:
        cpu["shares"] = options.cpu_shares
    if options.cpu_rt_period is not None:
        cpu["realtimePeriod"] = options.cpu_rt_period
    if options.cpu_rt_runtime is not None:
        cpu["realtimeRuntime"] = options.cpu_rt_runtime
    if options.cpuset_cpus:
        cpu["cpus"] = _members("--cpuset-cpus", options.cpuset_cpus, facts.cpus, "processor")
    if options.cpuset_mems:
        cpu["mems"] = _members("--cpuset-mems", options.cpuset_mems, facts.mems, "memory node")
    return cpu


def _members(flag: str, wanted: str, there: str, what: str) -> str:
    missing = sorted(cpuset_members(wanted) - cpuset_members(there))
    if missing:
        raise InvalidInput(f"{flag} {wanted}: the machine has no {what} {missing[0]}", fix=f"Choose among {there}.")
    return wanted


def _block_io(options: RunOptions, facts: HostFacts) -> BlockIO:
    def rows(rates: tuple[DeviceRate, ...], name: str) -> list[Any]:
        numbers = ((*facts.blocks[one.path], one.rate) for one in rates)
        return [{"major": major, "minor": minor, name: rate} for major, minor, rate in numbers]

    block: BlockIO = {
        "weightDevice": rows(options.blkio_weight_device, "weight"),
        "throttleReadBpsDevice": rows(options.device_read_bps, "rate"),
        "throttleWriteBpsDevice": rows(options.device_write_bps, "rate"),
        "throttleReadIOPSDevice": rows(options.device_read_iops, "rate"),
        "throttleWriteIOPSDevice": rows(options.device_write_iops, "rate"),
    }
    if options.blkio_weight is not None:
        block["weight"] = options.blkio_weight
    return {key: value for key, value in block.items() if value}  # type: ignore[return-value]
