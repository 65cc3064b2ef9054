"""From what the user asked for to an OCI runtime specification. Pure: the same words give the same config.json.

Called in the command's process when a container is made. What depends on the machine comes in as
`engine.spec.facts.HostFacts`; nothing is read or made here.

An image's declared volumes (``config.Volumes``) stay directories of the container's own writable layer: the image's
files and their owners show in them and they go with the container, as Docker's anonymous volumes do with ``--rm``.
With ``--read-only`` each becomes a tmpfs, since something must be writable there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.contracts.common import IdMap
from engine.contracts.namespace import Choice
from engine.spec import command
from engine.spec.defaults import MASKED_PATHS, OCI_VERSION, READONLY_PATHS, STOP_SIGNAL_ANNOTATION
from engine.spec.devices import nodes_for
from engine.spec.facts import ALL_DEVICES, NO_FILES, ContainerFiles, HostFacts
from engine.spec.idmaps import oci_rows
from engine.spec.image import RunConfig
from engine.spec.isolation import choose, oci_namespaces
from engine.spec.mounts import mounts_of
from engine.spec.options import RunOptions
from engine.spec.resources import resources_of
from engine.spec.runtime import DeviceNode, Linux, Process, Rlimit, Spec
from engine.spec.security import ALL, DEFAULT, granted
from engine.spec.users import parse_user, user_of


def build(
    options: RunOptions,
    image: RunConfig,
    *,
    id: str,  # noqa: A002 - the runtime-spec's word
    rootfs_path: str,
    facts: HostFacts,
    files: ContainerFiles = NO_FILES,
    joins: Mapping[str, str] | None = None,
    hidden: Sequence[str] = (),
    ids: IdMap | None = None,
) -> Spec:
    """Return the specification of one container.

    :param image: the image's own configuration.
    :param id: the container's ID, whose first 12 digits are the default host name.
    :param rootfs_path: ``root.path``.
    :param files: host paths of the files made for it.
    :param joins: kind to path for every namespace of another container (`isolation.joined_containers`).
    :param ids: the identity map of a user namespace of its own.
    :param hidden: paths inside to mask in any case: the engine's own root and state where the image is the host's.

    Raises `InvalidInput` for what contradicts itself, the image or the machine.
    """
    choices = choices_of(options, facts, id, joins or {}, ids)
    hostname = command.hostname_of(options, facts, id)
    spec: Spec = {
        "ociVersion": OCI_VERSION,
        "process": _process(options, image, facts, hostname),
        "root": {"path": rootfs_path, "readonly": options.read_only},
        "mounts": mounts_of(options, image, facts, files),
        "annotations": {**options.annotations, STOP_SIGNAL_ANNOTATION: str(command.stop_signal_of(options, image))},
        "linux": _linux(options, facts, choices, hidden),
    }
    if options.wishes()["uts"] == "new":
        spec["hostname"] = hostname
        if options.domainname:
            spec["domainname"] = options.domainname
    return spec


def choices_of(
    options: RunOptions, facts: HostFacts, container_id: str, joins: Mapping[str, str], ids: IdMap | None = None
) -> dict[str, Choice]:
    """Return what the namespace drivers are asked for; ``linux.namespaces`` of the specification says the same."""
    hostname = command.hostname_of(options, facts, container_id)
    return choose(options.wishes(), joins, hostname, options.domainname, ids)


def _process(options: RunOptions, image: RunConfig, facts: HostFacts, hostname: str) -> Process:
    capabilities = list(_capabilities(options, facts))
    user = options.user or image.user
    process: Process = {
        "terminal": options.tty,
        "user": user_of(parse_user(user) if user else "", options.groups),
        "args": command.arguments_of(options, image, facts),
        "env": command.environment_of(options, image, hostname),
        "cwd": command.directory_of(options, image),
        "capabilities": {
            "bounding": capabilities,
            "effective": list(capabilities),
            "inheritable": [],
            "permitted": list(capabilities),
            "ambient": [],
        },
        "rlimits": [_rlimit(limit.name, limit.soft, limit.hard) for limit in options.ulimits],
        "noNewPrivileges": options.security.no_new_privileges,
    }
    if options.oom_score_adj is not None:
        process["oomScoreAdj"] = options.oom_score_adj
    return process


def _capabilities(options: RunOptions, facts: HostFacts) -> tuple[str, ...]:
    added = {ALL} if options.privileged else options.cap_add
    return granted(added, () if options.privileged else options.cap_drop, facts.capabilities)


def _rlimit(name: str, soft: int, hard: int) -> Rlimit:
    unlimited = (1 << 64) - 1
    return {"type": f"RLIMIT_{name.upper()}", "soft": soft % (unlimited + 1), "hard": hard % (unlimited + 1)}


def _linux(options: RunOptions, facts: HostFacts, choices: Mapping[str, Choice], hidden: Sequence[str]) -> Linux:
    linux: Linux = {
        "namespaces": oci_namespaces(choices),
        "devices": _device_nodes(options, facts),
        "resources": resources_of(options, facts),
        "rootfsPropagation": _propagation(options),
        "maskedPaths": [*_masked(options, facts), *hidden],
        "readonlyPaths": list(READONLY_PATHS) if _protects(options) else [],
        "sysctl": dict(options.sysctls),
    }
    rows = getattr(choices["user"], "id_map", None)
    if rows is not None:
        linux.update(id_mappings(rows))
    seccomp = options.security.seccomp
    if isinstance(seccomp, Mapping):
        linux["seccomp"] = seccomp  # type: ignore[typeddict-item]  # checked for its form when it was read
    elif seccomp == DEFAULT and not options.privileged:
        from engine.spec.seccomp import default_profile  # a table of hundreds of names, for this case alone

        linux["seccomp"] = default_profile(frozenset(_capabilities(options, facts)), facts.architecture)
    return linux


def id_mappings(ids: IdMap) -> Linux:
    """Return the part of the linux object that says an identity map."""
    return {"uidMappings": oci_rows(ids.uids), "gidMappings": oci_rows(ids.gids)}


def _protects(options: RunOptions) -> bool:
    return options.security.system_paths and not options.privileged


def _masked(options: RunOptions, facts: HostFacts) -> list[str]:
    paths = (*MASKED_PATHS, *facts.sensors) if _protects(options) else ()
    unmasked = options.security.unmask
    return [path for path in (*paths, *options.security.mask) if path not in unmasked]


def _propagation(options: RunOptions) -> str:
    """Return "rslave" when a mount of the user's follows the host's; else the container's tree is its own."""
    follows = any(word in {"slave", "rslave"} for one in options.mounts for word in one.options)
    return "rslave" if follows else "rprivate"


def _device_nodes(options: RunOptions, facts: HostFacts) -> list[DeviceNode]:
    nodes = {node["path"]: node for node in facts.devices.get(ALL_DEVICES, ())} if options.privileged else {}
    for request in options.devices:
        nodes.update({node["path"]: node for node in nodes_for(request, facts.devices[request.source])})
    return list(nodes.values())
