"""Which images ``engine images --filter`` shows."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from engine.errors import InvalidInput
from engine.images.image import ImageSummary
from engine.images.library import Library
from engine.spec.filters import Filters, labels_fit

KEYS = ("dangling", "reference", "label")
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


def keep(library: Library, found: Sequence[ImageSummary], filters: Filters) -> list[ImageSummary]:
    """Return the images that fit, each with its names that fit.

    ``dangling`` images have no name, but a digest perhaps that they were pulled by; ``reference`` is a pattern with
    ``*``, ``?`` and ``[a-z]``, none of which stands for a slash, of a repository or of a whole name. Raises
    `InvalidInput` for another word than true or false.
    """
    for text in filters.get("dangling", ()):
        dangling = _truth(text)
        found = [one for one in found if bool(one.names) != dangling]
    if patterns := filters.get("reference"):
        fitting = (one._replace(names=tuple(name for name in one.names if _fits(name, patterns))) for one in found)
        found = [one for one in fitting if one.names]
    if labels := filters.get("label"):
        found = [one for one in found if labels_fit(labels, library.resolve(one.id).config.config.labels)]
    return list(found)


def _truth(text: str) -> bool:
    if text.lower() not in _TRUTH:
        raise InvalidInput(f"--filter dangling={text} is neither true nor false", fix="Write --filter dangling=true.")
    return _TRUTH[text.lower()]


def _fits(name: str, patterns: Sequence[str]) -> bool:
    repository = name.rpartition(":")[0]
    return any(_matches(name, pattern) or _matches(repository, pattern) for pattern in patterns)


def _matches(name: str, pattern: str) -> bool:
    parts, wanted = name.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))
