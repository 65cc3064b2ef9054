"""Translate the specification's mounts, in order, into steps: what belongs to the shim, what to the child. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from engine.actions.base import Action, Phase, Step
from engine.actions.mounts import (
    ACCESS_TIME,
    CLEAR,
    PROPAGATION,
    SET,
    AttachMount,
    MountFilesystem,
    OpenBind,
    OpenFilesystem,
)
from engine.actions.namespaces import IdRow, Maps
from engine.errors import InvalidInput, Unsupported
from engine.linux.idmapped import is_identity
from engine.spec.runtime import IdMappingRow, SpecMount
from engine.tuples import NamedTuple
from engine_runtime_native.hierarchies import Hierarchies
from engine_runtime_native.stage.cgroups import MountCgroups

NAME = "native"

_ATTRIBUTES = frozenset({*SET, *CLEAR, *ACCESS_TIME})
_STRICT = ("/proc", "/sys", "/dev")
"""Destinations at and below which no symbolic link is followed: the engine mounts its own filesystems there."""
_VERIFIED = frozenset({"proc", "sysfs"})
_UNSUPPORTED = frozenset({"tmpcopyup"})
_MAPPED = frozenset({"idmap", "ridmap"})
"""Of a bind mount: map the ids of its files, with the second those of what is mounted below, too."""
_IGNORED = frozenset({"defaults", "async", "silent", "loud", "nomand", "norelatime"})


class Surroundings(NamedTuple):
    """What decides how a mount can be made.

    ``user``   the container has a user namespace, of its own or joined
    ``owned``  the namespaces that its user namespace, if it has one, owns
    ``joined``  the namespaces that were there before, of another container perhaps
    ``tty_gid``  whether group 5 exists in the user namespace
    ``maps``   the identity maps of the user namespace, None where there is none or nobody can tell
    """

    user: bool
    owned: frozenset[str]
    joined: frozenset[str]
    tty_gid: bool
    maps: Maps | None
    hierarchies: Hierarchies


class _Words(NamedTuple):
    """A mount's options, sorted by what they are about."""

    attributes: tuple[str, ...]
    below: tuple[str, ...]
    propagation: str
    binds: str
    mapped: str
    data: tuple[tuple[str, str], ...]


def translate(mounts: Sequence[SpecMount], around: Surroundings) -> list[Step]:
    """Return the steps of every mount. Raises `InvalidInput` and `Unsupported` by the mount's destination."""
    steps = []
    for number, mount in enumerate(mounts):
        destination = _destination(mount)
        words = _sorted(mount.get("options", []), destination)
        for phase, one in _actions(number, mount, destination, words, around):
            steps.append(Step(phase, one, NAME))
    return steps


def _actions(
    number: int, mount: SpecMount, destination: str, words: _Words, around: Surroundings
) -> list[tuple[Phase, Action]]:
    fstype = mount.get("type") or ("bind" if words.binds else "")
    if words.binds or fstype == "bind":
        maps = _maps(mount, destination, words, around)
        return _bind(number, mount.get("source", ""), destination, words, maps)
    if words.mapped:
        raise Unsupported(f"the mount at {destination}: {words.mapped} belongs to bind mounts", fix="Leave it out.")
    if _is_the_hosts(fstype, around):
        # The kernel lets nobody in a user namespace mount what shows namespaces that are not its own.
        everywhere = words._replace(binds="rbind", attributes=(), below=words.attributes)
        return _bind(number, _HOST_PLACES[fstype], destination, everywhere)
    if fstype == "mqueue" and around.user and "ipc" not in around.owned:
        return _message_queues(number, mount.get("source", ""), destination, words, around)
    if fstype in {"cgroup", "cgroup2"}:
        attributes = tuple(word for word in words.attributes if word not in CLEAR)
        hierarchies = around.hierarchies
        return [_child(MountCgroups(destination, hierarchies.rows, hierarchies.links, attributes))]
    if not fstype:
        raise InvalidInput(f"the mount at {destination} has no type", fix="Name one, or make it a bind mount.")
    if words.below or words.propagation:
        raise Unsupported(f"the mount at {destination}: recursive attributes and propagation belong to bind mounts")
    return [
        _child(
            MountFilesystem(
                fstype,
                destination,
                mount.get("source") or fstype,
                _data(fstype, words.data, around),
                words.attributes,
                strict=_is_strict(destination),
                verified=fstype in _VERIFIED,
            )
        )
    ]


def _message_queues(
    number: int, source: str, destination: str, words: _Words, around: Surroundings
) -> list[tuple[Phase, Action]]:
    """Return the mount of an ipc namespace that is not the user namespace's own: of the host's, the shim makes it."""
    if "ipc" in around.joined:
        raise Unsupported(
            f"a new user namespace cannot have the message queues ({destination}) of the ipc namespace that it joins",
            fix="Join the user namespace of that container as well.",
        )
    slot = f"mount {number}"
    return [
        (Phase.PARENT_BEFORE, OpenFilesystem("mqueue", slot, source, words.attributes)),
        _child(AttachMount(slot, destination, strict=_is_strict(destination))),
    ]


def _maps(mount: SpecMount, destination: str, words: _Words, around: Surroundings) -> Maps | None:
    """Return what a bind mount is to be mapped by: maps of its own, or the container's; nothing for identity."""
    own = _rows(mount.get("uidMappings", [])), _rows(mount.get("gidMappings", []))
    if not words.mapped and not any(own):
        return None
    maps = own if all(own) else around.maps
    if maps is None:
        raise InvalidInput(
            f"the bind mount at {destination} is to be mapped, and the container's ids are not",
            fix="Leave out idmap, or give the container a user namespace.",
        )
    return None if is_identity(maps) else maps


def _rows(rows: Sequence[IdMappingRow]) -> tuple[IdRow, ...]:
    return tuple((row["containerID"], row["hostID"], row["size"]) for row in rows)


def _bind(
    number: int, source: str, destination: str, words: _Words, maps: Maps | None = None
) -> list[tuple[Phase, Action]]:
    if not source.startswith("/"):
        raise InvalidInput(f"the source of the bind mount at {destination} is no absolute path: {source!r}")
    if words.data:
        raise InvalidInput(f"the bind mount at {destination} has an unknown option {words.data[0][0]!r}")
    slot = f"mount {number}"
    recursive = words.binds != "bind"
    opened = OpenBind(
        source, slot, recursive, words.attributes, words.below, words.propagation or "private",
        maps=maps, maps_below=words.mapped == "ridmap",
    )  # fmt: skip
    return [
        (Phase.PARENT_BEFORE, opened),
        _child(AttachMount(slot, destination, strict=_is_strict(destination))),
    ]


_HOST_PLACES = {"proc": "/proc", "sysfs": "/sys"}


def _is_the_hosts(fstype: str, around: Surroundings) -> bool:
    needs = {"proc": "pid", "sysfs": "net"}.get(fstype)
    return around.user and needs is not None and needs not in around.owned


def _data(fstype: str, data: tuple[tuple[str, str], ...], around: Surroundings) -> tuple[tuple[str, str], ...]:
    if fstype == "devpts" and not around.tty_gid:
        return tuple(pair for pair in data if pair[0] != "gid")
    return data


def _destination(mount: SpecMount) -> str:
    given = mount["destination"]
    destination = posixpath.normpath("/" + given.lstrip("/"))
    if not given.startswith("/") or "\0" in given:
        raise InvalidInput(f"a mount's destination must be an absolute path: {given!r}")
    if destination == "/":
        raise InvalidInput("nothing can be mounted over the container's root", fix="Mount it below a directory.")
    if destination.startswith("/proc/"):
        raise InvalidInput(
            f"nothing can be mounted inside /proc: {destination}",
            fix="Mount it elsewhere; masked and read-only paths of /proc are settings of their own.",
        )
    return destination


def _is_strict(destination: str) -> bool:
    return any(destination == place or destination.startswith(f"{place}/") for place in _STRICT)


def _sorted(options: Sequence[str], destination: str) -> _Words:
    attributes, below, data = [], [], []
    propagation = binds = mapped = ""
    for word in options:
        if word in _ATTRIBUTES:
            attributes.append(word)
        elif word.startswith("r") and word[1:] in _ATTRIBUTES:
            below.append(word[1:])
        elif word.removeprefix("r") in PROPAGATION:
            propagation = _propagation(word, destination)
        elif word in {"bind", "rbind"}:
            binds = word
        elif word in _MAPPED:
            mapped = word
        elif word in _UNSUPPORTED:
            raise Unsupported(f"the native runtime does not have the mount option {word} (at {destination})")
        elif word not in _IGNORED:
            key, _equals, value = word.partition("=")
            data.append((key, value))
    return _Words(tuple(attributes), tuple(below), propagation, binds, mapped, tuple(data))


def _propagation(word: str, destination: str) -> str:
    """Return the kind: what is private or a slave is so with everything beneath it, whichever was asked."""
    kind = word.removeprefix("r")
    if kind == "shared":
        raise Unsupported(
            f"the mount at {destination} cannot be {word}: the container's mounts are made in a slave of the host's"
            " mount namespace, so nothing in it can spread to the host",
            fix="Use rslave to see what the host mounts later.",
        )
    return kind


def _child(one: Action) -> tuple[Phase, Action]:
    return Phase.CHILD_BEFORE_PIVOT, one
