"""Ask before something is removed that nobody named."""

from __future__ import annotations

import sys

from engine.errors import InvalidInput

CANCELLED = 1
"""The exit status of a command whose user said no."""


def confirmed(what: str, *, force: bool) -> bool:
    """Return whether to go on: with ``force`` at once, else as the user answers on the terminal.

    Raises `InvalidInput` when there is no terminal to ask on.
    """
    if force:
        return True
    if not sys.stdin.isatty():
        raise InvalidInput(
            "there is nobody to ask whether to go on: the standard input is no terminal",
            fix="Add --force to do it without being asked.",
        )
    sys.stderr.write(f"{what}\nContinue? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
