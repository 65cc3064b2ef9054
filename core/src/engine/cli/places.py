"""What stands before the command on the command line, and the engine it leads to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from engine.tuples import NamedTuple

if TYPE_CHECKING:
    from engine.containers.engine import Engine


class Places(NamedTuple):
    """The options before the command: ``--root``, ``--state`` and ``--debug``."""

    root: str | None = None
    state: str | None = None
    debug: bool = False


class Placed(Protocol):
    """What a command is called with first: typer's context, or `engine.cli.quick`'s."""

    @property
    def obj(self) -> Any:
        """The `Places`."""


def open_engine(ctx: Placed, *, looking: bool = False) -> Engine:
    """Return the engine of this command line, for the rest of this process; ``looking``: one that makes nothing."""
    from engine.containers.engine import Engine
    from engine.settings import load

    places: Places = ctx.obj
    return Engine(load({"root": places.root, "state": places.state}), until_exit=True, looking=looking)
