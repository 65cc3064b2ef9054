"""Which events ``engine events --filter`` shows. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from engine.contracts.observer import CONTAINER, IMAGE, Event, Topic
from engine.errors import InvalidInput
from engine.spec.filters import Filters, labels_fit

KEYS = ("type", "event", "container", "image", "label")


def check(filters: Filters) -> None:
    """Raise `InvalidInput` for a type or an event that there is none of."""
    known: Mapping[str, Sequence[str]] = {"type": (CONTAINER, IMAGE), "event": tuple(map(str, Topic))}
    for key, words in known.items():
        for text in filters.get(key, ()):
            if text.partition(":")[0] not in words:
                raise InvalidInput(f"--filter: there is no {key} {text!r}", fix=f"Use {', '.join(words)}.")


def fits(event: Event, filters: Filters) -> bool:
    """Tell whether an event fits one value of each key, and all of ``label``.

    ``event`` is a word with or without what stands behind it ("health_status: healthy"), ``container`` a name or the
    beginning of an ID, ``image`` the same, of an image or of what a container was made of, its tag left out or not.
    """
    return all(_TESTS[key](event, values) for key, values in filters.items())


def _fits_container(event: Event, values: Sequence[str]) -> bool:
    return event.subject == CONTAINER and (
        event.attributes.get("name") in values or any(event.id.startswith(value) for value in values)
    )


def _fits_image(event: Event, values: Sequence[str]) -> bool:
    names = {event.attributes.get("name" if event.subject == IMAGE else "image", "")}
    names |= {_without_tag(name) for name in names}
    if event.subject == IMAGE:
        digits = event.id.removeprefix("sha256:")
        return any(value in names or digits.startswith(value.removeprefix("sha256:")) for value in values)
    return any(value in names for value in values)


def _without_tag(name: str) -> str:
    head, colon, tag = name.rpartition(":")
    return head if colon and "/" not in tag else name


_TESTS: Mapping[str, Callable[[Event, Sequence[str]], bool]] = {
    "type": lambda event, values: event.subject in values,
    "event": lambda event, values: event.topic in values or event.action in values,
    "container": _fits_container,
    "image": _fits_image,
    "label": lambda event, values: labels_fit(values, event.attributes),
}
