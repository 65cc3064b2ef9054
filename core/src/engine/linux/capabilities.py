"""Capabilities of the calling thread (capabilities(7)): five sets, each an int with one bit per capability."""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Iterable

from engine.linux.syscalls import check, prctl, system_call
from engine.tuples import NamedTuple

NAMES: tuple[str, ...] = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
    "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN",
    "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
)  # fmt: skip
"""Every name of linux/capability.h, at the index that is its number."""
NUMBERS: dict[str, int] = {name: number for number, name in enumerate(NAMES)}

_VERSION_3 = struct.pack("=Ii", 0x20080522, 0)
_SETS = struct.Struct("=6I")
_PR_SET_KEEPCAPS, _PR_CAPBSET_READ, _PR_CAPBSET_DROP, _PR_CAP_AMBIENT = 8, 23, 24, 47
_AMBIENT_IS_SET, _AMBIENT_RAISE, _AMBIENT_CLEAR_ALL = 1, 2, 4

_capget = system_call("capget", ctypes.c_char_p, ctypes.c_char_p)
_capset = system_call("capset", ctypes.c_char_p, ctypes.c_char_p)


class Sets(NamedTuple):
    """The three sets that capset(2) changes."""

    effective: int
    permitted: int
    inheritable: int


def mask(names: Iterable[str]) -> int:
    """Return the set of these names; KeyError for a name that is not in NAMES."""
    bits = 0
    for name in names:
        bits |= 1 << NUMBERS[name]
    return bits


def names(bits: int) -> list[str]:
    """Return the names in a set, by number; one newer than NAMES is its number."""
    return [_name(number) for number in _numbers(bits)]


def _numbers(bits: int) -> list[int]:
    return [number for number in range(bits.bit_length()) if bits >> number & 1]


def _name(number: int) -> str:
    return NAMES[number] if number < len(NAMES) else str(number)


def last_capability() -> int:
    """Return the number of the last capability that the kernel has."""
    number = len(NAMES) - 1
    while not _exists(number):
        number -= 1
    while _exists(number + 1):
        number += 1
    return number


def _exists(number: int) -> bool:
    try:
        prctl(_PR_CAPBSET_READ, number)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return False
    return True


def supported() -> int:
    """Return the set of all capabilities that the kernel has."""
    return (1 << last_capability() + 1) - 1


def get() -> Sets:
    """Return the caller's sets."""
    header = ctypes.create_string_buffer(_VERSION_3, len(_VERSION_3))
    data = ctypes.create_string_buffer(_SETS.size)
    check(_capget(header, data), "capget")
    low = _SETS.unpack(data.raw)
    return Sets(*(low[i] | low[i + 3] << 32 for i in range(3)))


def set(effective: int, permitted: int, inheritable: int) -> None:  # noqa: A001 - the name of the call
    """Set the caller's three sets. What is not permitted now cannot be gained (EPERM); less is always allowed."""
    halves = [bits & 0xFFFFFFFF for bits in (effective, permitted, inheritable)]
    halves += [bits >> 32 for bits in (effective, permitted, inheritable)]
    header = ctypes.create_string_buffer(_VERSION_3, len(_VERSION_3))
    check(_capset(header, _SETS.pack(*halves)), "capset")


def bounding() -> int:
    """Return the caller's bounding set: what an execve can give at most."""
    return sum(prctl(_PR_CAPBSET_READ, number) << number for number in range(last_capability() + 1))


def drop_bounding(bits: int) -> None:
    """Take capabilities out of the bounding set for good; needs CAP_SETPCAP. What is not in it is left alone."""
    for number in _numbers(bits & supported()):
        if prctl(_PR_CAPBSET_READ, number):
            prctl(_PR_CAPBSET_DROP, number, subject=_name(number))


def ambient() -> int:
    """Return the caller's ambient set: what a program without file capabilities keeps across execve."""
    return sum(prctl(_PR_CAP_AMBIENT, _AMBIENT_IS_SET, number) << number for number in range(last_capability() + 1))


def raise_ambient(bits: int) -> None:
    """Add capabilities to the ambient set; each must be permitted and inheritable already (EPERM)."""
    for number in _numbers(bits):
        prctl(_PR_CAP_AMBIENT, _AMBIENT_RAISE, number, subject=_name(number))


def clear_ambient() -> None:
    """Empty the ambient set."""
    prctl(_PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL)


def keep_on_setuid(on: bool = True) -> None:
    """Keep the permitted set when the last id of 0 is given up (the effective one is emptied all the same).

    execve clears this again.
    """
    prctl(_PR_SET_KEEPCAPS, int(on))
