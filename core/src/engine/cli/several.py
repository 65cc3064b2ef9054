"""Commands that take several names: one that fails does not keep the others from being done."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.cli.failures import report
from engine.cli.output import write
from engine.errors import EngineError


def each(names: Sequence[str], act: Callable[[str], object], *, show: bool = True, debug: bool = False) -> int:
    """Do ``act`` with each name and print the name, or with ``show`` false nothing; report what fails as it happens.

    Return 0, or the exit status of the first failure.
    """
    status = 0
    for name in dict.fromkeys(names):
        try:
            act(name)
        except EngineError as error:
            status = status or report(error, debug=debug)
        else:
            if show:
                write(name)
    return status
