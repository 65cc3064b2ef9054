"""Translate what a container's /dev holds: the nodes that every container has, and those that were asked for. Pure."""

from __future__ import annotations

import stat

from engine.actions.base import Action
from engine.errors import InvalidInput
from engine.linux import devices
from engine.spec.runtime import DeviceNode, Spec
from engine_runtime_native.stage.devices import LinkDevices, MakeDevices, NodeRow

_DEFAULT_MODE = 0o666
_CORE = ("core", "/proc/kcore")


def translate(spec: Spec, *, bound: bool) -> list[Action]:
    """Return what fills /dev, nothing when the specification binds a whole /dev; ``bound`` in a user namespace."""
    at_dev = [mount for mount in spec.get("mounts", []) if mount["destination"].rstrip("/") == "/dev"]
    if any(mount.get("type") == "bind" or {"bind", "rbind"} & set(mount.get("options", [])) for mount in at_dev):
        return []
    rows = {f"/dev/{node.name}": _default(node) for node in devices.DEFAULT_NODES}
    for node in spec.get("linux", {}).get("devices", []):
        rows[node["path"]] = _row(node)
    has_pts = any(mount.get("type") == "devpts" for mount in spec.get("mounts", []))
    links = [(name, target) for name, target in devices.DEFAULT_LINKS.items() if name != "ptmx" or has_pts]
    ordered = sorted(rows.values(), key=lambda row: row[0].rpartition("/")[0])
    return [MakeDevices(tuple(ordered), bound), LinkDevices((*links, _CORE))]


def _default(node: devices.Node) -> NodeRow:
    return f"/dev/{node.name}", "c", node.major, node.minor, stat.S_IMODE(node.mode), 0, 0


def _row(node: DeviceNode) -> NodeRow:
    path, kind = node["path"], node["type"]
    if kind not in {"c", "b", "u", "p"} or not path.startswith("/") or path.endswith("/"):
        raise InvalidInput(f"the device {path!r} of type {kind!r} cannot be made", fix="Use type c, b, u or p.")
    mode = stat.S_IMODE(node.get("fileMode", _DEFAULT_MODE))
    return path, kind, node.get("major", 0), node.get("minor", 0), mode, node.get("uid", 0), node.get("gid", 0)
