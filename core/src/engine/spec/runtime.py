"""The OCI runtime specification's config.json as types: plain data, written with the specification's own names.

Only what the engine writes or reads is named here; a key that a plugin adds passes through untouched. The source of
every key is runtime-spec 1.2 (config.md, config-linux.md). Sizes are bytes, cpu times microseconds, as there.
"""

from __future__ import annotations

from typing import TypedDict


class User(TypedDict, total=False):
    """process.user. ``username`` is the image's or the user's text ("www-data:1000") and ``groupnames`` are more groups
    by name or number: both are resolved in the stage."""

    uid: int
    gid: int
    umask: int
    additionalGids: list[int]
    username: str
    groupnames: list[str]


class Capabilities(TypedDict, total=False):
    """process.capabilities: the five sets, by name ("CAP_CHOWN")."""

    bounding: list[str]
    effective: list[str]
    inheritable: list[str]
    permitted: list[str]
    ambient: list[str]


class Rlimit(TypedDict):
    """One of process.rlimits: ``type`` is "RLIMIT_NOFILE" and so on."""

    type: str
    soft: int
    hard: int


class ConsoleSize(TypedDict):
    """process.consoleSize, in characters."""

    height: int
    width: int


class Process(TypedDict, total=False):
    """The process to start: the container's init, or one more (exec).

    ``preservedDescriptors`` is the engine's own, said for one run of an init: how many it gets from 3 on.
    """

    terminal: bool
    consoleSize: ConsoleSize
    user: User
    args: list[str]
    env: list[str]
    cwd: str
    capabilities: Capabilities
    rlimits: list[Rlimit]
    noNewPrivileges: bool
    oomScoreAdj: int
    apparmorProfile: str
    selinuxLabel: str
    preservedDescriptors: int


class Root(TypedDict, total=False):
    """The root file system: ``path`` is relative to the bundle."""

    path: str
    readonly: bool


class SpecMount(TypedDict, total=False):
    """One of mounts, in order. ``options`` are mount(8)'s words. With mappings the ids of its files are mapped."""

    destination: str
    type: str
    source: str
    options: list[str]
    uidMappings: list[IdMappingRow]
    gidMappings: list[IdMappingRow]


class Namespace(TypedDict, total=False):
    """One of linux.namespaces: ``type`` is "mount", "uts", "ipc", "pid", "network", "user", "cgroup" or "time"."""

    type: str
    path: str


class IdMappingRow(TypedDict):
    """One of linux.uidMappings and gidMappings."""

    containerID: int
    hostID: int
    size: int


class DeviceNode(TypedDict, total=False):
    """One of linux.devices: a node to make in /dev."""

    path: str
    type: str
    major: int
    minor: int
    fileMode: int
    uid: int
    gid: int


class DeviceRule(TypedDict, total=False):
    """One of linux.resources.devices, in order: the last rule that matches decides. A missing number means any."""

    allow: bool
    type: str
    major: int
    minor: int
    access: str


class Memory(TypedDict, total=False):
    """linux.resources.memory, in bytes; -1 is unlimited. ``swap`` is memory and swap together."""

    limit: int
    reservation: int
    swap: int
    kernel: int
    kernelTCP: int
    swappiness: int
    disableOOMKiller: bool
    useHierarchy: bool
    checkBeforeUpdate: bool


class Cpu(TypedDict, total=False):
    """linux.resources.cpu: shares 2 to 262144, times in microseconds, lists as in cpuset(7), ``idle`` 0 or 1."""

    shares: int
    quota: int
    period: int
    burst: int
    realtimeRuntime: int
    realtimePeriod: int
    cpus: str
    mems: str
    idle: int


class Pids(TypedDict):
    """linux.resources.pids: 0 or less is unlimited."""

    limit: int


class WeightDevice(TypedDict, total=False):
    """One of blockIO.weightDevice: a block device by its numbers, weight 10 to 1000."""

    major: int
    minor: int
    weight: int
    leafWeight: int


class ThrottleDevice(TypedDict):
    """One of blockIO's throttles: a block device by its numbers, and bytes or operations a second; 0 lifts it."""

    major: int
    minor: int
    rate: int


class BlockIO(TypedDict, total=False):
    """linux.resources.blockIO: weights 10 to 1000, and rates of single devices."""

    weight: int
    leafWeight: int
    weightDevice: list[WeightDevice]
    throttleReadBpsDevice: list[ThrottleDevice]
    throttleWriteBpsDevice: list[ThrottleDevice]
    throttleReadIOPSDevice: list[ThrottleDevice]
    throttleWriteIOPSDevice: list[ThrottleDevice]


class HugepageLimit(TypedDict):
    """One of linux.resources.hugepageLimits: ``pageSize`` as in "2MB" or "1GB", ``limit`` in bytes; -1 is unlimited."""

    pageSize: str
    limit: int


class InterfacePriority(TypedDict):
    """One of network.priorities: a link of the runtime's network namespace, and the priority of what leaves by it."""

    name: str
    priority: int


class Network(TypedDict, total=False):
    """linux.resources.network (v1): ``classID`` tags packets for tc(8) and iptables."""

    classID: int
    priorities: list[InterfacePriority]


class Rdma(TypedDict, total=False):
    """One of linux.resources.rdma, by device: how many handles and objects of it may be open."""

    hcaHandles: int
    hcaObjects: int


class Resources(TypedDict, total=False):
    """linux.resources: the cgroup limits of a container. ``unified``: any file of cgroup v2, to what is written."""

    devices: list[DeviceRule]
    memory: Memory
    cpu: Cpu
    pids: Pids
    blockIO: BlockIO
    hugepageLimits: list[HugepageLimit]
    network: Network
    rdma: dict[str, Rdma]
    unified: dict[str, str]


class SyscallArg(TypedDict, total=False):
    """One condition of a seccomp rule."""

    index: int
    value: int
    valueTwo: int
    op: str


class SyscallRule(TypedDict, total=False):
    """One of linux.seccomp.syscalls."""

    names: list[str]
    action: str
    errnoRet: int
    args: list[SyscallArg]


class Seccomp(TypedDict, total=False):
    """linux.seccomp: the filter as a policy."""

    defaultAction: str
    defaultErrnoRet: int
    architectures: list[str]
    syscalls: list[SyscallRule]


class TimeOffset(TypedDict, total=False):
    """One of linux.timeOffsets ("monotonic", "boottime")."""

    secs: int
    nanosecs: int


class Linux(TypedDict, total=False):
    """The linux object."""

    namespaces: list[Namespace]
    uidMappings: list[IdMappingRow]
    gidMappings: list[IdMappingRow]
    timeOffsets: dict[str, TimeOffset]
    devices: list[DeviceNode]
    cgroupsPath: str
    resources: Resources
    rootfsPropagation: str
    seccomp: Seccomp
    sysctl: dict[str, str]
    maskedPaths: list[str]
    readonlyPaths: list[str]


class Spec(TypedDict, total=False):
    """A whole config.json."""

    ociVersion: str
    process: Process
    root: Root
    hostname: str
    domainname: str
    mounts: list[SpecMount]
    annotations: dict[str, str]
    linux: Linux
