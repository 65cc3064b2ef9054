"""The contract of cgroup drivers: a group for each container, limits in the units of the OCI runtime-spec.

Vocabulary:

    *parent*     the cgroup (``/engine-<mark>``) or slice (``machine.slice``) that holds this root's containers
    *group*      one container's cgroup: a directory in each hierarchy (`engine.linux.cgroups.Group`, plain data)
    *limits*     `engine.spec.runtime.Resources`: the ``linux.resources`` object of an OCI config.json

Lifecycle. The command's process calls `plan` and gives the answer to the shim, which runs ``before``, clones the
container's init (into ``clone_into`` when the kernel can), and runs ``after``. When the container ended, the shim (or
whoever finds it abandoned) undoes the journalled steps: that kills what is left in the group and removes it. Neither
needs the driver, so nothing of a plugin is imported in the shim.

Three ways to put a process into its group, and a driver takes the one that fits:

    cgroupfs on v2      ``before`` makes the directory and opens it into the slot ``cgroup``; the clone lands in it
    cgroupfs on v1      ``before`` opens the ``tasks`` files into slots, ``inside`` makes the child write itself there:
                        a process that moves itself skips the lock that costs others 10 ms; in hybrid it is also cloned
                        into the v2 tree (freeze, kill and pressure are there)
    systemd             ``unit`` names a call of this driver that needs the pid: the scope is made with it; the shim
                        asks the command to make it, and runs ``after`` when that is done

A runtime that manages the cgroup itself (runc) gets ``oci_path`` and, when set, ``--systemd-cgroup``; then only the
journalled steps are run, so that two never write the same files and yet a crash leaves nothing.

`plan` looks at the hierarchy found when the driver was made, and at the parent, and touches nothing. `probe`,
`statistics` and `read_back` read. All of it runs in the command's process, as root (or the user's own systemd manager),
in the host's namespaces.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from engine.actions.base import Step
from engine.contracts.common import Probe
from engine.linux.cgroups import Group
from engine.spec.runtime import Resources
from engine.tuples import NamedTuple


class Capability(StrEnum):
    """What a driver can limit or do on this machine. What is not declared must be refused by name (`Unsupported`).

    ``io`` is rates of block devices; ``io-weight`` needs a device that obeys weights; ``realtime``, ``swappiness``,
    ``oom-control``, ``kernel-tcp``, ``net-cls`` and ``net-prio`` are only ever on v1; ``unified`` is any file of the v2
    hierarchy whose controller is there.
    """

    CPU = "cpu"
    CPUSET = "cpuset"
    MEMORY = "memory"
    SWAP = "swap"
    PIDS = "pids"
    DEVICES = "devices"
    FREEZE = "freeze"
    STATISTICS = "statistics"
    REALTIME = "realtime"
    SWAPPINESS = "swappiness"
    OOM_CONTROL = "oom-control"
    KERNEL_TCP = "kernel-tcp"
    IO = "io"
    IO_WEIGHT = "io-weight"
    HUGETLB = "hugetlb"
    RDMA = "rdma"
    NET_CLS = "net-cls"
    NET_PRIO = "net-prio"
    UNIFIED = "unified"


class CgroupConfig(NamedTuple):
    """What the factory hook gets. ``parent`` is the user's ``--cgroup-parent``, or ``""`` for the driver's default;
    ``mark`` distinguishes this engine root (8 hex digits) in every name."""

    parent: str
    mark: str
    options: Mapping[str, str]


class UnitCall(NamedTuple):
    """A call of the driver's `run_unit` that needs the pid of the container's init; ``arguments`` is plain data."""

    description: str
    arguments: Mapping[str, Any]


class CgroupPlan(NamedTuple):
    """How to make and join a container's group.

    ``group``     where it is, for freezing, killing and reading
    ``before``    steps of phase PARENT_BEFORE: directories (journalled), limits, the slot to clone into
    ``unit``      a call to make with the pid, after the clone, before ``after``; or None
    ``after``     steps of phase PARENT_AFTER: joining, and limits that need the group to have been made by ``unit``
    ``oci_path``  ``linux.cgroupsPath`` for a runtime that manages the cgroup itself
    ``oci_systemd``  that runtime is told to go through systemd
    ``inside``    steps of phase CHILD_BEFORE_PIVOT that the child runs before all others, and before it makes a cgroup
                  namespace (whose root is where the child is at that moment)
    """

    group: Group
    before: tuple[Step, ...]
    unit: UnitCall | None
    after: tuple[Step, ...]
    oci_path: str
    oci_systemd: bool = False
    inside: tuple[Step, ...] = ()


class Statistics(NamedTuple):
    """Counters of a group, in bytes, nanoseconds and counts; None where the hierarchy does not tell.

    ``cpu_*``, ``periods``, ``throttled_*``  processor time, and what a quota took away
    ``memory_*``    what is in use now and of what kinds, which overlap: mapped and dirty pages are cache, and so is
                    what is in shared memory; ``memory_limit_hits`` is how often the limit was reached
    ``oom_kills``   processes killed for memory; ``oom_events``: how often it had come to that (v2)
    ``io_*``        of all block devices together; a stack of devices counts once for each
    ``pressure``    ``cpu``, ``memory``, ``io`` to ``some`` and ``full``, see `engine.linux.cgroup_counters.pressures`
    """

    cpu_ns: int | None = None
    cpu_user_ns: int | None = None
    cpu_system_ns: int | None = None
    periods: int | None = None
    throttled_periods: int | None = None
    throttled_ns: int | None = None
    memory_bytes: int | None = None
    memory_peak_bytes: int | None = None
    memory_limit_bytes: int | None = None
    memory_cache_bytes: int | None = None
    oom_kills: int | None = None
    pids: int | None = None
    pids_limit: int | None = None
    memory_anon_bytes: int | None = None
    memory_shmem_bytes: int | None = None
    memory_mapped_bytes: int | None = None
    memory_dirty_bytes: int | None = None
    memory_inactive_file_bytes: int | None = None
    memory_kernel_bytes: int | None = None
    memory_swap_bytes: int | None = None
    memory_limit_hits: int | None = None
    page_faults: int | None = None
    major_page_faults: int | None = None
    oom_events: int | None = None
    pids_limit_hits: int | None = None
    io_read_bytes: int | None = None
    io_write_bytes: int | None = None
    io_reads: int | None = None
    io_writes: int | None = None
    pressure: Mapping[str, Mapping[str, Mapping[str, float]]] = {}


class CgroupDriver(ABC):
    """A cgroup driver on this machine. See the module's text for vocabulary and lifecycle."""

    capabilities: frozenset[Capability] = frozenset()

    @abstractmethod
    def probe(self) -> Probe:
        """Say whether groups can be made here: hierarchies mounted, writable, a bus that answers."""

    @abstractmethod
    def plan(self, name: str, resources: Resources, *, parent: str = "") -> CgroupPlan:
        """Return how to make the group ``name`` (``[a-z0-9-]+``, the container's ID) with these limits.

        ``parent`` overrides the configured one. Touches nothing. Raises `Unsupported`, naming the limit, for what this
        hierarchy or driver cannot hold, `InvalidInput` for values no kernel would take, and `Conflict` for a parent in
        which no container can be now (of a threaded subtree). Nothing is dropped in silence.
        """

    @abstractmethod
    def group(self, name: str, *, parent: str = "") -> Group:
        """Return where the group of that name is (whether it exists or not)."""

    @abstractmethod
    def run_unit(self, arguments: Mapping[str, Any], pid: int) -> None:
        """Do the `UnitCall` of a plan: make the scope with ``pid`` in it, and return when that is done.

        Called in the command's process while the container's init waits. Drivers without units raise `Unsupported`.
        """

    @abstractmethod
    def update(self, name: str, resources: Resources, *, parent: str = "") -> None:
        """Change the limits of a running group: only the fields that are set. Raises as `plan` does; on a failure the
        limits before are restored.

        With ``memory.checkBeforeUpdate`` a limit of memory below what is in use and cannot be reclaimed is refused
        (`Conflict`). Without it the kernel has its way: v1 refuses it, v2 kills.
        """

    @abstractmethod
    def read_back(self, group: Group, resources: Resources) -> dict[str, str]:
        """Return what the kernel holds for each limit set in ``resources``: dotted OCI name (``memory.limit``) to the
        file's text. `engine inspect` shows it beside what was asked."""

    @abstractmethod
    def statistics(self, group: Group) -> Statistics:
        """Return the counters now. Raises `NotFound` when the group is gone."""
