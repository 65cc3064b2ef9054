"""The seam to the C library: the only module that loads it, and how every other one here declares a call.

A call is declared once, with its argument types, by :func:`function` (a function of libc) or :func:`system_call` (a raw
system call, for what libc does not wrap everywhere), and its result goes through :func:`check`.

Numbers from 424 (pidfd_send_signal) on are the same on every architecture; the older ones that are needed here are
known for x86_64 and aarch64. On another machine these calls fail with ENOSYS, as on a kernel without them.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

from engine.linux.explanations import explain
from engine.tuples import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    CType = type[ctypes._SimpleCData[Any]] | type[ctypes._Pointer[Any]] | type[ctypes.Array[Any]]

__all__ = [
    "NUMBERS", "check", "encode", "explain", "function", "kernel_release", "libc", "prctl", "syscall", "system_call",
]  # fmt: skip

libc = ctypes.CDLL(None, use_errno=True)
"""The C library; the GIL is released around each call."""
libc_with_gil = ctypes.PyDLL(None, use_errno=True)
"""The same, keeping the GIL: for what must not let another thread of Python run meanwhile (clone)."""

_EVERYWHERE = {
    "pidfd_send_signal": 424, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432,
    "fspick": 433, "pidfd_open": 434, "clone3": 435, "close_range": 436, "openat2": 437, "pidfd_getfd": 438,
    "mount_setattr": 442,
}  # fmt: skip
_BY_MACHINE = {
    "x86_64": {
        "rt_sigaction": 13, "clone": 56, "capget": 125, "capset": 126, "pivot_root": 155, "keyctl": 250, "seccomp": 317,
        "bpf": 321,
    },
    "aarch64": {
        "pivot_root": 41, "capget": 90, "capset": 91, "rt_sigaction": 134, "keyctl": 219, "clone": 220, "seccomp": 277,
        "bpf": 280,
    },
}  # fmt: skip
MACHINE = os.uname().machine
_IS_64_BIT = ctypes.sizeof(ctypes.c_void_p) == 8

NUMBERS: dict[str, int] = _EVERYWHERE | (_BY_MACHINE.get(MACHINE, {}) if _IS_64_BIT else {})
"""System call name to number on this machine (arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic)."""
_UNKNOWN = -1


def kernel_release() -> tuple[int, int]:
    """Return the running kernel's version, major and minor: for what cannot be tried."""
    major, minor = os.uname().release.split(".", 2)[:2]
    return int(major), int("".join(digit for digit in minor if digit.isdigit()))


def function(name: str, *argtypes: CType, keep_gil: bool = False) -> Callable[..., int]:
    """Return libc's ``name`` with the argument types declared; it returns an int, -1 meaning failure."""
    call = (libc_with_gil if keep_gil else libc)[name]
    call.argtypes = list(argtypes)
    call.restype = ctypes.c_int
    return call


def system_call(name: str, *argtypes: CType, keep_gil: bool = False) -> Callable[..., int]:
    """Return a raw system call with the argument types declared; an unknown name fails with ENOSYS when called."""
    call = (libc_with_gil if keep_gil else libc)["syscall"]
    call.argtypes = [ctypes.c_long, *argtypes]
    call.restype = ctypes.c_long
    number = NUMBERS.get(name, _UNKNOWN)

    def invoke(*arguments: object) -> int:
        return call(number, *arguments)  # type: ignore[no-any-return]

    return invoke


def check(result: int, subject: str | bytes | int | None = None) -> int:
    """Return ``result``, or raise the errno of the last call when it is -1.

    ``subject`` becomes the error's ``filename``: the path or the name that the call was about; an int is a descriptor.
    """
    if result != -1:
        return result
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number), f"fd {subject}" if isinstance(subject, int) else subject)


def syscall(number: int, *arguments: int | bytes | ctypes.Array[ctypes.c_char] | None) -> int:
    """Make any system call: ints are passed as longs, bytes and buffers by address. Return its result, unchecked.

    For tests and for what is called once; a call in regular use is declared with :func:`system_call`.
    """
    converted = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return int(_raw(ctypes.c_long(number), *converted))


_raw = libc["syscall"]
_raw.restype = ctypes.c_long


def encode(path: str | bytes) -> bytes:
    """Return the path as the kernel takes it. ValueError for a NUL inside, which C would silently end the path at."""
    encoded = os.fsencode(path)
    if b"\0" in encoded:
        raise ValueError(f"a path cannot hold a NUL byte: {path!r}")
    return encoded


_prctl = function("prctl", ctypes.c_int, *[ctypes.c_ulong] * 4)


def prctl(option: int, *arguments: int, subject: str | None = None) -> int:
    """Control this process (prctl(2)) with up to four arguments, the rest zero, as some options demand."""
    padded = (*arguments, 0, 0, 0, 0)[:4]
    return check(_prctl(option, *padded), subject)
