"""The shim's own log, its standard error: empty, unless something went wrong."""

from __future__ import annotations

import os
from time import time_ns

from engine.errors import EngineError


def note(text: str) -> None:
    """Add a line, or several. On a full disk it is lost: it must not end the shim, and there is nobody else to tell."""
    try:
        os.write(2, f"{time_ns()} {text}\n".encode())
    except OSError:
        return


def report(error: BaseException) -> None:
    """Note a failure that nobody foresaw, with its traceback."""
    import traceback

    note("".join(traceback.format_exception(error)).rstrip())


def told(error: Exception) -> EngineError:
    """Return what the user is told of a failure; one that nobody foresaw is noted too."""
    if isinstance(error, EngineError):
        return error
    report(error)
    return EngineError(
        f"the shim failed: {type(error).__name__}: {error}",
        fix="Create the container without --rm: its shim.log, in the directory `engine inspect` names, says where.",
    )
