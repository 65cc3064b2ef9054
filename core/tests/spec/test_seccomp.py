from __future__ import annotations

import ctypes
import errno
import os
import socket
import subprocess
import threading
from collections.abc import Callable

import pytest

from engine.errors import Unsupported
from engine.linux import processes, seccomp
from engine.linux.syscalls import MACHINE, syscall
from engine.spec.seccomp import default_profile
from engine.testing.processes import in_child

DENIED = {
    "acct": 163, "add_key": 248, "bpf": 321, "clock_settime": 227, "delete_module": 176, "fanotify_init": 300,
    "finit_module": 313, "fsconfig": 431, "fsmount": 432, "fsopen": 430, "fspick": 433, "get_mempolicy": 239,
    "init_module": 175, "io_uring_enter": 426, "io_uring_register": 427, "io_uring_setup": 425, "ioperm": 173,
    "iopl": 172, "kcmp": 312, "kexec_file_load": 320, "kexec_load": 246, "keyctl": 250, "lookup_dcookie": 212,
    "mbind": 237, "migrate_pages": 256, "mount": 165, "mount_setattr": 442, "move_mount": 429, "move_pages": 279,
    "nfsservctl": 180, "open_by_handle_at": 304, "open_tree": 428, "perf_event_open": 298, "pidfd_getfd": 438,
    "pivot_root": 155, "process_madvise": 440, "quotactl": 179, "quotactl_fd": 443, "reboot": 169, "request_key": 249,
    "set_mempolicy": 238, "setdomainname": 171, "sethostname": 170, "setns": 308, "settimeofday": 164, "swapoff": 168,
    "swapon": 167, "sysfs": 139, "syslog": 103, "umount2": 166, "unshare": 272, "uselib": 134, "userfaultfd": 323,
    "ustat": 136, "vhangup": 153, "chroot": 161,
}  # fmt: skip
"""x86_64 numbers of calls that Docker's default profile denies to a container without capabilities."""
WITH_CAPABILITY = {
    "CAP_SYS_ADMIN": {"unshare", "setns", "mount", "umount2", "bpf", "fsopen", "perf_event_open", "sethostname"},
    "CAP_SYS_CHROOT": {"chroot"},
    "CAP_SYS_TIME": {"settimeofday", "clock_settime"},
    "CAP_SYS_NICE": {"get_mempolicy", "mbind", "set_mempolicy"},
    "CAP_SYS_PTRACE": {"kcmp", "pidfd_getfd", "process_madvise"},
    "CAP_BPF": {"bpf"},
    "CAP_PERFMON": {"perf_event_open"},
    "CAP_SYSLOG": {"syslog"},
    "CAP_DAC_READ_SEARCH": {"open_by_handle_at"},
    "CAP_SYS_BOOT": {"reboot"},
    "CAP_SYS_MODULE": {"init_module", "finit_module", "delete_module"},
    "CAP_SYS_RAWIO": {"iopl", "ioperm"},
    "CAP_SYS_PACCT": {"acct"},
    "CAP_SYS_TTY_CONFIG": {"vhangup"},
}
CLONE = 56
CLONE3 = 435
NEVER_ASSIGNED = 999

pytestmark = pytest.mark.skipif(MACHINE != "x86_64", reason="the numbers are those of x86_64")


def filtered(look: Callable[[], object], *capabilities: str) -> object:
    """Return what ``look`` sees under the default profile for these capabilities."""
    program = seccomp.compile(default_profile(frozenset(capabilities), MACHINE))

    def act() -> object:
        processes.set_no_new_privileges()
        seccomp.load(program)
        return look()

    return in_child(act)


def outcome(number: int, *arguments: int) -> int:
    """Return the errno of a call, 0 when it succeeded; arguments that no call accepts, unless some are given."""
    ctypes.set_errno(0)
    given = arguments or (-1,) * 6
    return ctypes.get_errno() if syscall(number, *given) == -1 else 0


def test_denied_calls_fail_with_eperm() -> None:
    found = filtered(lambda: {name: outcome(number) for name, number in DENIED.items()})
    assert found == dict.fromkeys(DENIED, errno.EPERM)


def test_they_fail_for_another_reason_without_the_filter() -> None:
    safe = {name: number for name, number in DENIED.items() if name not in {"vhangup", "acct", "swapoff", "syslog"}}
    found = in_child(lambda: {name for name, number in safe.items() if outcome(number) == errno.EPERM})
    # kexec is refused to everybody without CAP_SYS_BOOT or in a locked-down kernel; the rest says something else.
    assert len(found) < 8, found


@pytest.mark.parametrize("capability", WITH_CAPABILITY)
def test_capability_brings_its_calls_and_no_other(capability: str) -> None:
    bare = _allowed(default_profile(frozenset(), MACHINE))
    more = _allowed(default_profile(frozenset({capability}), MACHINE)) - bare
    assert more >= WITH_CAPABILITY[capability]
    assert (more & DENIED.keys()) - WITH_CAPABILITY[capability] <= {
        "fsconfig", "fsmount", "fspick", "move_mount", "mount_setattr", "open_tree", "quotactl", "quotactl_fd",
        "setdomainname", "syslog", "fanotify_init", "lookup_dcookie",
    }  # fmt: skip


def _allowed(profile: object) -> set[str]:
    rules = profile["syscalls"]  # type: ignore[index]
    return {
        name for rule in rules if rule["action"] == "SCMP_ACT_ALLOW" and "args" not in rule for name in rule["names"]
    }


def test_no_denied_call_is_allowed_without_capabilities() -> None:
    for machine in ("x86_64", "aarch64"):
        assert not _allowed(default_profile(frozenset(), machine)) & {
            *DENIED,
            "clone",
            "clone3",
            "socket",
            "personality",
        }


def test_clone_makes_processes_but_no_namespaces() -> None:
    new_user, new_net = 0x10000000, 0x40000000
    assert filtered(lambda: [outcome(CLONE, flag, 0, 0, 0, 0) for flag in (new_user, new_net)]) == [errno.EPERM] * 2
    assert filtered(lambda: outcome(CLONE3)) == errno.ENOSYS


def test_call_that_is_newer_than_the_profile_does_not_exist() -> None:
    assert filtered(lambda: outcome(NEVER_ASSIGNED)) == errno.ENOSYS


def test_personality_and_socket_families_are_limited() -> None:
    personality = 135
    assert filtered(lambda: outcome(personality, 0xFFFFFFFF)) == 0
    assert filtered(lambda: outcome(personality, 0x0040000)) == errno.EPERM

    def families() -> list[int]:
        return [outcome(41, family, socket.SOCK_DGRAM, 0) for family in (socket.AF_VSOCK, socket.AF_ALG)]

    assert filtered(families) == [errno.EPERM] * 2


def test_ordinary_work_goes_on() -> None:
    def work() -> str:
        threads = [threading.Thread(target=os.getpid) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with socket.socket() as inet, socket.socket(socket.AF_UNIX) as unix:
            assert inet.fileno() != unix.fileno()
        return subprocess.run(["sh", "-c", "echo $((6 * 7))"], capture_output=True, text=True, check=True).stdout

    assert filtered(work) == "42\n"


def test_unknown_machine_is_unsupported() -> None:
    with pytest.raises(Unsupported, match="vax"):
        default_profile(frozenset(), "vax")
