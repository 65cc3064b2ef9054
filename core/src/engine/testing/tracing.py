"""Kill or fail a process at each step in turn: what an impatient user or a full disk do at the worst moment.

A *step* is a system call that may change something that outlives the process. The function runs in a forked child that
its parent traces (ptrace(2)): the parent stops it before the step of the given number, and kills it or has the call
fail. Needs no tool but the kernel; works on x86_64 and aarch64 (`fail_at` on x86_64 alone), as the tracer reads
/proc/PID/syscall and pokes single registers.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from engine.linux.syscalls import MACHINE, check, syscall
from engine.testing.processes import Child
from engine.tuples import NamedTuple

_PTRACE = {"x86_64": 101, "aarch64": 117}.get(MACHINE, -1)
_TRACEME, _POKEUSER, _DETACH, _SYSCALL, _SETOPTIONS = 0, 6, 17, 24, 0x4200
_TRACESYSGOOD, _EXITKILL = 0x1, 0x100000
_SYSCALL_STOP = signal.SIGTRAP | 0x80
_RAX, _ORIG_RAX = 10 * 8, 15 * 8
"""Offsets in struct user of x86_64 (sys/user.h)."""

_STEPS = {
    "x86_64": {
        "write": 1, "open": 2, "ioctl": 16, "pwrite64": 18, "writev": 20, "sendfile": 40, "fsync": 74, "fdatasync": 75,
        "truncate": 76, "ftruncate": 77, "rename": 82, "mkdir": 83,
        "rmdir": 84, "creat": 85, "link": 86, "unlink": 87, "symlink": 88, "chmod": 90,
        "fchmod": 91, "chown": 92, "fchown": 93, "lchown": 94, "mknod": 133, "mount": 165, "umount2": 166,
        "setxattr": 188, "lsetxattr": 189, "fsetxattr": 190, "removexattr": 197, "openat": 257, "mkdirat": 258,
        "mknodat": 259, "fchownat": 260, "unlinkat": 263, "renameat": 264, "linkat": 265, "symlinkat": 266,
        "fchmodat": 268, "utimensat": 280, "fallocate": 285, "syncfs": 306, "renameat2": 316, "copy_file_range": 326,
    },
    "aarch64": {
        "setxattr": 5, "lsetxattr": 6, "fsetxattr": 7, "removexattr": 14, "ioctl": 29, "mknodat": 33, "mkdirat": 34,
        "unlinkat": 35, "symlinkat": 36, "linkat": 37, "umount2": 39, "mount": 40, "truncate": 45, "ftruncate": 46,
        "fallocate": 47, "fchmod": 52, "fchmodat": 53, "fchownat": 54, "fchown": 55, "openat": 56, "write": 64,
        "writev": 66, "pwrite64": 68, "sendfile": 71, "fsync": 82, "fdatasync": 83, "utimensat": 88, "syncfs": 267,
        "renameat2": 276, "copy_file_range": 285,
    },
}.get(MACHINE, {})  # fmt: skip
_EVERYWHERE = {"move_mount": 429, "fsmount": 432, "mount_setattr": 442}
_NAMES = {number: name for name, number in (_STEPS | _EVERYWHERE).items()}
_FLAGS_ARGUMENT = {"open": 1, "openat": 2}
_MAKES = os.O_CREAT | os.O_TRUNC


class Outcome(NamedTuple):
    """``step``: the call that was reached and hit, None when the function made fewer; ``error``: what it raised."""

    step: str | None
    error: BaseException | None


def kill_at(function: Callable[[], object], number: int) -> str | None:
    """Run ``function`` in a child and kill it before its ``number``-th step (from 1), which is not executed.

    Return the step's name; None when the function returned with fewer steps. What it raises then is raised.
    """

    def kill(pid: int) -> bool:
        os.kill(pid, signal.SIGKILL)
        return False

    outcome = _Tracer(function, number, kill).run()
    if outcome.error is not None:
        raise outcome.error
    return outcome.step


def fail_at(function: Callable[[], object], number: int, errno: int) -> Outcome:
    """Run ``function`` in a child with ``errno`` as the result of its ``number``-th step, which is not executed."""

    def fail(pid: int) -> bool:
        # No such call: the kernel does nothing, and its answer is replaced on the way back.
        _ptrace(_POKEUSER, pid, _ORIG_RAX, -1)
        _resume(pid)
        _, status = os.waitpid(pid, 0)
        _ptrace(_POKEUSER, pid, _RAX, -errno)
        return os.WIFSTOPPED(status)

    return _Tracer(function, number, fail).run()


CAN_KILL = bool(_STEPS)
CAN_FAIL = MACHINE == "x86_64"


class _Tracer:
    """Follows one child from system call to system call; the child stops itself where the steps begin and end."""

    def __init__(self, function: Callable[[], object], number: int, hit: Callable[[int], bool]) -> None:
        def traced() -> BaseException | None:
            _ptrace(_TRACEME)
            os.kill(os.getpid(), signal.SIGSTOP)
            try:
                function()
            except Exception as error:  # noqa: BLE001  # it is the answer
                return error
            finally:
                os.kill(os.getpid(), signal.SIGSTOP)
            return None

        self._left = number
        self._hit = hit
        self._step: str | None = None
        self._child = Child(traced)

    def run(self) -> Outcome:
        pid = self._child.pid
        os.waitpid(pid, 0)
        _ptrace(_SETOPTIONS, pid, 0, _TRACESYSGOOD | _EXITKILL)
        _resume(pid)
        if not self._follow(pid):
            self._child.discard()
            return Outcome(self._step, None)
        _ptrace(_DETACH, pid)
        return Outcome(self._step, self._child.result())

    def _follow(self, pid: int) -> bool:
        """Go on until the steps end; return False when the child was killed instead."""
        entering = False
        while True:
            _, status = os.waitpid(pid, 0)
            if not os.WIFSTOPPED(status):
                raise RuntimeError(f"the traced process died by itself, wait status {status:#x}")
            stop = os.WSTOPSIG(status)
            if stop == signal.SIGSTOP:
                return True
            if stop != _SYSCALL_STOP:
                _resume(pid, stop)
                continue
            entering = not entering
            if entering and self._is_the_one(pid):
                entering = False
                if not self._hit(pid):
                    return False
            _resume(pid)

    def _is_the_one(self, pid: int) -> bool:
        name = _step(pid)
        if name is None or self._step is not None:
            return False
        self._left -= 1
        self._step = name if self._left == 0 else None
        return self._left == 0


def _step(pid: int) -> str | None:
    """Return the name of the call that a stopped process is about to make, if it is a step."""
    with open(f"/proc/{pid}/syscall", encoding="ascii") as file:
        number, *arguments = file.read().split()
    name = _NAMES.get(int(number))
    position = _FLAGS_ARGUMENT.get(name or "")
    if position is not None and not int(arguments[position], 16) & _MAKES:
        return None
    return name


def _ptrace(request: int, pid: int = 0, address: int = 0, data: int = 0) -> None:
    check(syscall(_PTRACE, request, pid, address, data), f"ptrace of {pid}")


def _resume(pid: int, deliver: int = 0) -> None:
    """Let the process run to its next stop, with a signal if it was to get one."""
    _ptrace(_SYSCALL, pid, 0, deliver)
