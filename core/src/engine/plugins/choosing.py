"""Choose the driver of a kind: the one asked for, or with `auto` the usable one of highest preference."""

from __future__ import annotations

import binascii
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine import cache
from engine.errors import EngineError, Unsupported
from engine.plugins.installed import Entry, index
from engine.plugins.registry import Loaded, find, load, make
from engine.tuples import NamedTuple

if TYPE_CHECKING:
    from engine.contracts.common import Probe

AUTO = "auto"
"""The name that is no plugin's: take what the probes say is best."""

_SECTION = "auto"
_BOOT_ID = "/proc/sys/kernel/random/boot_id"

MakeConfig = Callable[[str], Any]
"""From a plugin's name to the configuration that its factory hook gets."""


class Chosen(NamedTuple):
    """A driver, the plugin's name, and why it is this one, in words."""

    name: str
    driver: Any
    reason: str


class Candidate(NamedTuple):
    """What `auto` found out about one installed plugin: usable or not, and why; ``driver`` when it could be made."""

    entry: Entry
    loaded: Loaded | None
    driver: Any
    usable: bool
    reason: str
    preference: int
    error: EngineError | None


def choose(kind: str, requested: str, make_config: MakeConfig, *, scope: str = "") -> Chosen:
    """Return the driver of that name, or the best one for `auto`.

    A driver asked for by name is made and not probed: its own errors say what is missing. With `auto`, what was taken
    before in the same ``scope`` (the engine's root) is taken again until the machine restarts or the installed plugins
    change, and is not probed again: a root does not change drivers in silence, no other plugin is imported, and a
    probe (which mounts, or calls a bus) would cost each command more than its own work. `engine plugins` looks anew.
    Raises `NotFound` and `PluginError` as `load` does, `Unsupported` naming each rejected plugin when none is usable.
    """
    if requested != AUTO:
        return Chosen(requested, make(load(kind, requested), make_config(requested)), "asked for by name")
    again = _again(kind, cache.recall(_SECTION, (kind, scope)), make_config)
    if again is not None:
        return again
    chosen = _best(kind, make_config)
    remember(kind, chosen.name, scope)
    return chosen


def remember(kind: str, name: str, scope: str) -> None:
    """Let `auto` take that plugin in this scope until the machine restarts or the installed plugins change."""
    cache.remember(_SECTION, (kind, scope), (), (_state(kind), name))


def driver(kind: str, name: str, config: Any, *, scope: str = "") -> Any:
    """Return `choose`'s driver where every plugin of the kind gets the same configuration."""
    return choose(kind, name, lambda _name: config, scope=scope).driver


def candidates(kind: str, make_config: MakeConfig) -> list[Candidate]:
    """Probe every installed plugin of a kind; the best first, those that are broken or not usable last."""
    found = [_candidate(entry, make_config) for entry in index().of(kind)]
    return sorted(found, key=lambda one: (not one.usable, -one.preference, one.entry.name))


def explain(ranked: list[Candidate]) -> str:
    """Say why the first of `candidates` is taken."""
    first = ranked[0]
    others = [f"{one.entry.name} {_standing(one)}" for one in ranked[1:]]
    text = f"{first.entry.name} has preference {first.preference}: {first.reason}"
    return f"{text}; not {', '.join(others)}" if others else text


def probe(driver: Any, entry: Entry) -> Probe:
    """Ask a driver whether it is usable; one that raises is not."""
    from engine.contracts.common import Probe

    try:
        answer = driver.probe()
    except Exception as error:  # noqa: BLE001  # a plugin's code: whatever it raises is its answer
        return Probe(False, f"its probe raised {type(error).__name__}: {error}")
    if isinstance(answer, Probe):
        return answer
    return Probe(False, f"probe() of {entry.label} returned {type(answer).__name__} instead of a Probe")


def _best(kind: str, make_config: MakeConfig) -> Chosen:
    ranked = candidates(kind, make_config)
    if ranked and ranked[0].usable:
        return Chosen(ranked[0].entry.name, ranked[0].driver, f"auto: {explain(ranked)}")
    if not ranked:
        raise Unsupported(f"no {kind} plugin is installed", fix=f"Install a distribution with an engine.{kind} plugin.")
    reasons = "; ".join(f"{one.entry.label}: {one.reason}" for one in ranked)
    raise Unsupported(
        f"no installed {kind} plugin is usable here: {reasons}",
        fix="Mend one of these, or install another; `engine plugins` shows them all.",
    )


def _again(kind: str, before: Any, make_config: MakeConfig) -> Chosen | None:
    if before is None or before[0] != _state(kind):
        return None
    name = find(kind, before[1]).name
    return Chosen(name, make(load(kind, name), make_config(name)), "auto, as before on this machine since it started")


def _candidate(entry: Entry, make_config: MakeConfig) -> Candidate:
    loaded = driver = None
    try:
        loaded = load(entry.kind, entry.name)
        driver = make(loaded, make_config(entry.name))
    except EngineError as error:
        return Candidate(entry, loaded, driver, False, str(error), 0, error)
    answer = probe(driver, entry)
    return Candidate(entry, loaded, driver, answer.usable, answer.reason, answer.preference, None)


def _standing(one: Candidate) -> str:
    return f"(preference {one.preference})" if one.usable else f"({one.reason})"


def _state(kind: str) -> tuple[str, int]:
    """Return what a choice depends on: this boot of the machine, and the installed plugins."""
    with open(_BOOT_ID, encoding="ascii") as file:
        return (file.read().strip(), binascii.crc32(repr(index().of(kind)).encode()))
