"""The functions of templates, with the names and the order of arguments that Docker's have."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any


def shown(value: Any) -> str:
    """Return a value as a template shows it: text as it is, everything else as JSON."""
    return value if isinstance(value, str) else to_json(value)


def to_json(value: Any) -> str:
    """Return a value as JSON on one line."""
    return json.dumps(value, ensure_ascii=False)


def _index(value: Any, *keys: Any) -> Any:
    """Return what is under the keys, one below the other; "" for a key that a mapping does not have, as in Go."""
    for key in keys:
        value = value.get(key, "") if isinstance(value, Mapping) else value[key]
    return value


def _join(parts: Iterable[Any], separator: str) -> str:
    return separator.join(map(shown, parts))


def _printed(*values: Any) -> str:
    return " ".join(map(shown, values))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "and": lambda first, *others: next((one for one in (first, *others) if not one), (first, *others)[-1]),
    "eq": lambda first, *others: first in others,
    "index": _index,
    "join": _join,
    "json": to_json,
    "len": len,
    "lower": str.lower,
    "ne": lambda first, second: first != second,
    "not": lambda value: not value,
    "or": lambda first, *others: next((one for one in (first, *others) if one), (first, *others)[-1]),
    "print": lambda *values: "".join(map(shown, values)),
    "println": lambda *values: f"{_printed(*values)}\n",
    "split": str.split,
    "title": str.title,
    "upper": str.upper,
}
"""Each takes its values as they stand; one that comes through a pipe is the last."""
