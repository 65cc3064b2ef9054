"""Devices: ``--device``, the rules that every container has, and the nodes of the host.

A device needs two things: a node in the container's /dev (``linux.devices``) and a rule of its cgroup
(``linux.resources.devices``). Block devices may also be limited in how fast they are read and written. `find_devices`
and `find_block` read the host's /dev; everything else is pure.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence

from engine.errors import InvalidInput, NotFound
from engine.spec.refusal import refusal
from engine.spec.runtime import DeviceNode, DeviceRule
from engine.tuples import NamedTuple

_RULE = r"([abc]) (\d{1,9}|\*):(\d{1,9}|\*) ([rwm]{1,3})"
_EXAMPLE = "/dev/fuse:/dev/fuse:rwm"
_NOT_SHARED = frozenset({"pts", "shm", "fd", "mqueue", "console", "hugepages", ".lxc", ".lxd-mounts", ".udev"})
"""Entries of the host's /dev that a container has of its own, or that are no devices."""
DEFAULT_NODES = frozenset(
    f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty", "console", "ptmx")
)
"""What every runtime makes without being told (config-linux.md, "Default Devices")."""


class DeviceRequest(NamedTuple):
    """One ``--device``: host path, path in the container, access of "rwm"."""

    source: str
    target: str
    access: str = "rwm"


class DeviceRate(NamedTuple):
    """A block device by its host path, and how much a second (bytes or operations) it is limited to, or its weight."""

    path: str
    rate: int


def parse_rate(text: str, flag: str, example: str, parse: Callable[[str], int]) -> DeviceRate:
    """Return ``PATH:NUMBER``, as ``--device-read-bps`` and its like have it; 0 is no limit."""
    path, colon, number = text.rpartition(":")
    if not colon or not path.startswith("/"):
        raise refusal(flag, text, "is not a path of a block device and a number", example)
    return DeviceRate(os.path.normpath(path), 0 if number == "0" else parse(number))


def find_block(path: str) -> tuple[int, int]:
    """Return the major and minor number of a block device, as the kernel limits it.

    Raises `NotFound`, and `InvalidInput` for what is none, or a part of one: only whole disks can be limited.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        raise NotFound(f"the host has no block device {path}", fix="See lsblk for what there is.") from error
    from engine.linux.block import disk_of  # for these flags alone

    if not stat.S_ISBLK(status.st_mode):
        raise InvalidInput(f"{path} is not a block device", fix="See lsblk for what there is.")
    device = os.major(status.st_rdev), os.minor(status.st_rdev)
    disk = disk_of(*device)
    if disk != device:
        raise InvalidInput(
            f"{path} is a partition, and the kernel limits only whole disks",
            fix=f"Name the disk: {os.path.realpath(f'/dev/block/{disk[0]}:{disk[1]}')}.",
        )
    return device


def parse_cgroup_rule(text: str) -> DeviceRule:
    """Return ``--device-cgroup-rule``: a type, numbers and accesses, as in ``c 1:3 rwm`` or ``b *:* r``."""
    match = re.fullmatch(_RULE, text)
    if not match or len(set(match[4])) != len(match[4]):
        raise refusal("--device-cgroup-rule", text, "is not a type, numbers and accesses", "'c 1:3 rwm'")
    rule: DeviceRule = {"allow": True, "type": match[1], "access": match[4]}
    if match[2] != "*":
        rule["major"] = int(match[2])
    if match[3] != "*":
        rule["minor"] = int(match[3])
    return rule


def parse_device(text: str) -> DeviceRequest:
    """Return ``--device SOURCE[:TARGET][:ACCESS]``."""
    parts = text.split(":")
    source, target, access = parts[0], parts[0], "rwm"
    if len(parts) == 2 and _is_access(parts[1]):
        access = parts[1]
    elif len(parts) == 2:
        target = parts[1]
    elif len(parts) == 3:
        target, access = parts[1], parts[2]
    elif len(parts) > 3:
        raise refusal("--device", text, "has too many parts", _EXAMPLE)
    if not _is_access(access):
        raise refusal("--device", text, f"has the access {access!r}, which is not made of r, w and m", _EXAMPLE)
    if not source.startswith("/dev/"):
        raise refusal("--device", text, "does not begin with a path in /dev", _EXAMPLE)
    target = os.path.normpath(target)
    if not target.startswith("/") or target in {"/", "//"}:
        raise refusal("--device", text, "needs an absolute path in the container", _EXAMPLE)
    return DeviceRequest(os.path.normpath(source), target, access)


def _is_access(text: str) -> bool:
    return bool(text) and not set(text) - set("rwm") and len(set(text)) == len(text)


def default_rules() -> list[DeviceRule]:
    """Return what every container may touch: the harmless nodes and its own terminals; it may make any node.

    A node that may be made still cannot be opened. The list is the one runc gives every container (runtime-spec,
    config-linux.md, "Default Devices"): null, zero, full, random, urandom, tty, console, ptmx, and pts/*.
    """
    rules: list[DeviceRule] = [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "access": "m"},
        {"allow": True, "type": "b", "access": "m"},
    ]
    for major, minor in ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2)):
        rules.append({"allow": True, "type": "c", "major": major, "minor": minor, "access": "rwm"})
    rules.append({"allow": True, "type": "c", "major": 136, "access": "rwm"})
    return rules


def all_rules() -> list[DeviceRule]:
    """Return the rules of a privileged container: everything."""
    return [{"allow": True, "access": "rwm"}]


def nodes_for(request: DeviceRequest, found: Sequence[DeviceNode]) -> list[DeviceNode]:
    """Return the nodes of a request in the container: ``found`` are those at or below its source on the host."""
    nodes: list[DeviceNode] = []
    for node in found:
        moved = node.copy()
        moved["path"] = request.target + node["path"].removeprefix(request.source)
        nodes.append(moved)
    return nodes


def rules_for(request: DeviceRequest, found: Sequence[DeviceNode]) -> list[DeviceRule]:
    """Return the rules that let the container use the devices of a request."""
    return [
        {
            "allow": True,
            "type": node["type"],
            "major": node["major"],
            "minor": node["minor"],
            "access": request.access,
        }
        for node in found
    ]


def find_devices(source: str) -> list[DeviceNode]:
    """Return the device nodes at ``source`` (links followed: the host's own path), or below it when it is a directory.

    Reads the host's /dev in the command's process. Raises `NotFound`, and `InvalidInput` for what is no device.
    """
    try:
        status = os.stat(source)
    except OSError as error:
        raise NotFound(f"--device {source}: the host has no such device", fix="See what is in /dev.") from error
    if stat.S_ISDIR(status.st_mode):
        found = list(_below(source))
    else:
        found = [node for node in (_node(source, status),) if node]
    if not found:
        raise InvalidInput(
            f"--device {source} is not a device, nor a directory with devices", fix="See what is in /dev."
        )
    return found


def all_devices() -> list[DeviceNode]:
    """Return the nodes of the whole host, for a privileged container."""
    return [node for node in _below("/dev") if node["path"] not in DEFAULT_NODES]


def _below(directory: str) -> Iterator[DeviceNode]:
    with os.scandir(directory) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if directory == "/dev" and entry.name in _NOT_SHARED:
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _below(entry.path)
                continue
            node = _node(entry.path, entry.stat(follow_symlinks=False))
            if node:
                yield node


def _node(path: str, status: os.stat_result) -> DeviceNode | None:
    if not (stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)):
        return None
    return {
        "path": path,
        "type": "c" if stat.S_ISCHR(status.st_mode) else "b",
        "major": os.major(status.st_rdev),
        "minor": os.minor(status.st_rdev),
        "fileMode": stat.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
    }
