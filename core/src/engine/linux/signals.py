"""Signals as a fresh process expects them: Python ignores some, and a process inherits what its parent ignored."""

from __future__ import annotations

import signal

_SET_BY_LIBC = frozenset({signal.SIGKILL, signal.SIGSTOP})


def reset_signals() -> None:
    """Give every signal its default action and block none, as the last thing before execve.

    Python starts with SIGPIPE and SIGXFSZ ignored, and what is ignored stays so across execve. Only the main thread may
    call this (ValueError), which the child of a clone is.
    """
    for number in signal.valid_signals() - _SET_BY_LIBC:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
