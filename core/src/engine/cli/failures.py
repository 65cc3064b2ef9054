"""How a command says what went wrong: one sentence, one line of what to do, and the exit status. Imports no typer."""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
from collections.abc import Callable

from engine.errors import EXIT_ENGINE, EngineError

_REPORT = "This is a defect of the engine: run the command again as `engine --debug ...` and report what it prints."
_ADVICE = {
    errno.ENOSPC: "Free some space on that disk, then run the command again.",
    errno.EDQUOT: "Free some space within your quota, then run the command again.",
    errno.EACCES: "Run the command as root.",
    errno.EPERM: "Run the command as root.",
    errno.EROFS: "Choose a place that can be written to, with --root and --state.",
    errno.EMFILE: "Raise the limit of open files (ulimit -n), then run the command again.",
}


EXIT_INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""


def guarded(work: Callable[[], int], *, debug: bool) -> int:
    """Do what a command line asks for; return its exit status, or report what it raises and return that one's."""
    try:
        status = work()
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError as error:
        return end_with_the_reader() if nobody_reads() else report(error, debug=debug)
    except Exception as error:  # noqa: BLE001  # the outermost place: it is reported, and where it came from on request
        return report(error, debug=debug)


def report(error: Exception, *, debug: bool = False) -> int:
    """Print an error to standard error and return the exit status it stands for."""
    if debug:
        import traceback

        traceback.print_exception(error)
    what, fix = _words(error)
    from engine.cli.terminal import BOLD, RED, coloured, painted

    name = painted("engine:", f"{BOLD};{RED}") if coloured(2) else "engine:"
    print(f"{name} {what}", *([f"  {fix}"] if fix else []), sep="\n", file=sys.stderr)
    return error.exit_code if isinstance(error, EngineError) else EXIT_ENGINE


def _words(error: Exception) -> tuple[str, str]:
    if isinstance(error, EngineError):
        by = f" (plugin {error.plugin})" if error.plugin and error.plugin not in error.what else ""
        return f"{_line(error.what)}{by}", _line(error.fix)
    if isinstance(error, OSError) and error.strerror and error.errno in _ADVICE:
        place = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{place}", _ADVICE[error.errno]
    return f"unexpected {type(error).__name__}: {_line(str(error))}", _REPORT


def _line(text: str) -> str:
    """Return text on one line and without control characters: it may quote what an image holds."""
    return "".join(character if character.isprintable() else " " for character in " ".join(text.split()))


def nobody_reads() -> bool:
    """Return whether whoever read this command's output has gone (``engine ps | head -1``)."""
    poll = select.poll()
    poll.register(1, 0)
    return bool(poll.poll(0))


def end_with_the_reader() -> int:
    """Die of SIGPIPE, quietly, as every tool does whose reader has gone. Does not return."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGPIPE)
    return 128 + signal.SIGPIPE
