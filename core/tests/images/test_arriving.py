"""Layers that are unpacked as they arrive: in order, with the first error, and not at all once nobody wants them."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from engine.images.arriving import Arriving

PATIENCE = 20.0


def test_each_waits_for_those_below_it() -> None:
    done: list[int] = []
    first = threading.Event()

    def unpack(number: int, _check: Callable[[], None]) -> None:
        done.append(number)
        first.set()

    arriving = Arriving(["a", "b", "b", "c"], unpack)
    arriving.arrived("c", "b")
    assert not first.wait(0.05)
    arriving.arrived("a")
    arriving.finish()
    assert done == [0, 1, 2, 3]


def test_an_error_is_raised_where_more_is_taken_in_and_ends_the_rest() -> None:
    done: list[int] = []

    def unpack(number: int, _check: Callable[[], None]) -> None:
        done.append(number)
        raise ValueError(number)

    arriving = Arriving(["a", "b"], unpack)
    arriving.check()
    arriving.arrived("a", "b")
    with pytest.raises(ValueError, match="0"):
        arriving.finish()
    with pytest.raises(ValueError, match="0"):
        arriving.check()
    arriving.stop()
    assert done == [0]


def test_stopping_ends_what_waits_and_what_is_being_unpacked() -> None:
    started, taken_back = threading.Event(), threading.Event()

    def unpack(_number: int, check: Callable[[], None]) -> None:
        started.set()
        try:
            while not taken_back.wait(0.001):
                check()
        finally:
            taken_back.set()

    waiting = Arriving(["a"], unpack)
    waiting.stop()
    assert not started.is_set()
    working = Arriving(["a", "b"], unpack)
    working.arrived("a", "b")
    assert started.wait(PATIENCE)
    working.stop()
    assert taken_back.is_set()
    working.check()
