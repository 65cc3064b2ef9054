from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from engine.errors import InvalidInput
from engine.linux import processes, seccomp
from engine.linux.syscalls import MACHINE, NUMBERS, check, syscall

InChild = Callable[..., Any]

pytestmark = pytest.mark.skipif(seccomp.available() is not None, reason=str(seccomp.available()))


def allow_but(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": list(rules)}


def under(profile: dict[str, Any], call: Callable[[], Any]) -> int:
    program = seccomp.compile(profile)
    processes.set_no_new_privileges()
    seccomp.load(program)
    try:
        call()
    except OSError as error:
        return error.errno or 0
    return 0


def test_a_call_is_refused_with_the_errno_of_its_rule(in_child: InChild) -> None:
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EOVERFLOW}
    assert in_child(lambda: under(allow_but(rule), lambda: os.mkdir("/proc/x"))) == errno.EOVERFLOW


def test_the_default_errno_is_eperm(in_child: InChild) -> None:
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}
    assert in_child(lambda: under(allow_but(rule), lambda: os.mkdir("/proc/x"))) == errno.EPERM


def test_arguments_are_compared(in_child: InChild) -> None:
    arguments = [{"index": 0, "value": socket.AF_VSOCK, "op": "SCMP_CMP_EQ"}]
    rule = {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EXDEV, "args": arguments}
    profile = allow_but(rule)
    assert in_child(lambda: under(profile, lambda: socket.socket(socket.AF_VSOCK))) == errno.EXDEV
    assert in_child(lambda: under(profile, lambda: socket.socket(socket.AF_UNIX))) == 0


def test_two_conditions_on_one_argument_are_alternatives(in_child: InChild) -> None:
    arguments = [{"index": 0, "value": family, "op": "SCMP_CMP_EQ"} for family in (socket.AF_VSOCK, socket.AF_UNIX)]
    rule = {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EXDEV, "args": arguments}
    for family in (socket.AF_VSOCK, socket.AF_UNIX):
        assert in_child(lambda family=family: under(allow_but(rule), lambda: socket.socket(family))) == errno.EXDEV


def test_calls_newer_than_the_profile_do_not_exist_for_it(in_child: InChild) -> None:
    every = [name for name in SOME_CALLS if name != "mkdir"]
    profile = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": every, "action": "SCMP_ACT_ALLOW"}]}
    last = NUMBERS["openat2"]

    def body() -> list[int]:
        seen = [under(profile, lambda: check(syscall(last, -1, 0, 0, 0)))]
        for number in (last + 1, 5000):
            try:
                check(syscall(number, 0, 0, 0))
            except OSError as error:
                seen.append(error.errno or 0)
        return seen

    assert in_child(body) == [errno.EINVAL, errno.ENOSYS, errno.ENOSYS]
    with_errno = {**profile, "defaultErrnoRet": errno.EACCES}
    rule = {"names": ["mount_setattr"], "action": "SCMP_ACT_ALLOW"}
    refused = {**with_errno, "syscalls": [*profile["syscalls"], rule]}
    assert in_child(lambda: under(refused, lambda: os.mkdir("/proc/x"))) == errno.EACCES
    assert in_child(lambda: under(refused, lambda: check(syscall(NUMBERS["pidfd_getfd"], -1, 0, 0)))) == errno.EACCES


def test_a_filter_needs_no_new_privileges(in_child: InChild) -> None:
    def body() -> int:
        program = seccomp.compile(allow_but())
        os.setresuid(65534, 65534, 65534)
        try:
            seccomp.load(program)
        except OSError as error:
            return error.errno or 0
        return 0

    assert in_child(body) == errno.EACCES


def test_unknown_system_calls_are_left_out() -> None:
    rule = {"names": ["mkdir", "no_such_call", "another"], "action": "SCMP_ACT_ERRNO"}
    assert seccomp.unknown(allow_but(rule)) == ["another", "no_such_call"]
    assert seccomp.compile(allow_but(rule)) == seccomp.compile(allow_but({**rule, "names": ["mkdir"]}))


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        ({}, "unknown action None"),
        ({"defaultAction": "SCMP_ACT_NONSENSE"}, "SCMP_ACT_NONSENSE"),
        (allow_but({"names": ["mkdir"], "action": "ALLOW"}), "'ALLOW'"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_PDP11"]}, "PDP11"),
        (
            allow_but({"names": ["mkdir"], "action": "SCMP_ACT_KILL", "args": [{"index": 0, "value": 1, "op": "EQ"}]}),
            "'EQ'",
        ),
        (
            allow_but(
                {"names": ["mkdir"], "action": "SCMP_ACT_KILL", "args": [{"index": 9, "value": 1, "op": "SCMP_CMP_EQ"}]}
            ),
            r"rule 0 \(mkdir\)",
        ),
    ],
)
def test_a_profile_that_makes_no_sense(profile: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        seccomp.compile(profile)


def test_a_program_that_is_none(in_child: InChild) -> None:
    def body() -> int:
        processes.set_no_new_privileges()
        try:
            seccomp.load(b"\xff" * 80)
        except OSError as error:
            return error.errno or 0
        return 0

    assert in_child(body) == errno.EINVAL


@pytest.mark.skipif(MACHINE != "x86_64", reason="i386 system calls exist only on x86_64")
def test_further_architectures_are_filtered_too() -> None:
    rule = {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}
    native = seccomp.compile(allow_but(rule))
    both = seccomp.compile({**allow_but(rule), "architectures": [seccomp.NATIVE_ARCHITECTURE, "SCMP_ARCH_X86"]})
    assert len(both) > len(native)


def test_a_listener(in_child: InChild) -> None:
    def body() -> bool:
        profile = allow_but({"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"})
        program = seccomp.compile(profile)
        processes.set_no_new_privileges()
        fd = seccomp.load(program, seccomp.FILTER_FLAG_NEW_LISTENER)
        return os.readlink(f"/proc/self/fd/{fd}").endswith("notify]") or fd > 2

    assert in_child(body)


def test_compiling_a_profile_of_the_usual_size_is_quick() -> None:
    names = [name for name in SOME_CALLS if name not in seccomp.unknown({"syscalls": [{"names": SOME_CALLS}]})]
    profile = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": names, "action": "SCMP_ACT_ALLOW"}]}
    began = time.perf_counter()
    program = seccomp.compile(profile)
    assert time.perf_counter() - began < 0.5
    assert len(program) // 8 > len(names)


SOME_CALLS = [
    "accept", "accept4", "access", "bind", "brk", "capget", "capset", "chdir", "chmod", "chown", "clock_gettime",
    "close", "connect", "copy_file_range", "dup", "dup2", "dup3", "epoll_create", "epoll_ctl", "epoll_wait",
    "eventfd2", "execve", "exit", "exit_group", "faccessat", "fadvise64", "fallocate", "fchdir", "fchmod",
    "fchown", "fcntl", "fdatasync", "flock", "fstat", "fsync", "ftruncate", "futex", "getcwd", "getdents64",
    "getegid", "geteuid", "getgid", "getpid", "getppid", "getrandom", "getrlimit", "getsockname", "getsockopt",
    "gettid", "getuid", "inotify_add_watch", "ioctl", "kill", "lchown", "link", "listen", "lseek", "lstat",
    "madvise", "mkdir", "mknod", "mlock", "mmap", "mprotect", "mremap", "munmap", "nanosleep", "newfstatat",
    "open", "openat", "openat2", "pause", "pipe", "pipe2", "poll", "ppoll", "prctl", "pread64", "pwrite64", "read",
    "readlink", "readv", "recvfrom", "recvmsg", "rename", "rmdir", "rt_sigaction", "rt_sigprocmask",
    "rt_sigreturn", "sched_yield", "select", "sendfile", "sendmsg", "sendto", "setgid", "setgroups", "setresuid",
    "setsid", "setsockopt", "setuid", "shutdown", "sigaltstack", "socket", "splice", "stat", "statfs", "statx",
    "symlink", "sync", "sysinfo", "tee", "tgkill", "time", "truncate", "umask", "uname", "unlink", "utime",
    "vfork", "wait4", "waitid", "write", "writev",
]  # fmt: skip
