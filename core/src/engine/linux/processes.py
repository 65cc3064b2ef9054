"""Processes: making them, waiting for them, knowing one again after a crash, and what a process sets for itself.

What other modules of this package hold for processes is offered here too: :func:`clone3`, :func:`reset_signals`, and
the resource limits.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import signal
import termios

from engine.linux.cloning import CLONE_INTO_CGROUP, CLONE_PARENT, CLONE_PIDFD, Cloned, clone3
from engine.linux.rlimits import RLIMITS, UNLIMITED, get_rlimit, set_rlimit
from engine.linux.signals import reset_signals
from engine.linux.syscalls import check, encode, prctl, system_call
from engine.tuples import NamedTuple

__all__ = [
    "CLONE_INTO_CGROUP", "CLONE_PARENT", "CLONE_PIDFD", "CLOSE_RANGE_CLOEXEC", "RLIMITS", "UNLIMITED", "Cloned",
    "Ended", "Identity", "alive", "clone3", "close_range", "get_rlimit", "identity", "join_session_keyring",
    "new_session", "no_new_privileges", "pidfd_getfd", "pidfd_open", "pidfd_pid", "pidfd_send_signal", "reset_signals",
    "set_child_subreaper", "set_dumpable", "set_name", "set_no_new_privileges", "set_oom_score_adj",
    "set_parent_death_signal", "set_rlimit", "wait",
]  # fmt: skip

CLOSE_RANGE_CLOEXEC = 0x4
_LAST_FD = 0xFFFFFFFF
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NAME, _PR_SET_CHILD_SUBREAPER = 1, 4, 15, 36
_PR_SET_NO_NEW_PRIVS, _PR_GET_NO_NEW_PRIVS = 38, 39
_KEYCTL_JOIN_SESSION_KEYRING = 1

_uint = ctypes.c_uint
_close_range = system_call("close_range", _uint, _uint, _uint)
_pidfd_getfd = system_call("pidfd_getfd", ctypes.c_int, ctypes.c_int, _uint)
_keyctl = system_call("keyctl", ctypes.c_int, ctypes.c_char_p)


def pidfd_open(pid: int, flags: int = 0) -> int:
    """Return a pidfd of a process; ESRCH when it was reaped already (a zombie still has one)."""
    try:
        return os.pidfd_open(pid, flags)
    except OSError as error:
        raise OSError(error.errno, error.strerror, f"pid {pid}") from None


def pidfd_send_signal(pidfd: int, number: int) -> None:
    """Send a signal to exactly that process, never to a later one of the same pid. ProcessLookupError if it is gone."""
    signal.pidfd_send_signal(pidfd, number)


def pidfd_getfd(pidfd: int, target_fd: int) -> int:
    """Return a copy of a descriptor of another process; needs the right to ptrace it (Linux 5.6)."""
    return check(_pidfd_getfd(pidfd, target_fd, 0), target_fd)


def pidfd_pid(pidfd: int) -> int:
    """Return the pid of a pidfd in the caller's pid namespace: -1 once it was reaped, 0 if it is not visible there."""
    with open(f"/proc/self/fdinfo/{pidfd}", "rb") as file:
        for line in file:
            if line.startswith(b"Pid:"):
                return int(line[4:])
    raise OSError(errno.EBADF, "not a pidfd", f"fd {pidfd}")


class Ended(NamedTuple):
    """How a process ended, or stopped: an exit status, or else the signal that it died of."""

    pid: int
    code: int
    signal: int

    @property
    def exit_status(self) -> int:
        """What a shell reports: the exit status, or 128 and the signal's number."""
        return 128 + self.signal if self.signal else self.code


def wait(process: int, flags: int = os.WEXITED, pidfd: bool = False) -> Ended | None:
    """Wait for a child by its pid, or by its pidfd if ``pidfd``; -1 as a pid is any child.

    ``flags`` are those of waitid(2); None is returned only with ``os.WNOHANG``, when it has not ended.
    ChildProcessError when it is not a child of the caller or was waited for.
    """
    kind = os.P_PIDFD if pidfd else os.P_ALL if process == -1 else os.P_PID
    info = os.waitid(kind, max(process, 0), flags)
    if info is None:
        return None
    exited = info.si_code == os.CLD_EXITED
    return Ended(info.si_pid, info.si_status if exited else 0, 0 if exited else info.si_status)


class Identity(NamedTuple):
    """What tells a process from every other one that had or will have its pid, even after a reboot."""

    pid: int
    start_time: int
    """Clock ticks from boot, as field 22 of /proc/PID/stat has them (in the reader's time namespace)."""
    boot_id: str


def identity(pid: int | None = None) -> Identity:
    """Return who the process of that pid is now (None: the caller). ProcessLookupError when there is none."""
    pid = os.getpid() if pid is None else pid
    _, start_time = _state_and_start(pid)
    return Identity(pid, start_time, boot_id())


def alive(process: Identity) -> bool:
    """Tell whether that very process still runs; a zombie has ended."""
    if process.boot_id != boot_id():
        return False
    try:
        state, start_time = _state_and_start(process.pid)
    except ProcessLookupError:
        return False
    return start_time == process.start_time and state not in {b"Z", b"X"}


def is_stopped(pid: int) -> bool:
    """Tell whether a process is stopped by a signal or a tracer, so that it will answer nobody."""
    try:
        return _state_and_start(pid)[0] in {b"T", b"t"}
    except ProcessLookupError:
        return False


def boot_id() -> str:
    """Return the random id that the kernel made when it booted."""
    with open("/proc/sys/kernel/random/boot_id", "rb", buffering=0) as file:
        return file.read().decode().strip()


def _state_and_start(pid: int) -> tuple[bytes, int]:
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            content = file.read()
    except FileNotFoundError:
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH), f"pid {pid}") from None
    # The name in parentheses may hold anything, parentheses and spaces included.
    fields = content[content.rindex(b")") + 2 :].split()
    return fields[0], int(fields[19])


def set_child_subreaper(on: bool = True) -> None:
    """Make the caller the parent of its orphaned descendants; not inherited by children."""
    prctl(_PR_SET_CHILD_SUBREAPER, int(on))


def set_parent_death_signal(number: int) -> None:
    """Have the kernel send this signal to the caller when its parent's thread ends; 0 for none.

    It is cleared by a change of credentials; and check the parent afterwards, it may have ended before.
    """
    prctl(_PR_SET_PDEATHSIG, number)


def set_dumpable(on: bool) -> None:
    """Let processes of the same user trace the caller and look into its /proc/PID, or only those with CAP_SYS_PTRACE.

    A change of credentials and an execve set it anew.
    """
    prctl(_PR_SET_DUMPABLE, int(on))


def set_no_new_privileges() -> None:
    """Forbid, for good and for all children, that execve gives privileges (set-user-ID, file capabilities)."""
    prctl(_PR_SET_NO_NEW_PRIVS, 1)


def no_new_privileges() -> bool:
    """Tell whether that is so for the caller."""
    return prctl(_PR_GET_NO_NEW_PRIVS) == 1


def set_name(name: str) -> None:
    """Set the name that ps shows (comm), of which the kernel keeps 15 bytes."""
    buffer = ctypes.create_string_buffer(os.fsencode(name)[:15], 16)
    prctl(_PR_SET_NAME, ctypes.addressof(buffer))


def close_range(first: int, last: int = _LAST_FD, flags: int = 0) -> None:
    """Close the descriptors from ``first`` to ``last``, or mark them close-on-exec with CLOSE_RANGE_CLOEXEC.

    On a kernel before 5.9 (5.11 for the flag) they are gone through one by one, from /proc/self/fd.
    """
    try:
        check(_close_range(first, last, flags), first)
    except OSError as error:
        if error.errno not in {errno.ENOSYS, errno.EINVAL} or first > last:
            raise
        _close_each(first, last, flags)


def _close_each(first: int, last: int, flags: int) -> None:
    for fd in (int(name) for name in os.listdir("/proc/self/fd")):
        if not first <= fd <= last:
            continue
        try:
            if flags & CLOSE_RANGE_CLOEXEC:
                os.set_inheritable(fd, False)
            else:
                os.close(fd)
        except OSError as error:
            # The descriptor of the listing itself is closed already.
            if error.errno != errno.EBADF:
                raise


def set_oom_score_adj(score: int, pid: int | str = "self") -> None:
    """Set how readily the kernel kills the process for memory, -1000 (never) to 1000; lower needs CAP_SYS_RESOURCE."""
    path = f"/proc/{pid}/oom_score_adj"
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, str(score).encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(fd)


def new_session(tty_fd: int | None = None) -> None:
    """Make the caller the leader of a new session, whose controlling terminal is ``tty_fd`` if given (setsid(2)).

    EPERM when it leads a process group already, or the terminal belongs to another session.
    """
    os.setsid()
    if tty_fd is not None:
        fcntl.ioctl(tty_fd, termios.TIOCSCTTY, 0)


def join_session_keyring(name: str | None = None) -> int:
    """Give the caller a session keyring of its own, so that it does not see its parent's; return its serial number.

    With a name, one of that name is joined if the caller may search it, else made. keyrings(7).
    """
    return check(_keyctl(_KEYCTL_JOIN_SESSION_KEYRING, None if name is None else encode(name)), name)
