"""Which containers ``engine ps --filter`` shows."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import get_args

from engine.containers.engine import Engine
from engine.containers.listing import View
from engine.containers.status import State
from engine.errors import InvalidInput, NotFound, StateError
from engine.images import host
from engine.spec.filters import Filters, labels_fit

KEYS = ("name", "id", "status", "label", "ancestor", "health")
HEALTHS = ("starting", "healthy", "unhealthy", "none")
"""The words of `engine.shim.verdict`, and the one for a container without a check."""


def keep(engine: Engine, views: Sequence[View], filters: Filters) -> list[View]:
    """Return the views that fit.

    ``name`` is a regular expression found anywhere in the name (which may be written with a slash before it, as
    Docker's scripts do), ``id`` a beginning, ``ancestor`` an image that the container's is, or has all layers of.
    Raises `InvalidInput` for an expression or a status that is none.
    """
    tests = [_test(engine, key, values) for key, values in filters.items()]
    return [view for view in views if all(test(view) for test in tests)]


def _test(engine: Engine, key: str, values: Sequence[str]) -> Callable[[View], bool]:
    if key == "name":
        patterns = list(map(_pattern, values))
        return lambda view: any(one.search(view.record.name) or one.search(f"/{view.record.name}") for one in patterns)
    if key == "id":
        return lambda view: view.record.id.startswith(tuple(values))
    if key == "status":
        states = set(map(_state, values))
        return lambda view: view.status.state in states
    if key == "label":
        return lambda view: labels_fit(values, view.record.labels)
    if key == "health":
        wanted = set(map(_health, values))
        return lambda view: _health_of(engine, view) in wanted
    ancestors = [_layers(engine, value) for value in values]
    made: dict[str, tuple[str, ...]] = {}

    def descends(view: View) -> bool:
        image = view.record.image or host.NAME
        if image not in made:
            made[image] = _layers(engine, image)
        return any(one and made[image][: len(one)] == one for one in ancestors)

    return descends


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise InvalidInput(
            f"--filter name={text} is no regular expression: {error}", fix="Write it as in --filter name=^web."
        ) from None


def _state(text: str) -> str:
    if text not in get_args(State):
        raise InvalidInput(f"--filter: there is no status {text!r}", fix=f"Use {', '.join(get_args(State))}.")
    return text


def _health(text: str) -> str:
    if text not in HEALTHS:
        raise InvalidInput(f"--filter: there is no health {text!r}", fix=f"Use {', '.join(HEALTHS)}.")
    return text


def _health_of(engine: Engine, view: View) -> str:
    from engine.containers import health

    found = health.of(engine.layout, view.record, view.status)
    return HEALTHS[-1] if found is None else found.status


def _layers(engine: Engine, image: str) -> tuple[str, ...]:
    """Return what tells an image and those built on it: its layers; empty for one that is not here."""
    if image == host.NAME:
        return (host.NAME,)
    try:
        found = engine.library.resolve(image)
    except (NotFound, InvalidInput, StateError):
        return ()
    return tuple(found.config.diff_ids)
