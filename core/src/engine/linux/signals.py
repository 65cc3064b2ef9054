"""Signals as a fresh process expects them: Python ignores some, and a process inherits what its parent ignored."""

from __future__ import annotations

import ctypes
import signal

from engine.linux.syscalls import check, system_call

_LAST_SIGNAL = 64
_MASK_SIZE = _LAST_SIGNAL // 8
_DEFAULT = bytes(4 * 8)
"""The kernel's ``struct sigaction`` of SIG_DFL: handler, flags, restorer (x86_64 alone) and mask are all zero."""

_rt_sigaction = system_call("rt_sigaction", ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)


def reset_signals() -> None:
    """Give every signal its default action and block none, as the last thing before execve.

    Python starts with SIGPIPE and SIGXFSZ ignored, and what is ignored stays so across execve. libc and Python hide the
    signals 32 and 33, and a parent may have ignored these as well: so the kernel is asked directly, and afterwards
    Python's own idea of its handlers is wrong.
    """
    for number in range(1, _LAST_SIGNAL + 1):
        if number not in {signal.SIGKILL, signal.SIGSTOP}:
            check(_rt_sigaction(number, _DEFAULT, None, _MASK_SIZE), f"signal {number}")
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
