"""Which plugins are installed: read from the entry points of every distribution, remembered in the cache.

Nothing here imports a plugin. A recalled index imports nothing at all; a new one is made by `engine.plugins.scan`.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from engine import __version__, cache
from engine.tuples import NamedTuple

_SECTION = "plugins"
_MOST = 8
"""Indexes that are remembered: each virtual environment has its own, with a witness for each distribution in it."""


class Entry(NamedTuple):
    """One installed plugin.

    ``kind``          "storage", "cgroup", …: its entry-point group is ``engine.<kind>``
    ``name``          what the user types: ``--storage overlay``
    ``value``         the module to import
    ``distribution``, ``version``  of the package that brought it
    ``directory``     what a bare interpreter needs on its ``sys.path`` to import it; ``""`` when its package is missing
    """

    kind: str
    name: str
    value: str
    distribution: str
    version: str
    directory: str

    @property
    def label(self) -> str:
        """Name, distribution and version, for messages: "overlay (engine-storage-overlay 0.1.0)"."""
        return f"{self.name} ({self.origin})"

    @property
    def origin(self) -> str:
        """Distribution and version: "engine-storage-overlay 0.1.0"."""
        return f"{self.distribution} {self.version}"


class Index(NamedTuple):
    """Every installed plugin, sorted by kind, name and distribution."""

    entries: tuple[Entry, ...]

    def of(self, kind: str) -> tuple[Entry, ...]:
        """Return the plugins of a kind."""
        return tuple(entry for entry in self.entries if entry.kind == kind)

    def named(self, kind: str, name: str) -> tuple[Entry, ...]:
        """Return the plugins of that kind and name: none, one, or several that contradict each other."""
        return tuple(entry for entry in self.of(kind) if entry.name == name)

    def names(self, kind: str) -> tuple[str, ...]:
        """Return the names installed of a kind, each once."""
        return tuple(dict.fromkeys(entry.name for entry in self.of(kind)))


_made: list[Index] = []


def index() -> Index:
    """Return what is installed, as this process first saw it; one file read and a stat(2) for each distribution."""
    if not _made:
        _made.append(_recalled() or _scanned())
    return _made[0]


def core_directory() -> str:
    """Return what a bare interpreter needs on its ``sys.path`` to import the core."""
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def _key() -> tuple[Any, ...]:
    places = tuple(place or os.getcwd() for place in sys.path)
    return (__version__, sys.version, sys.prefix, places)


def _recalled() -> Index | None:
    rows: Any = cache.recall(_SECTION, _key())
    return None if rows is None else Index(tuple(Entry(*row) for row in rows))


def _scanned() -> Index:
    from engine.plugins import scan

    key = _key()
    seen = cache.witnesses(scan.sources(key[-1]))
    found = Index(tuple(sorted(scan.entries())))
    cache.remember(_SECTION, key, seen, tuple(tuple(entry) for entry in found.entries), most=_MOST)
    return found
