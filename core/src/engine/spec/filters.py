"""``--filter KEY=VALUE`` as Docker's lists take it. Pure; raises `engine.errors.InvalidInput`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.errors import InvalidInput
from engine.spec.refusal import refusal

Filters = Mapping[str, Sequence[str]]
"""Key to values. What is listed fits one value of each key, and every value of ``label``."""


def parse_filters(texts: Sequence[str], known: Sequence[str]) -> Filters:
    """Return the filters by key. ``known`` are the keys that this list has."""
    found: dict[str, list[str]] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not value:
            raise refusal("--filter", text, "is not of the form KEY=VALUE", f"{known[0]}=web")
        if key not in known:
            raise InvalidInput(f"--filter: there is nothing to filter by {key!r}", fix=f"Use {', '.join(known)}.")
        found.setdefault(key, []).append(value)
    return found


def labels_fit(wanted: Sequence[str], labels: Mapping[str, str]) -> bool:
    """Tell whether all of these labels are there, each "KEY" or "KEY=VALUE"."""
    for text in wanted:
        key, equals, value = text.partition("=")
        if key not in labels or (equals and labels[key] != value):
            return False
    return True
