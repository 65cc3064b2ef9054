"""Registration of the driver ``systemd``; see `engine.hookspecs`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.hookspecs import hookimpl

if TYPE_CHECKING:
    from engine.contracts.cgroup import CgroupConfig, CgroupDriver

contract = 1


@hookimpl
def cgroup_driver(config: CgroupConfig) -> CgroupDriver:
    """Make the driver; it reads what is mounted, and talks to no bus before it is asked to."""
    from engine_cgroup_systemd.driver import CgroupSystemd

    return CgroupSystemd(config)
