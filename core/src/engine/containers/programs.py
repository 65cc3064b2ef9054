"""What a shim executes in its own place when its container has ended: commands that do what no shim can."""

from __future__ import annotations

import os
import sys

from engine import plugins
from engine.containers.engine import Engine
from engine.metadata.containers import Record

_REAP = "import sys; from engine.containers.ending import reap; reap(*sys.argv[1:])"
_AGAIN = "import sys; from engine.containers.restarting import again; again(*sys.argv[1:])"
_KEPT = ("HOME", "PATH", "PYTHONPATH", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR")


def reaper(engine: Engine, record: Record) -> list[str]:
    """Return the command that settles an end which nobody else did; empty when there is nothing to do."""
    if not record.options.get("rm") and not plugins.index().names("observer"):
        return []
    return _command(_REAP, engine, record)


def again(engine: Engine, record: Record) -> list[str]:
    """Return the command that starts the container again."""
    return _command(_AGAIN, engine, record)


def environment() -> dict[str, str]:
    """Return what these commands need of the environment: what settings are made from."""
    return {key: value for key, value in os.environ.items() if key in _KEPT or key.startswith("ENGINE_")}


def _command(program: str, engine: Engine, record: Record) -> list[str]:
    return [sys.executable, "-c", program, str(engine.layout.root), str(engine.layout.state), record.id]
