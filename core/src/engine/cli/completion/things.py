"""What there is: containers, images, plugins. Nothing is made or locked, and where there is nothing to see there is
nothing to offer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from engine.errors import EngineError

if TYPE_CHECKING:
    from engine.containers.engine import Engine
    from engine.containers.status import Status

_SHORT = 12
_ID = "0123456789abcdef"

Wanted = Callable[["Status"], bool]


def everything(_status: Status) -> bool:
    """Every container."""
    return True


def running(status: Status) -> bool:
    """Those with something to stop."""
    return status.running


_WANTED: dict[str, Wanted] = {
    **dict.fromkeys(("kill", "stop", "wait"), running),
    **dict.fromkeys(("attach", "stats", "top"), lambda status: status.has_task),
    "exec": lambda status: status.state == "running",
    "pause": lambda status: status.state == "running",
    "unpause": lambda status: status.state == "paused",
    "start": lambda status: not status.running,
}


def wanted_by(command: str, *, forced: bool) -> Wanted:
    """Return which containers a command can do something with."""
    if command == "rm" and not forced:
        return _WANTED["start"]
    return _WANTED.get(command, everything)


def containers(given: Mapping[str, list[str]], wanted: Wanted = everything, current: str = "") -> dict[str, str]:
    """Return the names of containers with what each is; IDs too where ``current`` can only be the beginning of one."""
    from engine.containers.listing import listing

    with _engine(given) as engine:
        views = [view for view in listing(engine, everything=True) if wanted(view.status)]
    found = {view.record.name: f"{view.status.state}, {view.record.image_name}" for view in views}
    if _begins_id(current, found):
        return {view.record.id[:_SHORT]: f"{view.record.name}, {view.status.state}" for view in views}
    return found


def states() -> tuple[str, ...]:
    """Return the words for a container's status."""
    from typing import get_args

    from engine.containers.status import State

    return get_args(State)


def images(given: Mapping[str, list[str]], current: str = "") -> dict[str, str]:
    """Return the names of images with the size of each; IDs too where ``current`` can only be the beginning of one."""
    from engine.cli.words import size

    try:
        with _engine(given) as engine:
            found = engine.library.list()
    except EngineError:  # there is no place for images yet; host: is there all the same
        return {}
    named = {name: size(image.size) for image in found for name in image.names}
    if _begins_id(current, named):
        ids = {image.id.removeprefix("sha256:")[:_SHORT]: image for image in found}
        return {short: ", ".join((*image.names, size(image.size))) for short, image in ids.items()}
    return named


def plugins(kind: str) -> dict[str, str]:
    """Return the names of the installed plugins of a kind, with where each comes from. Imports none."""
    from engine.plugins.installed import index

    return {entry.name: entry.origin for entry in index().of(kind)}


def _begins_id(current: str, names: Mapping[str, str]) -> bool:
    is_hexadecimal = bool(current) and all(digit in _ID for digit in current)
    return is_hexadecimal and not any(name.startswith(current) for name in names)


def _engine(given: Mapping[str, list[str]]) -> Engine:
    from engine.containers.engine import Engine
    from engine.settings import load

    places = {name: given[f"--{name}"][-1] for name in ("root", "state") if f"--{name}" in given}
    return Engine(load(places), looking=True)
