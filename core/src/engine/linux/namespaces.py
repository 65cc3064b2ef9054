"""Namespaces: making, joining and comparing them, identity maps, clock offsets, the loopback device (namespaces(7)).

Making or joining any but a user namespace needs CAP_SYS_ADMIN in the user namespace that owns it.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
from collections.abc import Iterable, Sequence

from engine.linux.cloning import clone3
from engine.linux.syscalls import check, function, kernel_release
from engine.tuples import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import NoReturn

CLONE_NEWTIME = 0x80
CLONE_NEWNS = 0x20000
CLONE_NEWCGROUP = 0x2000000
CLONE_NEWUTS = 0x4000000
CLONE_NEWIPC = 0x8000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000


class Kind(NamedTuple):
    """One kind of namespace: its CLONE_NEW* flag and its name below /proc/PID/ns."""

    flag: int
    proc_name: str


KINDS: dict[str, Kind] = {
    "mount": Kind(CLONE_NEWNS, "mnt"),
    "uts": Kind(CLONE_NEWUTS, "uts"),
    "ipc": Kind(CLONE_NEWIPC, "ipc"),
    "pid": Kind(CLONE_NEWPID, "pid"),
    "net": Kind(CLONE_NEWNET, "net"),
    "user": Kind(CLONE_NEWUSER, "user"),
    "cgroup": Kind(CLONE_NEWCGROUP, "cgroup"),
    "time": Kind(CLONE_NEWTIME, "time"),
}
"""Our names of the kinds. For pid and time, unshare(2) and setns(2) act on the children of the caller alone."""


class IdRow(NamedTuple):
    """One row of an identity map: ``length`` ids from ``inside`` on are ``outside`` and following ones outside."""

    inside: int
    outside: int
    length: int


_int = ctypes.c_int
_unshare = function("unshare", _int)
_setns = function("setns", _int, _int)
_socket = function("socket", _int, _int, _int)
_AF_INET, _SOCK_DGRAM_CLOEXEC = 2, 2 | os.O_CLOEXEC
_SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8913, 0x8914
_IFF_UP = 0x1
_IFREQ = struct.Struct("16sh22x")
_SECOND = 1_000_000_000
_TIME_BY_EXECVE = (6, 2)
"""The kernel from which on an execve enters the time namespace that its caller made."""


def unshare(flags: int) -> None:
    """Put the caller in new namespaces (CLONE_NEW*); EINVAL for a user namespace in a process with threads."""
    check(_unshare(flags), "unshare")


def setns(fd: int, flags: int = 0) -> None:
    """Join the namespace ``fd`` (``flags``: the kind it must be, 0 for any), or those ``flags`` of the pidfd ``fd``.

    With a pidfd (Linux 5.8) several are joined at once or none.
    """
    check(_setns(fd, flags), fd)


def open_namespace(pid: int | str, kind: str) -> int:
    """Return a descriptor of a process's namespace. ``kind`` is one of KINDS; ``pid`` may be "self"."""
    return os.open(f"/proc/{pid}/ns/{KINDS[kind].proc_name}", os.O_RDONLY | os.O_CLOEXEC)


def same_namespace(a: int | str, b: int | str) -> bool:
    """Tell whether two descriptors, or paths below /proc, are of the same namespace."""
    return os.path.samestat(os.stat(a), os.stat(b))


def write_id_map(pid: int, uids: Sequence[IdRow], gids: Sequence[IdRow], deny_setgroups: bool = False) -> None:
    """Write the identity maps of the user namespace of ``pid``, once, from the parent user namespace.

    Needs CAP_SETUID and CAP_SETGID there, except for one row that maps the caller's own id. An unprivileged caller must
    set ``deny_setgroups``. user_namespaces(7).
    """
    if deny_setgroups:
        _write(f"/proc/{pid}/setgroups", b"deny")
    _write(f"/proc/{pid}/gid_map", _rows(gids))
    _write(f"/proc/{pid}/uid_map", _rows(uids))


def _rows(rows: Iterable[IdRow]) -> bytes:
    return "".join(f"{inside} {outside} {length}\n" for inside, outside, length in rows).encode()


def _write(path: str, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, content)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(fd)


def userns_fd(uids: Sequence[IdRow], gids: Sequence[IdRow]) -> int:
    """Return a descriptor of a new user namespace with these maps, for idmapped mounts; it lives as long as it is held.

    A child is made in it and let go again, so the caller has a single thread, and the privileges that the rows need.
    """
    waits, lets_go = os.pipe2(os.O_CLOEXEC)
    try:
        child = clone3(CLONE_NEWUSER)
        if child.pid == 0:
            _wait_for_end_of(waits, lets_go)
    except OSError:
        os.close(lets_go)
        raise
    finally:
        os.close(waits)
    try:
        write_id_map(child.pid, uids, gids)
        return open_namespace(child.pid, "user")
    finally:
        os.close(lets_go)
        os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED)
        os.close(child.pidfd)


def _wait_for_end_of(waits: int, lets_go: int) -> NoReturn:
    """Be a child that ends when the other end of the pipe closes: the parent lets go, or dies."""
    try:
        os.close(lets_go)
        os.read(waits, 1)
    finally:
        # Whatever happens (a signal's handler may raise), the parent's code must not run on in the child.
        os._exit(0)


def set_time_offsets(monotonic: int, boottime: int) -> None:
    """Shift the clocks, in nanoseconds, of the time namespace that the caller's next child or execve will enter.

    After ``unshare(CLONE_NEWTIME)`` and before something is in it: then the offsets are fixed (EACCES). So clone3 with
    CLONE_NEWTIME makes a namespace that cannot have any. ERANGE for a clock that would be negative. An execve enters it
    since Linux 6.2; before, `own_time_namespace` gives what setns(2) takes. time_namespaces(7).
    """
    rows = (("monotonic", *divmod(monotonic, _SECOND)), ("boottime", *divmod(boottime, _SECOND)))
    content = "".join(f"{clock} {seconds} {nanoseconds}\n" for clock, seconds, nanoseconds in rows)
    _write("/proc/self/timens_offsets", content.encode())


def own_time_namespace() -> int | None:
    """Return a descriptor of the time namespace that the caller made and is not in; None where an execve enters it."""
    if kernel_release() >= _TIME_BY_EXECVE:
        return None
    return os.open("/proc/self/ns/time_for_children", os.O_RDONLY | os.O_CLOEXEC)


def loopback_up() -> None:
    """Set the loopback device of the caller's network namespace up, which gives it 127.0.0.1 and ::1."""
    fd = check(_socket(_AF_INET, _SOCK_DGRAM_CLOEXEC, 0), "lo")
    try:
        _, flags = _IFREQ.unpack(fcntl.ioctl(fd, _SIOCGIFFLAGS, _IFREQ.pack(b"lo", 0)))
        fcntl.ioctl(fd, _SIOCSIFFLAGS, _IFREQ.pack(b"lo", flags | _IFF_UP))
    finally:
        os.close(fd)
