"""Where the ``engine`` command begins. What needs no command imports nothing: version and help are answered here.

What is started in loops is read by `engine.cli.quick`. Everything else is `engine.cli.app`'s, which imports typer and
then the module of the command called, no other.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence

from engine import __version__

COMPLETE = "__complete"
"""What the completion scripts call."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its status.

    The process ends at once: nothing the engine does may depend on an orderly end, and the interpreter's takes 10 ms.
    """
    gc.disable()  # saves a twentieth of a command, which holds what it makes until its end anyway
    _hold_standard_streams()
    status = run(list(sys.argv[1:] if arguments is None else arguments))
    sys.stderr.flush()
    os._exit(status)


def _hold_standard_streams() -> None:
    """Open /dev/null for each standard stream that is closed: the next file opened would be written to by mistake."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115  # until the end


def run(arguments: list[str]) -> int:
    """Run one command; return its exit status."""
    if arguments in (["--version"], ["-v"]):
        return _say(f"engine {__version__}")
    if arguments in ([], ["help"], ["--help"]):
        from engine.cli.commands import overview

        return _say(overview())
    if arguments[:1] == [COMPLETE]:
        from engine.cli.completion.answering import answer

        return answer(arguments[1:])
    status = _quickly(arguments)
    if status is not None:
        return status
    from engine.cli.app import invoke

    return invoke(arguments)


def _quickly(arguments: list[str]) -> int | None:
    """Run a command that is read without typer; None when it is none of those."""
    from engine.cli.commands import QUICK, first_word

    name = "".join(arguments[first_word(arguments) :][:1])
    if name not in QUICK or "--help" in arguments:
        return None
    if name == "run":
        from engine.shim.launch import prepare

        prepare()  # the shim that it will need: ready when the command has parsed its arguments
    from engine.cli import quick

    return quick.invoke(arguments)


def _say(text: str) -> int:
    try:
        print(text, flush=True)
    except BrokenPipeError:
        from engine.cli.failures import end_with_the_reader

        return end_with_the_reader()
    return 0
