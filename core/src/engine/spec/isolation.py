"""Which namespaces a container gets: ``--network --pid --ipc --uts --cgroupns --userns --namespace``, the defaults.

A *wish* is the normalised text of one kind: "new", "host", "container:NAME" or the absolute path of a namespace file.
Pure; raises `InvalidInput` and `Unsupported`. What a wish means to a driver is `engine.contracts.namespace.Choice`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from engine.contracts.common import IdMap
from engine.contracts.namespace import Choice, Host, Join, New
from engine.errors import InvalidInput, Unsupported
from engine.linux.namespaces import KINDS
from engine.spec.refusal import refusal
from engine.spec.runtime import Namespace

NEW, HOST = "new", "host"
CONTAINER = "container:"
MAP = "map:"
"""Begins a mode of ``--userns`` that says the identity map itself: `engine.spec.idmaps`."""
DEFAULTS: Mapping[str, str] = {
    "mount": NEW, "uts": NEW, "ipc": NEW, "pid": NEW, "net": NEW, "user": HOST, "cgroup": NEW, "time": HOST,
}  # fmt: skip
"""What a kind is without a word of the user: all that isolate at no cost to what runs inside."""
OCI_TYPES: Mapping[str, str] = {kind: "network" if kind == "net" else kind for kind in KINDS}
"""Our kinds to ``linux.namespaces[].type``."""
_ALIASES = {"mnt": "mount", "network": "net"}
_MODES = {
    "--network": ("net", {"none": NEW, HOST: HOST}),
    "--pid": ("pid", {"private": NEW, HOST: HOST}),
    "--ipc": ("ipc", {"private": NEW, "shareable": NEW, HOST: HOST}),
    "--uts": ("uts", {"private": NEW, HOST: HOST}),
    "--cgroupns": ("cgroup", {"private": NEW, HOST: HOST}),
    "--userns": ("user", {"private": NEW, "auto": NEW, HOST: HOST}),
}


def parse_mode(flag: str, text: str) -> str:
    """Return the wish behind ``--network none`` and its like; "" (not given) stays ""."""
    if not text:
        return ""
    words = _MODES[flag][1]
    if text in words:
        return words[text]
    if text.startswith(CONTAINER) and len(text) > len(CONTAINER):
        return text
    if flag == "--userns" and text.startswith(MAP):
        from engine.spec.idmaps import parse_rows  # for this case alone

        parse_rows(text.removeprefix(MAP).split(","), flag)
        return NEW
    more = [f"{MAP}CONTAINER:HOST:SIZE"] if flag == "--userns" else []
    known = ", ".join([*words, f"{CONTAINER}NAME", *more])
    if flag == "--network" and text in {"bridge", "default"}:
        raise Unsupported(f"{flag} {text}: no network driver is installed", fix="Use --network none or --network host.")
    raise refusal(flag, text, f"is not one of {known}", next(iter(words)))


def parse_namespaces(texts: Iterable[str]) -> dict[str, str]:
    """Return ``--namespace KIND=new|host|container:NAME|PATH`` as kind to wish."""
    wishes: dict[str, str] = {}
    for text in texts:
        kind, equals, wish = text.partition("=")
        kind = _ALIASES.get(kind, kind)
        if not equals or kind not in KINDS:
            raise refusal("--namespace", text, f"does not begin with one of {', '.join(KINDS)} and '='", "net=host")
        if wish not in {NEW, HOST} and not wish.startswith("/") and not wish.removeprefix(CONTAINER) != wish:
            raise refusal(
                "--namespace", text, "is neither new, host, container:NAME nor an absolute path", f"{kind}=new"
            )
        if kind == "mount" and wish != NEW:
            raise Unsupported(
                f"--namespace {text}: every container has a mount namespace of its own", fix="Leave it out."
            )
        if kind in wishes:
            raise refusal("--namespace", text, f"says {kind} a second time", "net=host")
        wishes[kind] = wish
    return wishes


def combine(modes: Mapping[str, str], overrides: Mapping[str, str]) -> dict[str, str]:
    """Return the wish for every kind: ``modes`` maps a flag (``--pid``) to its wish or "", ``overrides`` a kind to its.

    Raises `InvalidInput` when a flag and ``--namespace`` contradict each other.
    """
    wishes = {**DEFAULTS, **overrides}
    for flag, wish in modes.items():
        kind = _MODES[flag][0]
        if wish and overrides.get(kind, wish) != wish:
            raise InvalidInput(
                f"{flag} and --namespace {kind}={overrides[kind]} contradict each other", fix="Leave one of them out."
            )
        if wish:
            wishes[kind] = wish
    return wishes


def joined_containers(wishes: Mapping[str, str]) -> dict[str, str]:
    """Return kind to container name for every kind that is to be a container's."""
    return {kind: wish.removeprefix(CONTAINER) for kind, wish in wishes.items() if wish.startswith(CONTAINER)}


def choose(
    wishes: Mapping[str, str],
    joins: Mapping[str, str],
    hostname: str,
    domainname: str = "",
    ids: IdMap | None = None,
) -> dict[str, Choice]:
    """Return what the namespace drivers are asked for, for every kind.

    ``joins`` maps each kind of `joined_containers` to the path of that container's namespace; ``ids`` is the map of a
    new user namespace.
    """
    own = New(hostname, domainname, ids)
    return {kind: _choice(kind, wish, joins, own) for kind, wish in wishes.items()}


def _choice(kind: str, wish: str, joins: Mapping[str, str], own: New) -> Choice:
    if wish == HOST:
        return Host()
    if wish != NEW:
        return Join(joins[kind] if wish.startswith(CONTAINER) else wish)
    if kind == "uts":
        return own._replace(id_map=None)
    return New(id_map=own.id_map) if kind == "user" else New()


def oci_namespaces(choices: Mapping[str, Choice]) -> list[Namespace]:
    """Return ``linux.namespaces`` for the same choices: a kind that is the host's does not appear."""
    namespaces: list[Namespace] = []
    for kind, choice in choices.items():
        if isinstance(choice, Join):
            namespaces.append({"type": OCI_TYPES[kind], "path": choice.path})
        elif isinstance(choice, New):
            namespaces.append({"type": OCI_TYPES[kind]})
    return namespaces
