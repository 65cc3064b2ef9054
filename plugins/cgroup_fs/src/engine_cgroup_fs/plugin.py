"""Registration of the driver ``cgroupfs``; see `engine.hookspecs`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.hookspecs import hookimpl

if TYPE_CHECKING:
    from engine.contracts.cgroup import CgroupConfig, CgroupDriver

contract = 1


@hookimpl
def cgroup_driver(config: CgroupConfig) -> CgroupDriver:
    """Make the driver; it reads what is mounted, and nothing else."""
    from engine_cgroup_fs.driver import CgroupFs

    return CgroupFs(config)
