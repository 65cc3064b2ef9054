"""Everything `engine run` and `engine create` take, parsed: the value that the record of a container keeps.

Made by the command line, or by a program that uses the engine as a library; read by `engine.spec.builder` and shown by
`engine inspect`. Values are in the kernel's units: bytes, seconds, billionths of a processor. `check` holds what no
single flag can say. Plain data both ways: `RunOptions.to_plain` and `RunOptions.from_plain`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.contracts.common import IdMap, IdMapping
from engine.errors import InvalidInput, StateError
from engine.spec.defaults import STOP_SIGNAL_ANNOTATION
from engine.spec.devices import DeviceRate, DeviceRequest
from engine.spec.isolation import CONTAINER, HOST, combine, parse_mode
from engine.spec.restart_policy import NEVER, RestartPolicy
from engine.spec.security import PLAIN, SecurityOptions
from engine.spec.ulimits import Ulimit
from engine.spec.volumes import MountRequest, check_targets
from engine.tuples import NamedTuple

SHORTEST = 0.001
"""Seconds; the shortest time of a health check, as in Docker."""
_LONGEST = 1e9
"""Seconds; more than anybody waits."""
PULL_ALWAYS, PULL_MISSING, PULL_NEVER = "always", "missing", "never"
"""When to pull the image: as Docker's ``--pull``."""
SMALLEST_MEMORY = 6 << 20
"""Bytes. Below that no process starts (docker-run(1), ``--memory``)."""


class HealthOptions(NamedTuple):
    """What ``--health-*`` say; None and 0 leave it to the image. ``none``: no check at all. Times are in seconds."""

    command: str | None = None
    interval: float | None = None
    timeout: float | None = None
    retries: int | None = None
    start_period: float | None = None
    start_interval: float | None = None
    none: bool = False


NO_WISH = HealthOptions()


class RunOptions(NamedTuple):
    """One container as asked for. None and "" mean "not said": the image's value or the default counts.

    ``entrypoint``    None: the image's; empty: none at all, and the image's command is not used either
    ``env``           "KEY=VALUE", or "KEY" alone to take a variable out of the image's
    ``host_env``      variables that the image's count more than
    ``groups``        more groups, each the container's by name or number
    ``volumes_from``  containers, each perhaps with ":ro"; once the container is made, ``mounts`` has theirs
    ``hosts``         "NAME:ADDRESS" for /etc/hosts
    ``memory_swap``   memory and swap together; -1 is unlimited swap
    ``cpu_period``, ``cpu_quota``, ``cpu_rt_period``, ``cpu_rt_runtime``  microseconds
    ``cgroup_conf``   files of cgroup v2 to what is written there; several lines for several devices
    ``device_cgroup_rules``  as typed, "c 1:3 rwm"
    ``network``, ``pid``, ``ipc``, ``uts``, ``cgroupns``, ``userns``  as typed; ``namespaces``: kind to wish of
                      ``--namespace``; ``uidmap``, ``gidmap``: rows of the user namespace's identity map
    ``stop_timeout``  seconds between the stop signal and the kill; -1 waits for ever
    ``timeout``       seconds after which the container is stopped
    ``pull``          when to pull the image: `PULL_ALWAYS`, `PULL_MISSING`, `PULL_NEVER`
    ``platform``      OS/ARCH[/VARIANT] of the image
    ``storage``, ``cgroup_driver``, ``runtime``, ``log_driver``  plugins by name; "" is the settings' choice
    """

    image: str
    command: tuple[str, ...] = ()
    name: str = ""
    detach: bool = False
    interactive: bool = False
    tty: bool = False
    rm: bool = False
    restart: RestartPolicy = NEVER
    env: tuple[str, ...] = ()
    host_env: tuple[str, ...] = ()
    workdir: str = ""
    user: str = ""
    groups: tuple[str, ...] = ()
    mounts: tuple[MountRequest, ...] = ()
    volumes_from: tuple[str, ...] = ()
    hostname: str = ""
    domainname: str = ""
    hosts: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    memory: int | None = None
    memory_swap: int | None = None
    memory_reservation: int | None = None
    memory_swappiness: int | None = None
    oom_kill_disable: bool = False
    nano_cpus: int | None = None
    cpu_shares: int | None = None
    cpu_period: int | None = None
    cpu_quota: int | None = None
    cpu_rt_period: int | None = None
    cpu_rt_runtime: int | None = None
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    pids_limit: int | None = None
    blkio_weight: int | None = None
    blkio_weight_device: tuple[DeviceRate, ...] = ()
    device_read_bps: tuple[DeviceRate, ...] = ()
    device_write_bps: tuple[DeviceRate, ...] = ()
    device_read_iops: tuple[DeviceRate, ...] = ()
    device_write_iops: tuple[DeviceRate, ...] = ()
    cgroup_conf: Mapping[str, str] = {}  # a named tuple's, and nobody adds to it
    devices: tuple[DeviceRequest, ...] = ()
    device_cgroup_rules: tuple[str, ...] = ()
    ulimits: tuple[Ulimit, ...] = ()
    read_only: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    privileged: bool = False
    security: SecurityOptions = PLAIN
    entrypoint: tuple[str, ...] | None = None
    init: bool = False
    stop_signal: int | None = None
    stop_timeout: int | None = None
    timeout: float | None = None
    network: str = ""
    pid: str = ""
    ipc: str = ""
    uts: str = ""
    cgroupns: str = ""
    userns: str = ""
    uidmap: tuple[IdMapping, ...] = ()
    gidmap: tuple[IdMapping, ...] = ()
    namespaces: Mapping[str, str] = {}  # a named tuple's, and nobody adds to it
    labels: Mapping[str, str] = {}  # a named tuple's, and nobody adds to it
    annotations: Mapping[str, str] = {}  # a named tuple's, and nobody adds to it
    oom_score_adj: int | None = None
    sysctls: Mapping[str, str] = {}  # a named tuple's, and nobody adds to it
    shm_size: int | None = None
    pull: str = PULL_MISSING
    platform: str = ""
    storage: str = ""
    cgroup_driver: str = ""
    cgroup_parent: str = ""
    runtime: str = ""
    log_driver: str = ""
    log_opts: Mapping[str, str] = {}  # a named tuple's, and nobody adds to it
    health: HealthOptions = NO_WISH

    def wishes(self) -> dict[str, str]:
        """Return what is asked of each namespace kind (see `engine.spec.isolation`). Raises `InvalidInput`."""
        userns = self.userns or ("private" if self.uidmap or self.gidmap else "")
        typed = {"--network": self.network, "--pid": self.pid, "--ipc": self.ipc, "--uts": self.uts,
                 "--cgroupns": self.cgroupns, "--userns": userns}  # fmt: skip
        return combine({flag: parse_mode(flag, text) for flag, text in typed.items()}, self.namespaces)

    def id_map(self) -> IdMap | None:
        """Return the identity map that was asked for by its rows, or None."""
        from engine.spec.idmaps import explicit  # for containers with a user namespace alone

        return explicit(self.userns, self.uidmap, self.gidmap)

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready data; what has its default is left out."""
        plain: dict[str, Any] = {"image": self.image}
        for one, default in _DEFAULTS.items():
            value = getattr(self, one)
            if value != default:
                plain[one] = _plain(value)
        return plain

    @staticmethod
    def from_plain(data: Mapping[str, Any]) -> RunOptions:
        """Return the options that `to_plain` described. Raises `StateError` for data of another kind."""
        unknown = data.keys() - _DEFAULTS.keys() - {"image"}
        if unknown or "image" not in data:
            odd = min(unknown, default="no image")
            raise StateError(
                f"the record of a container has options that this version does not know: {odd}",
                fix="Use the version of the engine that made the container.",
            )
        return RunOptions(**{name: _typed(name, value) for name, value in data.items()})


_DEFAULTS: Mapping[str, Any] = RunOptions._field_defaults
RATES = ("blkio_weight_device", "device_read_bps", "device_write_bps", "device_read_iops", "device_write_iops")
"""Fields with a row for each block device."""
_ROWS: Mapping[str, Any] = {
    "mounts": MountRequest, "devices": DeviceRequest, "ulimits": Ulimit, "uidmap": IdMapping, "gidmap": IdMapping,
    **dict.fromkeys(RATES, DeviceRate),
}  # fmt: skip


def _plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        return {key: _plain(one) for key, one in value._asdict().items()}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return dict(value) if isinstance(value, Mapping) else value


def _typed(name: str, value: Any) -> Any:
    if name in _ROWS:
        return tuple(_ROWS[name](**_tuples(row)) for row in value)
    if name == "health":
        return HealthOptions(**value)
    if name == "restart":
        return RestartPolicy(**value)
    if name == "security":
        return SecurityOptions(**_tuples(value))
    return tuple(value) if isinstance(value, list) else value


def _tuples(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}


def check(options: RunOptions) -> None:
    """Refuse what contradicts itself, before anything is looked up or made. Raises `InvalidInput`."""
    _check_memory(options)
    _check_processors(options)
    _check_names(options)
    _check_ids(options)
    _check_health(options.health)
    _check_end(options)
    check_targets(options.mounts)
    for flag, value, low, high in (
        ("--cpu-shares", options.cpu_shares, 2, 262144),
        ("--cpu-period", options.cpu_period, 1000, 1_000_000),
        ("--cpu-quota", options.cpu_quota, 1000, 1 << 44),
        ("--cpu-rt-period", options.cpu_rt_period, 1, 1 << 31),
        ("--blkio-weight", options.blkio_weight, 10, 1000),
        ("--memory-swappiness", options.memory_swappiness, 0, 100),
        *(("--blkio-weight-device", one.rate, 10, 1000) for one in options.blkio_weight_device),
        ("--oom-score-adj", options.oom_score_adj, -1000, 1000),
    ):
        if value is not None and not low <= value <= high:
            raise InvalidInput(f"{flag} {value} is out of range", fix=f"Use a number from {low} to {high}.")


def _check_end(options: RunOptions) -> None:
    if options.rm and options.restart != NEVER:
        raise InvalidInput(
            "--restart and --rm contradict each other: one starts what has ended, the other removes it",
            fix="Leave out one of them.",
        )
    if options.timeout is not None and options.timeout <= 0:
        raise InvalidInput("--timeout must be longer than no time at all", fix="Write it as in --timeout 30s.")
    if options.stop_timeout is not None and options.stop_timeout < -1:
        raise InvalidInput(
            f"--stop-timeout {options.stop_timeout} is negative",
            fix="Use seconds, 0 to kill at once, or -1 to wait for ever.",
        )


def _check_health(options: HealthOptions) -> None:
    """Refuse what contradicts itself or is out of range."""
    if options.none and options != NO_WISH._replace(none=True):
        raise InvalidInput("--no-healthcheck and --health-* contradict each other", fix="Leave out one of them.")
    if options.command is not None and not options.command.strip():
        raise InvalidInput("--health-cmd is empty", fix="Name a command, or use --no-healthcheck.")
    for flag, value in (
        ("--health-interval", options.interval),
        ("--health-timeout", options.timeout),
        ("--health-start-period", options.start_period),
        ("--health-start-interval", options.start_interval),
    ):
        if value and not SHORTEST <= value <= _LONGEST:
            raise InvalidInput(f"{flag} {value:g} s is out of range", fix="Use a time from 1ms on, as in 30s.")
    if options.retries is not None and options.retries < 0:
        raise InvalidInput(f"--health-retries {options.retries} is negative", fix="Use a number from 1 on.")


def _check_memory(options: RunOptions) -> None:
    memory, swap = options.memory, options.memory_swap
    if memory is not None and memory < SMALLEST_MEMORY:
        raise InvalidInput(f"--memory {memory} bytes is less than the least that works, 6m", fix="Use --memory 64m.")
    if options.memory_reservation is not None and memory is not None and options.memory_reservation > memory:
        raise InvalidInput(
            "--memory-reservation is more than --memory, although it is what is kept when memory is short",
            fix="Use less than --memory.",
        )
    if options.oom_kill_disable and memory is None:
        raise InvalidInput(
            "--oom-kill-disable without --memory could take all memory of the machine", fix="Give --memory too."
        )
    if swap is None or swap == -1:
        return
    if memory is None:
        raise InvalidInput(
            "--memory-swap counts memory and swap together, and there is no --memory",
            fix="Give --memory too, as in --memory 256m --memory-swap 512m.",
        )
    if swap < memory:
        raise InvalidInput(
            "--memory-swap is less than --memory, although it counts memory and swap together",
            fix="Give the sum, or the same as --memory for no swap.",
        )


def _check_processors(options: RunOptions) -> None:
    if options.nano_cpus is not None and (options.cpu_period is not None or options.cpu_quota is not None):
        raise InvalidInput(
            "--cpus contradicts --cpu-period and --cpu-quota: it sets both",
            fix="Use --cpus alone, or the other two.",
        )
    runtime, period = options.cpu_rt_runtime or 0, options.cpu_rt_period or 1_000_000
    if not 0 <= runtime <= period:
        raise InvalidInput(
            f"--cpu-rt-runtime {runtime} is not a part of the period of {period} microseconds",
            fix="Use at most the period, as in --cpu-rt-period 1000000 --cpu-rt-runtime 100000.",
        )


def _check_names(options: RunOptions) -> None:
    wishes = options.wishes()
    for flag, name in (("--hostname", options.hostname), ("--domainname", options.domainname)):
        if name and wishes["uts"] != "new":
            raise InvalidInput(
                f"{flag} needs a uts namespace of the container's own", fix=f"Leave out {flag}, or --uts."
            )
    shared = {"--add-host": options.hosts, "--dns": options.dns, "--dns-search": options.dns_search,
              "--dns-option": options.dns_options}  # fmt: skip
    for flag in (flag for flag, given in shared.items() if given and wishes["net"].startswith(CONTAINER)):
        raise InvalidInput(
            f"{flag} says how names are found, and with the network of another container that is as it is there",
            fix=f"Leave out {flag}, or --network.",
        )
    if STOP_SIGNAL_ANNOTATION in options.annotations:
        raise InvalidInput(
            f"the annotation {STOP_SIGNAL_ANNOTATION} is the engine's own", fix="Say it with --stop-signal."
        )
    if options.init and wishes["pid"] != "new":
        raise InvalidInput(
            "--init needs a pid namespace of the container's own: it would not be process 1",
            fix="Leave out --init, or --pid.",
        )
    if options.init and any(mount.target == "/dev" for mount in options.mounts):
        raise InvalidInput("--init needs a /dev of the container's own", fix="Leave out --init, or the mount at /dev.")
    if options.workdir and not options.workdir.startswith("/"):
        raise InvalidInput(
            f"--workdir {options.workdir!r} is not an absolute path", fix="Write it as in --workdir /srv."
        )
    for name in options.sysctls:
        _check_sysctl(name, wishes)


def _check_ids(options: RunOptions) -> None:
    user = options.wishes()["user"]
    if options.userns and (options.uidmap or options.gidmap):
        raise InvalidInput("--userns and --uidmap or --gidmap both say which ids", fix="Leave one of them out.")
    if user == HOST:
        mapped = [mount.target for mount in options.mounts if {"idmap", "ridmap"} & set(mount.options)]
        if mapped:
            raise InvalidInput(
                f"the mount at {mapped[0]} is to have its ids mapped (idmap), and the container has the host's ids",
                fix="Leave out idmap, or give --userns private.",
            )
    elif options.privileged:
        raise InvalidInput(
            "--privileged gives the privileges of the host's root, which root of a user namespace never has",
            fix="Use --cap-add ALL for all those of the namespace, or --userns host.",
        )


_SYSCTL_KINDS: Mapping[str, str] = {
    **dict.fromkeys(("kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall"), "ipc"),
    **dict.fromkeys(("kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced"), "ipc"),
    "kernel.domainname": "uts",
}


def _check_sysctl(name: str, wishes: Mapping[str, str]) -> None:
    """Let a sysctl pass only when a namespace of the container's own holds it: any other would change the host."""
    kind = _SYSCTL_KINDS.get(name)
    if name.startswith("fs.mqueue."):
        kind = "ipc"
    elif name.startswith("net."):
        kind = "net"
    if kind is None or "/" in name or ".." in name:
        raise InvalidInput(
            f"--sysctl {name} belongs to no namespace: it would change the whole machine",
            fix="Use one of net.*, fs.mqueue.*, kernel.msg*, kernel.sem, kernel.shm*.",
        )
    if wishes[kind] != "new":
        raise InvalidInput(
            f"--sysctl {name} would change what shares the {kind} namespace with the container",
            fix=f"Give the container a {kind} namespace of its own, or leave it out.",
        )
