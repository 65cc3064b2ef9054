"""seccomp filters (seccomp(2)): compiled from a profile by libseccomp, loaded as bytes with libc alone.

The two halves run at different times. :func:`compile` opens libseccomp.so.2 and belongs before a container starts, or
in a cache: it takes some 20 ms for Docker's default profile. :func:`load` is one system call, and opens no library: the
stage calls it inside of the container's root. The profile's form is ``linux.seccomp`` of the OCI runtime spec.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterator, Mapping, Sequence

from engine.errors import InvalidInput, Unsupported
from engine.linux.syscalls import MACHINE, check, system_call
from engine.tuples import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

FILTER_FLAG_TSYNC = 0x1
FILTER_FLAG_LOG = 0x2
FILTER_FLAG_SPEC_ALLOW = 0x4
FILTER_FLAG_NEW_LISTENER = 0x8
FILTER_FLAG_WAIT_KILLABLE_RECV = 0x20
FLAGS: dict[str, int] = {
    "SECCOMP_FILTER_FLAG_TSYNC": FILTER_FLAG_TSYNC,
    "SECCOMP_FILTER_FLAG_LOG": FILTER_FLAG_LOG,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": FILTER_FLAG_SPEC_ALLOW,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": FILTER_FLAG_WAIT_KILLABLE_RECV,
}
"""Flags that a profile may name, for :func:`load`."""

_SET_MODE_FILTER = 1
_ERRNO, _TRACE = 0x00050000, 0x7FF00000
ACTIONS: dict[str, int] = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": _ERRNO,
    "SCMP_ACT_NOTIFY": 0x7FC00000,
    "SCMP_ACT_TRACE": _TRACE,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
_OPERATORS = {
    f"SCMP_CMP_{name}": number for number, name in enumerate(("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"), start=1)
}
NATIVE_ARCHITECTURE = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}.get(MACHINE, "")
"""The spec's name of this machine's own architecture."""

_AUDIT_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}.get(MACHINE, 0)
_X32_BIT = 0x40000000
_LOAD, _IF_EQUAL, _IF_GREATER, _IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x25, 0x35, 0x06
_INSTRUCTION = struct.Struct("=HBBI")
"""``struct sock_filter``: code, how many instructions to skip if true and if false, operand."""

_LIBRARY = "libseccomp.so.2"
_ATTRIBUTE_OPTIMIZE, _BINARY_TREE = 8, 2
_NO_SUCH_SYSCALL = -1
_MAX_INSTRUCTIONS = 4096


class _Comparison(ctypes.Structure):
    """``struct scmp_arg_cmp``."""

    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


class _Version(ctypes.Structure):
    """``struct scmp_version``."""

    _fields_ = [("major", ctypes.c_uint), ("minor", ctypes.c_uint), ("micro", ctypes.c_uint)]


class _Program(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


_seccomp = system_call("seccomp", ctypes.c_uint, ctypes.c_uint, ctypes.POINTER(_Program))


def load(program: bytes, flags: int = 0) -> int:
    """Put the caller under a filter for good; with FILTER_FLAG_NEW_LISTENER return the notification descriptor, else 0.

    Needs no_new_privs, or CAP_SYS_ADMIN in the caller's user namespace (EACCES). Raises OSError.
    """
    filter_ = _Program(len(program) // _INSTRUCTION.size, program)
    return check(_seccomp(_SET_MODE_FILTER, flags, ctypes.byref(filter_)), "seccomp")


def available() -> str | None:
    """Return why filters cannot be compiled here, as a sentence; None when they can."""
    try:
        version = library_version()
    except OSError as error:
        return f"{_LIBRARY} cannot be loaded ({error})"
    return None if version >= (2, 5, 0) else f"libseccomp is {'.'.join(map(str, version))}, and 2.5 is needed"


def library_version() -> tuple[int, int, int]:
    """Return libseccomp's version. Raises OSError when the library is not there."""
    call = ctypes.CDLL(_LIBRARY).seccomp_version
    call.restype = ctypes.POINTER(_Version)
    version = call().contents
    return version.major, version.minor, version.micro


def compile(profile: Mapping[str, Any]) -> bytes:  # noqa: A001 - the name that fits
    """Return the BPF program of a profile (``linux.seccomp`` of the OCI runtime spec), for this machine.

    System calls that libseccomp does not know are left out, as runc does. Where the default is to refuse with an errno,
    calls of a higher number than all that the profile names get ENOSYS, so that a libc newer than the profile falls
    back on older calls instead of failing. Nothing is installed. Raises InvalidInput for a profile with an unknown
    action, operator or architecture, or a program that is too long; Unsupported without libseccomp.
    """
    reason = available()
    if reason is not None:
        raise Unsupported(f"seccomp filters cannot be compiled: {reason}", fix="Install libseccomp (libseccomp2).")
    default = _action(profile, "defaultAction", "defaultErrnoRet")
    library = _Library(default)
    try:
        for name in profile.get("architectures") or ():
            library.add_architecture(name)
        for number, rule in enumerate(profile.get("syscalls") or ()):
            action = _action(rule, "action", "errnoRet")
            if action != default:
                _add_rule(library, rule, action, number)
        return _limited(_newer_calls_are_missing(library, profile, default) + library.export())
    finally:
        library.release()


def unknown(profile: Mapping[str, Any]) -> list[str]:
    """Return the system calls of a profile that this libseccomp does not know, sorted."""
    library = _Library(ACTIONS["SCMP_ACT_ALLOW"])
    try:
        names = {name for rule in profile.get("syscalls") or () for name in rule.get("names") or ()}
        return sorted(name for name in names if library.resolve(name) == _NO_SUCH_SYSCALL)
    finally:
        library.release()


def _newer_calls_are_missing(library: _Library, profile: Mapping[str, Any], default: int) -> bytes:
    """Return instructions that go before a program: ENOSYS for what was invented after the profile."""
    numbers = [library.resolve(name) for rule in profile.get("syscalls") or () for name in rule.get("names") or ()]
    last = max(numbers, default=-1)
    if default & 0xFFFF0000 != _ERRNO or last < 0 or not _AUDIT_ARCHITECTURE:
        return b""
    # struct seccomp_data: the number at 0, the architecture at 4. Skips lead to the first instruction of the program.
    instructions = (
        (_LOAD, 0, 0, 4),
        (_IF_EQUAL, 0, 4, _AUDIT_ARCHITECTURE),
        (_LOAD, 0, 0, 0),
        (_IF_AT_LEAST, 2, 0, _X32_BIT),
        (_IF_GREATER, 0, 1, last),
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
    )
    return b"".join(_INSTRUCTION.pack(*instruction) for instruction in instructions)


def _limited(program: bytes) -> bytes:
    length = len(program) // _INSTRUCTION.size
    if length > _MAX_INSTRUCTIONS:
        raise InvalidInput(
            f"the seccomp profile compiles to {length} instructions, and the kernel takes {_MAX_INSTRUCTIONS}",
            fix="Use fewer rules or architectures.",
        )
    return program


def _add_rule(library: _Library, rule: Mapping[str, Any], action: int, number: int) -> None:
    for name in rule.get("names") or ():
        system_call_number = library.resolve(name)
        if system_call_number == _NO_SUCH_SYSCALL:
            continue
        for comparisons in _alternatives(rule.get("args") or ()):
            library.add_rule(action, system_call_number, comparisons, f"rule {number} ({name})")


def _alternatives(arguments: Sequence[Mapping[str, Any]]) -> Iterator[list[_Comparison]]:
    """Yield the conditions: all together, or, where two are on one argument, each by itself (runc's reading)."""
    comparisons = [_comparison(argument) for argument in arguments]
    if len({comparison.arg for comparison in comparisons}) == len(comparisons):
        yield comparisons
    else:
        for comparison in comparisons:
            yield [comparison]


def _comparison(argument: Mapping[str, Any]) -> _Comparison:
    operator = _OPERATORS.get(argument["op"])
    if operator is None:
        raise InvalidInput(f"a seccomp profile has an unknown operator {argument['op']!r}", fix="Use SCMP_CMP_*.")
    return _Comparison(argument["index"], operator, argument["value"], argument.get("valueTwo", 0))


def _action(holder: Mapping[str, Any], key: str, errno_key: str) -> int:
    """Return an action with its errno; the spec's default errno is EPERM."""
    name = holder.get(key)
    action = ACTIONS.get(name or "")
    if action is None:
        raise InvalidInput(f"a seccomp profile has an unknown action {name!r}", fix="Use SCMP_ACT_*.")
    number = holder.get(errno_key)
    if action in {_ERRNO, _TRACE}:
        return action | ((errno.EPERM if number is None else number) & 0xFFFF)
    return action


class _Library:
    """One filter under construction in libseccomp (seccomp_init(3) and what follows it); errors come as -errno."""

    def __init__(self, default_action: int) -> None:
        library = ctypes.CDLL(_LIBRARY)
        pointer, uint, number = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int
        signatures: dict[str, tuple[Any, list[Any]]] = {
            "seccomp_init": (pointer, [uint]),
            "seccomp_release": (None, [pointer]),
            "seccomp_attr_set": (number, [pointer, number, uint]),
            "seccomp_arch_add": (number, [pointer, uint]),
            "seccomp_arch_exist": (number, [pointer, uint]),
            "seccomp_arch_resolve_name": (uint, [ctypes.c_char_p]),
            "seccomp_syscall_resolve_name": (number, [ctypes.c_char_p]),
            "seccomp_rule_add_array": (number, [pointer, uint, number, ctypes.c_uint, pointer]),
            "seccomp_export_bpf": (number, [pointer, number]),
        }
        for name, (result, arguments) in signatures.items():
            call = getattr(library, name)
            call.restype, call.argtypes = result, arguments
        self._library = library
        self._filter = library.seccomp_init(default_action)
        if not self._filter:
            raise InvalidInput("a seccomp profile's default action is not one that libseccomp accepts")
        library.seccomp_attr_set(self._filter, _ATTRIBUTE_OPTIMIZE, _BINARY_TREE)

    def add_architecture(self, name: str) -> None:
        """Add an architecture by the spec's name (SCMP_ARCH_X86)."""
        token = self._library.seccomp_arch_resolve_name(name.removeprefix("SCMP_ARCH_").lower().encode())
        if token == 0:
            raise InvalidInput(f"a seccomp profile has an unknown architecture {name!r}", fix="Use SCMP_ARCH_*.")
        result = self._library.seccomp_arch_add(self._filter, token)
        if result not in {0, -errno.EEXIST}:
            raise InvalidInput(f"libseccomp refuses the architecture {name!r}: {os.strerror(-result)}")

    def resolve(self, name: str) -> int:
        """Return a system call's number, negative for one of other architectures, -1 for none."""
        return int(self._library.seccomp_syscall_resolve_name(name.encode()))

    def add_rule(self, action: int, number: int, comparisons: Sequence[_Comparison], subject: str) -> None:
        """Add one rule: the action for that system call if all comparisons hold."""
        array = (_Comparison * len(comparisons))(*comparisons)
        result = self._library.seccomp_rule_add_array(self._filter, action, number, len(comparisons), array)
        if result not in {0, -errno.EEXIST}:
            raise InvalidInput(f"libseccomp refuses {subject} of the seccomp profile: {os.strerror(-result)}")

    def export(self) -> bytes:
        """Return the program, an array of struct sock_filter."""
        fd = os.memfd_create("seccomp", os.MFD_CLOEXEC)
        with open(fd, "rb", buffering=0) as file:
            result = self._library.seccomp_export_bpf(self._filter, fd)
            if result != 0:
                raise InvalidInput(f"libseccomp cannot compile the seccomp profile: {os.strerror(-result)}")
            os.lseek(fd, 0, os.SEEK_SET)
            return file.read()

    def release(self) -> None:
        """Free the filter."""
        self._library.seccomp_release(self._filter)
