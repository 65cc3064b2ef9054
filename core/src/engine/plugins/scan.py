"""Read the entry points of every installed distribution: the one module that knows stevedore.

stevedore names the plugins; it never imports one here. Its own list of entry points goes through a file that drops the
distributions and keys them by times rounded to minutes, so a plugin installed twice in a row would be missed: this
manager asks `importlib.metadata` each time. What is found is remembered by `engine.plugins.installed`, which looks at
more.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint

from stevedore.extension import error_on_conflict  # noqa: TID253
from stevedore.named import NamedExtensionManager  # noqa: TID253

from engine.hookspecs import GROUPS
from engine.plugins.installed import Entry

_METADATA = (".dist-info", ".egg-info")


class _Group(NamedExtensionManager[object]):
    """One entry-point group, listed and not loaded."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"engine.{kind}", names=(), conflict_resolver=error_on_conflict)

    def list_entry_points(self) -> list[EntryPoint]:
        """Return the group's entry points with the distribution of each."""
        return list(importlib.metadata.entry_points(group=self.namespace))


def entries() -> Iterator[Entry]:
    """Yield every installed plugin of every kind."""
    for kind in GROUPS:
        for found in _Group(kind).list_entry_points():
            distribution = found.dist
            yield Entry(
                kind=kind,
                name=found.name,
                value=found.value,
                distribution=distribution.name if distribution else "unknown",
                version=distribution.version if distribution else "",
                directory=_directory(found.module),
            )


def sources(places: Iterable[str]) -> Iterator[str]:
    """Yield the paths that `entries` depends on: the directories of sys.path, and each distribution's entry points.

    A distribution that comes or goes changes its directory's times; one that is edited in place, its file's.
    """
    for place in places:
        yield place
        try:
            names = os.listdir(place)
        except OSError:
            # An archive, or a directory that is not there: its own stamp says when that changes.
            continue
        yield from (os.path.join(place, name, "entry_points.txt") for name in names if name.endswith(_METADATA))


def _directory(module: str) -> str:
    """Return the directory from which the top-level package of ``module`` would be imported, or ``""``."""
    try:
        spec = importlib.util.find_spec(module.partition(".")[0])
    except (ImportError, ValueError):
        return ""
    if spec is None:
        return ""
    if spec.submodule_search_locations:
        return os.path.dirname(os.path.abspath(next(iter(spec.submodule_search_locations))))
    return os.path.dirname(os.path.abspath(spec.origin)) if spec.origin else ""
