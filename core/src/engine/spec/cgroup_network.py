"""linux.resources.network as writes: tags of what processes send (cgroup-v1/net_cls.rst, net_prio.rst). v1 alone."""

from __future__ import annotations

from engine.errors import Unsupported
from engine.spec.cgroup_limits import Limit
from engine.spec.cgroup_machine import Machine
from engine.spec.runtime import Network


def writes(network: Network, machine: Machine, driver: str) -> list[Limit]:
    """Return the writes. Raises `Unsupported` without a v1 hierarchy of net_cls or net_prio: v2 has neither."""
    found = []
    if class_id := network.get("classID"):
        _must_have("net_cls", "network.classID", machine, driver)
        meaning = f"traffic class {class_id:#010x}"
        found.append(Limit("network.classID", "net_cls", "net_cls.classid", str(class_id), meaning))
    for row in network.get("priorities") or []:
        _must_have("net_prio", "network.priorities", machine, driver)
        link, priority = row["name"], row["priority"]
        meaning = f"priority {priority} of what is sent by {link}"
        text, lifted = f"{link} {priority}", f"{link} 0"
        found.append(Limit("network.priorities", "net_prio", "net_prio.ifpriomap", text, meaning, link, lifted))
    return found


def _must_have(controller: str, wanted: str, machine: Machine, driver: str) -> None:
    if machine.version(controller) != 1:
        raise Unsupported(
            f"{wanted} needs the v1 controller {controller}, which is not mounted here and not part of cgroup v2",
            fix="Leave it out; nftables matches traffic by its cgroup (socket cgroupv2).",
            plugin=driver,
        )
