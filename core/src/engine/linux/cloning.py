"""clone3(2) from Python: a child that starts in its namespaces and in its cgroup, with a pidfd, and is sound Python.

What ``os.fork`` does around fork(2) has to be done here as well:

- The GIL is kept from before the call until after it (``PyDLL``): released, another thread could run in between, and
  the child would wait for a lock whose owner it does not have.
- ``PyOS_BeforeFork`` takes the import lock (and since 3.13 the list of threads), ``PyOS_AfterFork_Child`` makes the
  locks and the GIL anew, makes the caller the main thread and runs the hooks of ``os.register_at_fork``.
- No signal handler of Python may raise between these: all signals are blocked meanwhile, in the child as well.
- libc keeps the thread's id in its thread descriptor; fork(2) has the kernel write the child's there. The kernel tells
  where it is (PR_GET_TID_ADDRESS), so CLONE_CHILD_SETTID writes it here too; without, ``pthread_kill`` on oneself and
  recursive or error-checking mutexes would act for the parent's thread.

What cannot be done from outside libc is to take the locks of malloc and stdio: **call this only in a process with a
single thread**, as the shim is. The child may then run any Python; it leaves by ``os._exit`` or execve.

Measured on Linux 6.18, two cores, Python 3.11: child, exit and wait take 1.2 ms where os.fork takes 1.1 (both are the
copying of the page tables); the hooks cost 0.2 microseconds in the parent, the address of the thread id 3.
"""

from __future__ import annotations

import ctypes
import errno
import signal

from engine.linux.syscalls import MACHINE, check, function, system_call
from engine.tuples import NamedTuple

CLONE_PIDFD = 0x1000
CLONE_PARENT = 0x8000
CLONE_CLEAR_SIGHAND = 0x100000000
CLONE_INTO_CGROUP = 0x200000000
_CLONE_NEWTIME = 0x80
_CLONE_CHILD_CLEARTID = 0x200000
_CLONE_CHILD_SETTID = 0x1000000
_PR_GET_TID_ADDRESS = 40

_long, _pointer = ctypes.c_long, ctypes.c_void_p
_before_fork = ctypes.pythonapi.PyOS_BeforeFork
_after_fork_parent = ctypes.pythonapi.PyOS_AfterFork_Parent
_after_fork_child = ctypes.pythonapi.PyOS_AfterFork_Child
for _hook in (_before_fork, _after_fork_parent, _after_fork_child):
    _hook.argtypes, _hook.restype = [], None

_clone3 = system_call("clone3", _pointer, ctypes.c_size_t, keep_gil=True)
_clone = system_call("clone", ctypes.c_ulong, _long, _pointer, _long, _long, keep_gil=True)
_prctl = function("prctl", ctypes.c_int, _pointer, _long, _long, _long)
_gettid = function("gettid")
_pthread_sigmask = function("pthread_sigmask", ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p)
_SIGNAL_SET_SIZE = 128
_ALL_SIGNALS = b"\xff" * _SIGNAL_SET_SIZE


class Cloned(NamedTuple):
    """What clone3 returned: in the child ``pid`` is 0 and ``pidfd`` -1."""

    pid: int
    pidfd: int


class _CloneArgs(ctypes.Structure):
    """``struct clone_args`` of linux/sched.h, as of Linux 5.7."""

    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            "flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size", "tls", "set_tid",
            "set_tid_size", "cgroup",
        )
    ]  # fmt: skip


def clone3(flags: int = 0, cgroup_fd: int | None = None, exit_signal: int = signal.SIGCHLD) -> Cloned:
    """Make a child process: twice returned, as fork(2).

    ``flags`` are CLONE_NEW* and CLONE_PARENT (never CLONE_VM or other sharing: the child gets a copy of everything).
    ``cgroup_fd`` is a directory of the cgroup v2 hierarchy to start in. The parent gets the child's pid, in its own pid
    namespace, and a pidfd. ``exit_signal`` 0 asks for ``__WALL`` when waiting. The child has the parent's signal
    handlers, which may raise: its code stands in a ``try`` whose ``finally`` is ``os._exit``.

    Where clone3 is hidden (ENOSYS, as in some sandboxes), clone(2) does the same; it has no way to start in a cgroup or
    in a new time namespace, and then ENOSYS is raised. Raises OSError; no child exists then.
    """
    pidfd = ctypes.c_int(-1)
    arguments = _CloneArgs(
        flags=flags | CLONE_PIDFD,
        pidfd=ctypes.addressof(pidfd),
        exit_signal=exit_signal,
    )
    tid_address = _tid_address()
    if tid_address:
        arguments.flags |= _CLONE_CHILD_SETTID | _CLONE_CHILD_CLEARTID
        arguments.child_tid = tid_address
    if cgroup_fd is not None:
        arguments.flags |= CLONE_INTO_CGROUP
        arguments.cgroup = cgroup_fd
    pid = _between_hooks(arguments)
    if pid == 0:
        return Cloned(0, -1)
    return Cloned(check(pid, "clone3"), pidfd.value)


def _between_hooks(arguments: _CloneArgs) -> int:
    """Clone with the interpreter prepared for it: nothing that could start a thread or import runs in between."""
    address, size = ctypes.addressof(arguments), ctypes.sizeof(arguments)
    before = ctypes.create_string_buffer(_SIGNAL_SET_SIZE)
    _pthread_sigmask(signal.SIG_BLOCK, None, before)
    try:
        # A signal that came before this is handled when the call returns, and may raise here: no lock is held yet.
        _pthread_sigmask(signal.SIG_BLOCK, _ALL_SIGNALS, None)
        _before_fork()
        pid = _clone3(address, size)
        if pid == -1 and ctypes.get_errno() == errno.ENOSYS and arguments.flags < 1 << 32:
            pid = _clone_instead(arguments)
        number = ctypes.get_errno()
        if pid == 0:
            _after_fork_child()
        else:
            _after_fork_parent()
    finally:
        _pthread_sigmask(signal.SIG_SETMASK, before, None)
    ctypes.set_errno(number)
    return pid


def _clone_instead(arguments: _CloneArgs) -> int:
    """Make the same child with clone(2), where the pidfd is written in place of the parent's thread id."""
    if arguments.flags & _CLONE_NEWTIME:
        # This bit is part of clone(2)'s exit signal.
        ctypes.set_errno(errno.ENOSYS)
        return -1
    flags = arguments.flags | arguments.exit_signal
    child_tid, tls = arguments.child_tid, 0
    last_two = (tls, child_tid) if MACHINE == "aarch64" else (child_tid, tls)
    return _clone(flags, 0, arguments.pidfd, *last_two)


def _tid_address() -> int:
    """Return where libc keeps this thread's id, or 0 if the kernel does not say (CONFIG_CHECKPOINT_RESTORE)."""
    address = ctypes.c_uint64(0)
    if _prctl(_PR_GET_TID_ADDRESS, ctypes.addressof(address), 0, 0, 0) == -1:
        return 0
    # libc must use that word as we think it does: then it holds our id now.
    is_tid = address.value and ctypes.c_int.from_address(address.value).value == _gettid()
    return address.value if is_tid else 0
