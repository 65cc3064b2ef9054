"""What `engine plugins` shows: every installed plugin, whether it is usable here, and which one `auto` takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from engine.errors import EngineError, PluginError
from engine.plugins.choosing import Candidate, candidates, explain, remember
from engine.plugins.installed import Entry, index
from engine.plugins.registry import CONTRACTS, load
from engine.tuples import NamedTuple

MakeConfigs = Callable[[str, str], Any]
"""From kind and name to the configuration that the factory hook gets."""


class PluginReport(NamedTuple):
    """One installed plugin as it is on this machine, now.

    ``contract``  the version it was written for; None when it could not be loaded
    ``usable``    its probe's answer (an observer: that it loads)
    ``reason``    the probe's, or what is wrong with the plugin
    ``default``   `auto` takes it; ``why`` says why, beside the others
    ``broken``    the plugin itself is at fault
    ``fix``       what to do about it
    ``warning``   what works and should be mended all the same
    """

    entry: Entry
    contract: int | None
    usable: bool
    reason: str
    preference: int
    default: bool = False
    why: str = ""
    broken: bool = False
    fix: str = ""
    warning: str = ""


def report(make_config: MakeConfigs, *, scope: str = "") -> list[PluginReport]:
    """Load and probe everything that is installed, by kind, in the order of `auto`'s preference.

    A broken plugin is a row like any other. Raises nothing of a plugin's. What it finds best is what `auto` takes from
    now on in this ``scope`` (see `engine.plugins.choosing.choose`).
    """
    kinds = dict.fromkeys(entry.kind for entry in index().entries)
    rows = [row for kind in kinds for row in _kind(kind, make_config)]
    for row in rows:
        if row.default:
            remember(row.entry.kind, row.entry.name, scope)
    return rows


def _kind(kind: str, make_config: MakeConfigs) -> Iterator[PluginReport]:
    if kind not in CONTRACTS:
        yield from map(_observer, index().of(kind))
        return
    ranked = candidates(kind, lambda name: make_config(kind, name))
    for position, one in enumerate(ranked):
        default = position == 0 and one.usable
        yield _row(one)._replace(default=default, why=explain(ranked) if default else "")


def _row(one: Candidate) -> PluginReport:
    return PluginReport(
        entry=one.entry,
        contract=one.loaded.contract if one.loaded else None,
        usable=one.usable,
        reason=one.reason,
        preference=one.preference,
        broken=isinstance(one.error, PluginError),
        fix=one.error.fix if one.error else "",
        warning=one.loaded.warning if one.loaded else "",
    )


def _observer(entry: Entry) -> PluginReport:
    try:
        loaded = load(entry.kind, entry.name)
    except EngineError as error:
        return PluginReport(entry, None, False, str(error), 0, broken=True, fix=error.fix)
    return PluginReport(entry, loaded.contract, True, "is told of every event", 0, warning=loaded.warning)
