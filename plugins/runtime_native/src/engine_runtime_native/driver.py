"""The driver half: from an OCI runtime specification to the steps that `engine_runtime_native.stage` executes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from engine.actions.base import Action, Phase, Step
from engine.actions.mounts import MakeDirectory, MaskPaths, ReadOnlyPaths, RootReadOnly
from engine.actions.namespaces import IdRow, Maps, WriteIdMaps
from engine.contracts.common import Probe
from engine.contracts.namespace import NamespacePlan
from engine.contracts.runtime import Capability, Runtime, RuntimeConfig
from engine.errors import InvalidInput, Unsupported
from engine.linux import capabilities, seccomp
from engine.spec.runtime import Linux, Process, Spec
from engine_runtime_native import devices, hierarchies, mounts, process, sysctls

_NAME = mounts.NAME
_TTY_GROUP = 5
_SYS_ADMIN = 1 << capabilities.NUMBERS["CAP_SYS_ADMIN"]
_HANDLED = frozenset({
    "namespaces", "uidMappings", "gidMappings", "timeOffsets", "devices", "cgroupsPath", "resources",
    "rootfsPropagation", "seccomp", "sysctl", "maskedPaths", "readonlyPaths",
})  # fmt: skip
"""Keys of the linux object that are applied, by this runtime or by the drivers whose plans come with it."""
_NO_PEERS = frozenset({"", "private", "rprivate", "slave", "rslave"})
"""Propagation of a root that has neither peers nor a master: all of these are the same for it."""


class NativeRuntime(Runtime):
    """A container made by the shim itself, in Python. See `engine.contracts.runtime`."""

    capabilities = frozenset({
        Capability.EXEC, Capability.TERMINAL, Capability.SECCOMP, Capability.USER_NAMESPACE,
        Capability.TIME_NAMESPACE, Capability.PIN_NAMESPACES,
    })  # fmt: skip
    stage = "engine_runtime_native.stage"

    def __init__(self, config: RuntimeConfig) -> None:
        unknown = sorted(config.options)
        if unknown:
            raise InvalidInput(f"the native runtime has no option {unknown[0]!r}", fix="It has none.")
        self._cache = config.cache

    def probe(self) -> Probe:
        """Say whether this process may make containers on this kernel."""
        if not capabilities.get().effective & _SYS_ADMIN:
            return Probe(False, "mounting and cloning into namespaces need CAP_SYS_ADMIN: run the engine as root")
        kernel = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
        if kernel < (5, 12):
            return Probe(False, f"Linux {os.uname().release} lacks mount_setattr(2): 5.12 is needed")
        reason = seccomp.available()
        if reason is not None:
            return Probe(True, f"usable, but no container can have a seccomp filter: {reason}", 40)
        return Probe(True, "clone3, the new mount interface and libseccomp are there", 100)

    def plan(self, spec: Spec, namespaces: NamespacePlan) -> Sequence[Step]:
        """Translate a container; see `engine.contracts.runtime`."""
        init = spec["process"]
        linux = spec.get("linux", {})
        _refuse_unknown(linux, namespaces)
        process.refuse_unknown(init)
        kinds = frozenset({*namespaces.clone, *namespaces.unshare, *(kind for kind, _path in namespaces.joins)})
        user = "user" in kinds
        owned = frozenset(namespaces.clone) if "user" in namespaces.clone else kinds
        maps = _id_maps(namespaces)
        joined = frozenset(kind for kind, _path in namespaces.joins)
        around = mounts.Surroundings(user, owned, joined, _has_tty_group(maps), maps, _hierarchies(spec))
        before: list[Action] = [
            *devices.translate(spec, bound=user),
            *process.terminal(init, bound=True),
            *_inside_root(spec, kinds),
        ]
        after = process.translate(init, linux.get("seccomp"), self._cache, user_namespace=user)
        return [
            *mounts.translate(spec.get("mounts", []), around),
            *_steps(Phase.CHILD_BEFORE_PIVOT, before),
            *process.oom_score(init),
            *_steps(Phase.CHILD_AFTER_PIVOT, after),
        ]

    def plan_exec(self, spec: Spec, process_: Process) -> Sequence[Step]:
        """Translate one more process; the container's filter holds for it, its own capabilities do too."""
        process.refuse_unknown(process_)
        linux = spec.get("linux", {})
        user = any(one["type"] == "user" for one in linux.get("namespaces", []))
        actions = [
            *process.terminal(process_, bound=False),
            *process.translate(process_, linux.get("seccomp"), self._cache, user_namespace=user),
        ]
        return [*process.oom_score(process_), *_steps(Phase.CHILD_AFTER_PIVOT, actions)]


def _inside_root(spec: Spec, kinds: frozenset[str]) -> list[Action]:
    """Return what is done below the root once everything is mounted; read-only comes last."""
    linux = spec.get("linux", {})
    directory = spec["process"].get("cwd") or "/"
    masked, read_only = tuple(linux.get("maskedPaths", ())), tuple(linux.get("readonlyPaths", ()))
    return [
        *([MakeDirectory(directory)] if directory != "/" else []),
        *sysctls.translate(linux.get("sysctl", {}), kinds),
        *([ReadOnlyPaths(read_only)] if read_only else []),
        *([MaskPaths(masked)] if masked else []),
        *([RootReadOnly()] if spec.get("root", {}).get("readonly") else []),
    ]


def _refuse_unknown(linux: Linux, namespaces: NamespacePlan) -> None:
    for key in linux:
        if key not in _HANDLED:
            raise Unsupported(f"the native runtime does not apply linux.{key}", fix="Leave it out, or use runc.")
    if "mount" not in namespaces.clone:
        raise Unsupported(
            "the native runtime needs a new mount namespace for the container: its root is taken by pivot_root(2)",
            fix="Leave out --namespace mount=….",
        )
    if "user" in namespaces.clone and any(kind == "pid" for kind, _path in namespaces.joins):
        raise Unsupported(
            "a new user namespace cannot have a /proc of the pid namespace that it joins",
            fix="Join the user namespace of that container as well.",
        )
    if linux.get("rootfsPropagation", "") not in _NO_PEERS:
        raise Unsupported(
            f"the native runtime does not apply linux.rootfsPropagation {linux['rootfsPropagation']!r}",
            fix="Leave it out: a container can set it for itself, with CAP_SYS_ADMIN.",
        )


def _hierarchies(spec: Spec) -> hierarchies.Hierarchies:
    """Return those of the machine, looked for only when the container is to see them."""
    wanted = any(mount.get("type") in {"cgroup", "cgroup2"} for mount in spec.get("mounts", []))
    return hierarchies.find() if wanted else hierarchies.Hierarchies()


def _id_maps(namespaces: NamespacePlan) -> Maps | None:
    """Return the identity maps of the container's user namespace, new or joined; nothing where nobody can tell."""
    for step in namespaces.steps:
        if isinstance(step.action, WriteIdMaps):
            return step.action.uids, step.action.gids
    for kind, path in namespaces.joins:
        if kind == "user" and path.startswith("/proc/") and path.endswith("/ns/user"):
            process = Path(path).parent.parent
            return _rows(process / "uid_map"), _rows(process / "gid_map")
    return None


def _rows(path: Path) -> tuple[IdRow, ...]:
    lines = path.read_text(encoding="ascii").splitlines()
    return tuple((int(inside), int(outside), int(size)) for inside, outside, size in map(str.split, lines))


def _has_tty_group(maps: Maps | None) -> bool:
    """Return whether group 5 exists in the container's user namespace; where nobody can tell it is taken to."""
    return not maps or any(inside <= _TTY_GROUP < inside + size for inside, _outside, size in maps[1])


def _steps(phase: Phase, actions: Sequence[Action]) -> list[Step]:
    return [Step(phase, one, _NAME) for one in actions]
