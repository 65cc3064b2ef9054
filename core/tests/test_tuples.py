"""The engine's named tuples do what typing's do."""

from __future__ import annotations

import copy
import json
import pickle
import typing
from collections.abc import Callable
from typing import Any

import pytest

from engine import tuples


class Theirs(typing.NamedTuple):
    """Text."""

    name: str
    size: int = 4
    parts: tuple[str, ...] = ()

    @property
    def doubled(self) -> int:
        return self.size * 2

    @classmethod
    def of(cls, name: str) -> Any:
        return cls(name)


class Ours(tuples.NamedTuple):
    """Text."""

    name: str
    size: int = 4
    parts: tuple[str, ...] = ()

    @property
    def doubled(self) -> int:
        return self.size * 2

    @classmethod
    def of(cls, name: str) -> Any:
        return cls(name)


class Derived(Ours):
    """One more method, no more fields."""

    def shout(self) -> str:
        return self.name.upper()


def matched(value: Any) -> Any:
    match value:
        case Theirs(name, size=size) | Ours(name, size=size):
            return [name, size]
    return None


@pytest.mark.parametrize(
    "act",
    [
        lambda kind: tuple(kind("a")),
        lambda kind: tuple(kind("a", parts=("b",))),
        lambda kind: tuple(kind(size=1, name="a")),
        lambda kind: tuple(kind("a", 1, ("b",))),
        lambda kind: tuple(kind._make(["a", 2, ()])),
        lambda kind: kind("a").doubled,
        lambda kind: kind.of("a").name,
        lambda kind: kind("a")._asdict(),
        lambda kind: tuple(kind("a")._replace(size=7)),
        lambda kind: kind._fields,
        lambda kind: kind._field_defaults,
        lambda kind: kind.__match_args__,
        lambda kind: kind.__doc__,
        lambda kind: repr(kind("a")).removeprefix(kind.__name__),
        lambda kind: kind("a") == ("a", 4, ()),
        lambda kind: hash(kind("a")) == hash(("a", 4, ())),
        lambda kind: json.dumps(kind("a")),
        lambda kind: pickle.loads(pickle.dumps(kind("a"))) == kind("a"),
        lambda kind: type(pickle.loads(pickle.dumps(kind("a")))) is kind,
        lambda kind: copy.deepcopy(kind("a")) == kind("a"),
        lambda kind: matched(kind("a")),
        lambda kind: kind("a").__sizeof__() - (1, 2, 3).__sizeof__(),
    ],
)
def test_it_does_the_same(act: Callable[[Any], Any]) -> None:
    assert act(Ours) == act(Theirs)


@pytest.mark.parametrize(
    "act",
    [
        lambda kind: kind(),
        lambda kind: kind(size=1),
        lambda kind: kind("a", 1, (), 3),
        lambda kind: kind("a", name="b"),
        lambda kind: kind("a", nmae="b"),
        lambda kind: kind._make(["a"]),
        lambda kind: kind("a")._replace(nmae="b"),
        lambda kind: setattr(kind("a"), "name", "b"),
        lambda kind: setattr(kind("a"), "other", "b"),
    ],
)
def test_it_refuses_the_same(act: Callable[[Any], Any]) -> None:
    for kind in (Ours, Theirs):
        with pytest.raises((TypeError, ValueError, AttributeError)):
            act(kind)


def test_what_is_derived_keeps_the_fields() -> None:
    one = Derived("a", size=2)._replace(name="b")
    assert type(one) is Derived
    assert (one.shout(), one.size) == ("B", 2)
