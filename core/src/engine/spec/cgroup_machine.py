"""What the translation of limits needs to know of the machine, and of a group that runs already. Plain values.

Drivers fill them in (`engine.contracts.cgroup_files`); tests make them up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from engine.errors import Unsupported
from engine.spec.cgroup_limits import UNLIMITED
from engine.tuples import NamedTuple

DEFAULT_PERIOD = 100_000
"""Microseconds; what the kernel gives a fresh group (sched-bwc.rst)."""
BFQ, IOCOST = "bfq", "iocost"
"""What makes a block device obey weights: the scheduler of that name, or the io.cost model of cgroup v2."""

Version = Callable[[str], int]
"""Controller to 1, 2, or 0 where no hierarchy has it."""


class Machine(NamedTuple):
    """The cgroups of a machine.

    ``version``     the version of the hierarchy that each controller is bound to
    ``unified``     there is a v2 hierarchy, with or without controllers
    ``realtime``    the v1 controller cpu has realtime budgets (the kernel was built so)
    ``weights``     each block device that obeys weights, as ``major:minor``, and by what: `BFQ` or `IOCOST`
    ``page_sizes``  of huge pages, as files name them: ``2MB``, ``1GB``
    ``missing``     why a controller is not there, in words that its name completes
    """

    version: Version
    unified: bool = False
    realtime: bool = False
    weights: Mapping[str, str] = {}
    page_sizes: tuple[str, ...] = ()
    missing: str = "no cgroup hierarchy that is mounted here has the controller"

    def must_have(self, controller: str, wanted: str, driver: str) -> int:
        """Return the version of the hierarchy with the controller; refuse ``wanted``, a limit, where there is none."""
        held = self.version(controller)
        if not held:
            raise Unsupported(
                f"{wanted} cannot be limited: {self.missing} {controller}",
                fix=f"Leave the limit out, or boot with {controller} (/proc/cgroups shows what the kernel has).",
                plugin=driver,
            )
        return held


class Present(NamedTuple):
    """What a running group has, where the writes of an update depend on it. The defaults are a fresh group's.

    ``memory`` and ``memsw`` are limits, ``used`` and ``swapped`` the memory and the swap in use: bytes. ``realtime`` is
    the realtime runtime.
    """

    quota: int = UNLIMITED
    period: int = DEFAULT_PERIOD
    memory: int = UNLIMITED
    memsw: int | None = None
    used: int = 0
    swapped: int = 0
    realtime: int = 0
