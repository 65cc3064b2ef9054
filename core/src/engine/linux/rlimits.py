"""Resource limits (getrlimit(2)): names, numbers, and setting them for any process."""

from __future__ import annotations

import ctypes

from engine.linux.syscalls import check, function

UNLIMITED = (1 << 64) - 1
"""RLIM_INFINITY; -1 is taken for it as well."""

RLIMITS: dict[str, int] = {
    name: number
    for number, name in enumerate((
        "RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_DATA", "RLIMIT_STACK", "RLIMIT_CORE", "RLIMIT_RSS", "RLIMIT_NPROC",
        "RLIMIT_NOFILE", "RLIMIT_MEMLOCK", "RLIMIT_AS", "RLIMIT_LOCKS", "RLIMIT_SIGPENDING", "RLIMIT_MSGQUEUE",
        "RLIMIT_NICE", "RLIMIT_RTPRIO", "RLIMIT_RTTIME",
    ))
}  # fmt: skip
"""Names as in the OCI runtime spec to the kernel's numbers, which are the same on x86_64 and aarch64."""

_Pair = ctypes.c_uint64 * 2
_prlimit = function("prlimit64", ctypes.c_int, ctypes.c_int, ctypes.POINTER(_Pair), ctypes.POINTER(_Pair))


def set_rlimit(name: str, soft: int, hard: int, pid: int = 0) -> None:
    """Set a limit of a process (0: the caller). Raising ``hard`` needs CAP_SYS_RESOURCE in the first user namespace.

    Units are the limit's own (bytes, seconds, a count). Raises OSError with the name; KeyError for an unknown name.
    """
    new = _Pair(soft & UNLIMITED, hard & UNLIMITED)
    check(_prlimit(pid, RLIMITS[name], new, None), name)


def get_rlimit(name: str, pid: int = 0) -> tuple[int, int]:
    """Return the soft and the hard limit of a process (0: the caller)."""
    old = _Pair()
    check(_prlimit(pid, RLIMITS[name], None, old), name)
    return old[0], old[1]
