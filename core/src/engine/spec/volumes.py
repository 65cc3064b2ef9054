"""Mounts that the user asks for: ``-v``, ``--mount`` and ``--tmpfs``, all parsed into one kind of value.

Sources are host paths and are followed as such: they are the user's own words. Destinations are paths of the container,
resolved by the runtime inside its root. Pure.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

from engine.errors import InvalidInput, Unsupported
from engine.spec.refusal import refusal
from engine.spec.sizes import parse_size
from engine.tuples import NamedTuple

PROPAGATIONS = ("rprivate", "private", "rslave", "slave")
"""`shared` is missing on purpose: a container's mounts live in its shim's mount namespace; none leaves it."""
TMPFS_OPTIONS = frozenset({
    "ro", "rw", "nosuid", "suid", "nodev", "dev", "noexec", "exec", "sync", "async", "dirsync", "noatime", "atime",
    "nodiratime", "diratime", "relatime", "norelatime", "strictatime", "nostrictatime",
})  # fmt: skip
TMPFS_VALUES = frozenset({"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks"})
TMPFS_DEFAULTS = ("noexec", "nosuid", "nodev")
_MOUNT_EXAMPLE = "type=bind,source=/srv/data,target=/data,readonly"
_VOLUME_EXAMPLE = "/srv/data:/data:ro"


class MountRequest(NamedTuple):
    """One mount. ``kind`` is "bind" or "tmpfs"; ``options`` are mount(8)'s words; a tmpfs has no ``source``.

    ``create``: a missing source is made as a directory (``-v`` does so, ``--mount`` does not).
    """

    kind: str
    target: str
    source: str = ""
    options: tuple[str, ...] = ()
    create: bool = False


def parse_volume(text: str) -> MountRequest:
    """Return ``-v SOURCE:TARGET[:ro,z,rslave,…]``."""
    flag = "--volume"
    source, colon, rest = text.partition(":")
    target, _, words = rest.partition(":")
    if not colon:
        raise Unsupported(
            f"{flag} {text!r} asks for an anonymous volume, which the engine does not have",
            fix="Name a directory of the host, as in -v /srv/data:/data, or use --tmpfs.",
        )
    if source and "/" not in source and not source.startswith("."):
        raise Unsupported(
            f"{flag} {text!r} asks for the named volume {source!r}, which the engine does not have",
            fix="Name a directory of the host, as in -v /srv/data:/data.",
        )
    if not source.startswith("/"):
        raise refusal(flag, text, "has a source that is not an absolute path", _VOLUME_EXAMPLE)
    options = _bind_options(words.split(",") if words else [], flag, text)
    return MountRequest("bind", _target(target, flag, text, _VOLUME_EXAMPLE), source, options, create=True)


def _bind_options(words: Iterable[str], flag: str, text: str) -> tuple[str, ...]:
    """Return mount options for the third part of ``-v``: "ro" and "rw", one propagation, "idmap"; others are refused.

    Read-only holds for what is mounted below the source too (``rro``, runtime-spec config.md, "Linux mount options").
    """
    access, propagation = "rw", "rprivate"
    mapped: tuple[str, ...] = ()
    for word in words:
        if word in {"ro", "rw"}:
            access = "rro" if word == "ro" else word
        elif word in PROPAGATIONS:
            propagation = word
        elif word == "idmap":
            mapped = ("ridmap",)
        else:
            raise _bind_word(word, flag, text)
    return ("rbind", propagation, access, *mapped)


def _bind_word(word: str, flag: str, text: str) -> InvalidInput | Unsupported:
    if word in {"shared", "rshared"}:
        return Unsupported(
            f"{flag} {text!r}: mounts made in a container cannot spread to the host",
            fix="Use rslave, which lets the host's mounts spread to the container.",
        )
    if word in {"z", "Z"}:
        return Unsupported(f"{flag} {text!r}: SELinux relabelling ({word}) is not supported", fix=f"Leave out {word}.")
    return refusal(
        flag,
        text,
        f"has the option {word!r}, which is none of ro, rw, idmap, {', '.join(PROPAGATIONS)}",
        _VOLUME_EXAMPLE,
    )


_NAMES = {
    "type": "type", "source": "source", "src": "source", "target": "target", "destination": "target", "dst": "target",
    "readonly": "readonly", "ro": "readonly", "bind-propagation": "propagation", "bind-nonrecursive": "nonrecursive",
    "tmpfs-size": "size", "tmpfs-mode": "mode", "idmap": "idmap",
}  # fmt: skip
_OF_KIND = {"bind": {"source", "propagation", "nonrecursive", "idmap"}, "tmpfs": {"size", "mode"}}


def parse_mount(text: str) -> MountRequest:
    """Return ``--mount type=bind|tmpfs,KEY=VALUE,…`` (docker-run(1))."""
    flag = "--mount"
    fields: dict[str, str] = {}
    for part in _parts(text):
        key, equals, value = part.partition("=")
        name = _NAMES.get(key.strip().lower())
        if name is None:
            raise refusal(flag, text, f"has the key {key!r}, which the engine does not know", _MOUNT_EXAMPLE)
        if name in fields:
            raise refusal(flag, text, f"says {name} twice", _MOUNT_EXAMPLE)
        fields[name] = value if equals else "true"
    kind = fields.pop("type", "volume")
    if kind == "volume":
        raise Unsupported(
            f"{flag} {text!r} asks for a volume, and the engine has no named volumes",
            fix=f"Use a bind: {flag} {_MOUNT_EXAMPLE}.",
        )
    if kind not in _OF_KIND:
        raise refusal(flag, text, f"has the type {kind!r}, which is neither bind nor tmpfs", _MOUNT_EXAMPLE)
    foreign = sorted(fields.keys() - _OF_KIND[kind] - {"target", "readonly"})
    if foreign:
        raise refusal(flag, text, f"says {foreign[0]}, which a {kind} does not have", _MOUNT_EXAMPLE)
    return _bind(fields, text) if kind == "bind" else _tmpfs(fields, text)


def _parts(text: str) -> list[str]:
    """Return the comma-separated parts; as in Docker a part in quotes, as CSV has them, may hold commas itself."""
    if '"' not in text:
        return text.split(",")
    import csv  # for this rare case alone

    return next(csv.reader([text]), [])


def _bind(fields: dict[str, str], text: str) -> MountRequest:
    source = fields.get("source", "")
    if not source.startswith("/"):
        raise refusal("--mount", text, "needs a source that is an absolute path", _MOUNT_EXAMPLE)
    propagation = fields.get("propagation", "rprivate")
    _bind_options([propagation], "--mount", text)
    bind = "bind" if _boolean(fields, "nonrecursive", text) else "rbind"
    read_only = "ro" if bind == "bind" else "rro"
    access = read_only if _boolean(fields, "readonly", text) else "rw"
    target = _target(fields.get("target", ""), "--mount", text, _MOUNT_EXAMPLE)
    mapped = (("idmap" if bind == "bind" else "ridmap"),) if _boolean(fields, "idmap", text) else ()
    return MountRequest("bind", target, source, (bind, propagation, access, *mapped))


def _tmpfs(fields: dict[str, str], text: str) -> MountRequest:
    options = list(TMPFS_DEFAULTS)
    if _boolean(fields, "readonly", text):
        options.append("ro")
    if "size" in fields:
        options.append(f"size={parse_size(fields['size'], '--mount tmpfs-size')}")
    if "mode" in fields:
        options.append(f"mode={_mode(fields['mode'], '--mount', text)}")
    target = _target(fields.get("target", ""), "--mount", text, "type=tmpfs,target=/scratch,tmpfs-size=64m")
    return MountRequest("tmpfs", target, options=tuple(options))


def parse_tmpfs(text: str) -> MountRequest:
    """Return ``--tmpfs TARGET[:OPTION,…]``: mount(8)'s options of a tmpfs; noexec, nosuid and nodev unless undone."""
    flag, example = "--tmpfs", "/scratch:size=64m,mode=1777"
    target, _, words = text.partition(":")
    options = list(TMPFS_DEFAULTS)
    for word in filter(None, words.split(",")):
        key, equals, value = word.partition("=")
        if (equals and key not in TMPFS_VALUES) or (not equals and word not in TMPFS_OPTIONS):
            raise refusal(flag, text, f"has {word!r}, which is no option of a tmpfs", example)
        if key == "size" and not value.endswith("%"):
            word = f"size={parse_size(value, f'{flag} size')}"  # noqa: PLW2901 - the same option in bytes
        elif key == "mode":
            word = f"mode={_mode(value, flag, text)}"  # noqa: PLW2901
        options = [one for one in options if one != "no" + word] + [word]
    return MountRequest("tmpfs", _target(target, flag, text, example), options=tuple(dict.fromkeys(options)))


def _mode(value: str, flag: str, text: str) -> str:
    if not value or set(value) - set("01234567") or int(value, 8) > 0o7777:
        raise refusal(flag, text, f"has the mode {value!r}, which is not octal", "/scratch:mode=1777")
    return value


def _boolean(fields: dict[str, str], name: str, text: str) -> bool:
    value = fields.get(name, "false").lower()
    if value not in {"true", "1", "false", "0"}:
        raise refusal("--mount", text, f"says {name}={value}, which is neither true nor false", _MOUNT_EXAMPLE)
    return value in {"true", "1"}


def _target(target: str, flag: str, text: str, example: str) -> str:
    """Return the normalised path in the container. ``..`` is cut here; links are the runtime's to resolve."""
    if not target.startswith("/"):
        raise refusal(flag, text, "needs a target that is an absolute path in the container", example)
    normal = posixpath.normpath("/" + target.strip("/"))
    if normal == "/":
        raise refusal(flag, text, "cannot be mounted over the container's root", example)
    return normal


def split_inherited(text: str) -> tuple[str, bool]:
    """Return the container that ``--volumes-from NAME[:ro|rw]`` names, and whether its mounts are to be read only."""
    name, colon, access = text.partition(":")
    if not name or (colon and access not in {"ro", "rw"}):
        raise refusal("--volumes-from", text, "is not of the form CONTAINER or CONTAINER:ro", "data:ro")
    return name, access == "ro"


def read_only(mount: MountRequest) -> MountRequest:
    """Return a bind mount that can only be read, and what is mounted below it too if it has that."""
    access = "rro" if "rbind" in mount.options else "ro"
    return mount._replace(options=(*(word for word in mount.options if word not in {"rw", "ro", "rro"}), access))


def check_targets(mounts: Iterable[MountRequest]) -> None:
    """Refuse two mounts of one target."""
    seen: set[str] = set()
    for mount in mounts:
        if mount.target in seen:
            raise InvalidInput(f"two mounts go to {mount.target}", fix="Leave one of them out.")
        seen.add(mount.target)
