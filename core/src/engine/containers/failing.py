"""What kept a container from starting, kept beside its exit record until it starts: ``<root>/containers/<id>/failure``.

Written by the command that tried, which tells the user as well. A container with ``--rm`` has none: it is removed.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from time import time_ns

from engine.containers.layout import Layout
from engine.errors import EngineError

_NAME = "failure"


@dataclass(frozen=True, slots=True)
class Failure:
    """A start that failed: the error's fields (`engine.errors.EngineError`), the exit status it stands for, and
    nanoseconds since the epoch."""

    what: str
    fix: str
    plugin: str
    action: str
    errno: str
    meaning: str
    code: int
    when: int


def record(layout: Layout, container_id: str, error: EngineError) -> None:
    """Keep the error. On a full disk it is lost: the user is told all the same, and nothing else needs it."""
    failure = Failure(
        error.what, error.fix, error.plugin, error.action, error.errno, error.meaning, error.exit_code, time_ns()
    )  # fmt: skip
    directory = layout.container(container_id)
    try:
        (directory / f".{_NAME}").write_text(json.dumps(asdict(failure)))
        (directory / f".{_NAME}").rename(directory / _NAME)
    except OSError:
        return


def forget(layout: Layout, container_id: str) -> None:
    """Forget the failure of an earlier start: the container starts."""
    (layout.container(container_id) / _NAME).unlink(missing_ok=True)


def read(layout: Layout, container_id: str) -> Failure | None:
    """Return what kept the container from starting the last time, or None."""
    try:
        return Failure(**json.loads((layout.container(container_id) / _NAME).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):  # there is none, or it was cut short on a full disk
        return None
