from __future__ import annotations

import errno
import os

import pytest

from engine.linux import syscalls


def test_a_failure_raises_its_errno_and_names_the_subject() -> None:
    with pytest.raises(NotADirectoryError) as caught:
        syscalls.check(syscalls.syscall(syscalls.NUMBERS["open_tree"], -100, b"/proc/self/stat/x", 0), "the subject")
    assert caught.value.filename == "the subject"
    with pytest.raises(OSError, match="Bad file descriptor: 'fd 999999'"):
        syscalls.check(syscalls.syscall(syscalls.NUMBERS["pidfd_getfd"], 999999, 0, 0), 999999)


def test_success_passes_through() -> None:
    pidfd = syscalls.check(syscalls.syscall(syscalls.NUMBERS["pidfd_open"], os.getpid(), 0))
    os.close(pidfd)


def test_an_unknown_call_is_enosys() -> None:
    with pytest.raises(OSError, match="x") as caught:
        syscalls.check(syscalls.system_call("no_such_call")(), "x")
    assert caught.value.errno == errno.ENOSYS


def test_a_nul_in_a_path_is_refused_rather_than_ending_it() -> None:
    with pytest.raises(ValueError, match="NUL"):
        syscalls.encode("/etc/passwd\0.txt")
    assert syscalls.encode("/\udcff") == b"/\xff"


@pytest.mark.parametrize(
    ("number", "call", "words"),
    [
        (errno.ENOSYS, "clone3", "does not have the call"),
        (errno.EPERM, "mount", "CAP_SYS_ADMIN"),
        (errno.EINVAL, "mount", "refused an option"),
        (errno.EBUSY, "cgroup write", "child groups"),
        (errno.ENOSPC, "unshare", "user.max"),
        (errno.ENOENT, "execve", "interpreter"),
        (errno.ELOOP, "openat2", "magic link"),
        (errno.EPERM, "no such call", "capability"),
        (errno.EPIPE, "mount", "broken pipe"),
    ],
)
def test_explain_says_what_it_means_for_that_call(number: int, call: str, words: str) -> None:
    assert words in syscalls.explain(number, call)


def test_explanations_are_clauses() -> None:
    for call in ("mount", "umount", "pivot_root", "clone3", "setns", "execve", "cgroup write", "openat2", "seccomp"):
        for number in errno.errorcode:
            text = syscalls.explain(number, call)
            assert text
            assert not text.endswith(".")
            assert "\n" not in text
