"""What a specification depends on beside the user's words: the machine, and the files made for the container.

`gather` is the one place that looks; `engine.spec.builder` only computes, so that it can be tested and explained.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from engine.errors import InvalidInput
from engine.linux import capabilities
from engine.spec.devices import all_devices, find_block, find_devices
from engine.spec.options import RATES, RunOptions
from engine.spec.runtime import DeviceNode
from engine.spec.volumes import MountRequest
from engine.tuples import NamedTuple

ALL_DEVICES = "/dev"
INITS = (
    "/usr/bin/tini-static", "/usr/bin/catatonit", "/usr/libexec/podman/catatonit", "/usr/bin/docker-init",
    "/usr/libexec/docker/docker-init",
)  # fmt: skip
"""Programs for ``--init``, each linked statically: it runs on the container's files."""
_CPUS, _NODES = "/sys/devices/system/cpu", "/sys/devices/system/node"


class HostFacts(NamedTuple):
    """The machine as far as a specification needs it.

    ``capabilities``  what the engine itself may hand on (its bounding set), by name
    ``cpus``          the processors that are online, as the kernel writes a list: "0-3"
    ``mems``          the memory nodes that are online, in the same way
    ``blocks``        the numbers of each block device that an option limits
    ``devices``       the nodes at or below each path that ``--device`` names; `ALL_DEVICES`: all, for ``--privileged``
    ``init``          a program for ``--init``, or ""
    ``sensors``       paths that count what the machine does (thermal throttling), to be masked
    ``swap``          the cgroup driver can limit swap
    """

    architecture: str
    capabilities: tuple[str, ...]
    cpus: str
    hostname: str
    devices: Mapping[str, Sequence[DeviceNode]] = {}
    init: str = ""
    sensors: tuple[str, ...] = ()
    swap: bool = True
    mems: str = "0"
    blocks: Mapping[str, tuple[int, int]] = {}


class ContainerFiles(NamedTuple):
    """Host paths of files made for the container, "" for none; bound into it at the place each has in /etc.

    ``shm``: a directory to be /dev/shm, when the ipc namespace of another container is joined.
    """

    hosts: str = ""
    hostname: str = ""
    resolv_conf: str = ""
    shm: str = ""


NO_FILES = ContainerFiles()


def gather(options: RunOptions, *, swap: bool = True) -> HostFacts:
    """Look at the machine for what ``options`` need, as the command's process. ``swap``: the cgroup driver limits it.

    Raises `NotFound` for a device that does not exist.
    """
    machine = os.uname()
    return HostFacts(
        architecture=machine.machine,
        capabilities=tuple(capabilities.names(capabilities.bounding())),
        cpus=_read(f"{_CPUS}/online") or f"0-{(os.cpu_count() or 1) - 1}",
        hostname=machine.nodename,
        devices=_devices(options),
        init=next((path for path in INITS if os.access(path, os.X_OK)), "") if options.init else "",
        sensors=_sensors(),
        swap=swap,
        mems=(_read(f"{_NODES}/online") or "0") if options.cpuset_mems else "0",
        blocks={one.path: find_block(one.path) for field in RATES for one in getattr(options, field)},
    )


def _devices(options: RunOptions) -> dict[str, Sequence[DeviceNode]]:
    devices: dict[str, Sequence[DeviceNode]] = {one.source: find_devices(one.source) for one in options.devices}
    if options.privileged:
        devices[ALL_DEVICES] = all_devices()
    return devices


def _sensors() -> tuple[str, ...]:
    """Return the directories with counts of thermal throttling, a side channel to what others compute."""
    cpus = [name for name in os.listdir(_CPUS) if re.fullmatch(r"cpu\d+", name)]
    paths = (f"{_CPUS}/{name}/thermal_throttle" for name in sorted(cpus))
    return tuple(path for path in paths if os.path.isdir(path))


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def check_sources(options: RunOptions) -> None:
    """Refuse what ``--mount`` needs and is not there. In the command's process, before anything is made."""
    for mount in _missing(options):
        if not mount.create:
            raise InvalidInput(
                f"--mount: the source {mount.source} does not exist on the host",
                fix=f"Make it (mkdir {mount.source}), or use -v, which does.",
            )


def make_sources(options: RunOptions, owner: tuple[int, int]) -> None:
    """Make the directories that ``-v`` promises to make; they are the container's root's, ``owner`` its host's ids.

    Runs in the command's process, as the user who typed it. A directory that was made stays, as Docker has it: it is
    the user's, and there may be data in it.
    """
    for mount in _missing(options):
        try:
            os.makedirs(mount.source, mode=0o755, exist_ok=True)
            if owner != (0, 0) and not {"idmap", "ridmap"} & set(mount.options):
                os.chown(mount.source, *owner)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise InvalidInput(
                f"-v: the source {mount.source} cannot be made: {reason}", fix="Name a directory that exists."
            ) from error


def _missing(options: RunOptions) -> list[MountRequest]:
    return [mount for mount in options.mounts if mount.kind == "bind" and not os.path.exists(mount.source)]
