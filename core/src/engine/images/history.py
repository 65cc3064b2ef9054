"""The steps that an image was made in, each with the bytes of the layer that it added. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from engine.images.image import Image
from engine.spec.image import History
from engine.tuples import NamedTuple


class Step(NamedTuple):
    """One step; ``size`` counts the bytes of its layer as stored, 0 for a step that changed the configuration only."""

    history: History
    size: int


def steps(image: Image, sizes: Sequence[int]) -> tuple[Step, ...]:
    """Return the steps, the last one first.

    History is optional, and nobody checks it against the layers: layers that it does not tell of are steps of their
    own, the lowest, and steps that it tells of beyond the layers have size 0.
    """
    told = image.config.history
    untold = max(0, len(sizes) - sum(not one.empty_layer for one in told))
    left = iter(sizes)
    found = [Step(History(), next(left)) for _ in range(untold)]
    found += [Step(one, 0 if one.empty_layer else next(left, 0)) for one in told]
    return tuple(reversed(found))
