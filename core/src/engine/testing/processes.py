"""Run a function in a child process, as tests need it: its answer brought back, its mounts in a namespace of its own.

The child is forked, so the function may be a closure. Its mounts and descriptors go with it: nothing is left behind.
"""

from __future__ import annotations

import os
import pickle
import signal
import traceback
import warnings
from collections.abc import Callable
from typing import Generic, TypeVar

from engine.linux.mounts import MS_REC, MS_SLAVE, make_propagation
from engine.linux.namespaces import CLONE_NEWNS, unshare
from engine.linux.syscalls import prctl

T = TypeVar("T")
_PR_SET_PDEATHSIG = 1


class ChildFailed(AssertionError):
    """The function raised in the child what cannot be brought back, or the child died; the text says what."""


def fork() -> int:
    """Fork, without the warning of Python 3.12 where a test runner has threads: the child uses none of theirs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def in_child(function: Callable[[], T]) -> T:
    """Return what ``function`` returns, or raise what it raises, having run it in a forked child."""
    return Child(function).result()


def in_private_mounts(function: Callable[[], T]) -> T:
    """Do the same, in a mount namespace of the child's own from which nothing spreads (CAP_SYS_ADMIN)."""
    return in_child(with_private_mounts(function))


def with_private_mounts(function: Callable[[], T]) -> Callable[[], T]:
    """Return the function that puts its process in a mount namespace of its own, and then runs ``function``.

    A slave: what others unmount meanwhile goes away here too, and is not kept from them by a copy.
    """

    def private() -> T:
        unshare(CLONE_NEWNS)
        make_propagation("/", MS_REC | MS_SLAVE)
        return function()

    return private


class Child(Generic[T]):
    """A child that runs ``function`` while its parent goes on; `result` waits for it."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
        parent = os.getpid()
        self.pid = fork()
        if self.pid == 0:
            os.close(self._read_fd)
            _die_with(parent)
            _run(function, write_fd)
        os.close(write_fd)

    def result(self) -> T:
        """Return what the function returned or raise what it raised; `ChildFailed` when the child died before."""
        with os.fdopen(self._read_fd, "rb") as file:
            answer = file.read()
        _, status = os.waitpid(self.pid, 0)
        if not answer:
            raise ChildFailed(f"the child ended without an answer, wait status {status:#x}")
        outcome, value = pickle.loads(answer)
        if outcome == "returned":
            returned: T = value
            return returned
        if isinstance(value, BaseException):
            raise value
        raise ChildFailed(value)

    def discard(self) -> None:
        """Kill the child, wait for its end, and forget its answer."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._read_fd)


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies: a test that is timed out leaves none behind."""
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _run(function: Callable[[], object], write_fd: int) -> None:
    """Write the outcome to the pipe and leave, whatever happens."""
    status = 1
    try:
        answer = _outcome(function)
        with os.fdopen(write_fd, "wb") as file:
            file.write(answer)
        status = 0
    finally:
        os._exit(status)


def _outcome(function: Callable[[], object]) -> bytes:
    try:
        return pickle.dumps(("returned", function()))
    except BaseException as error:  # noqa: BLE001  # whatever it is, the parent raises it
        text = traceback.format_exc()
        try:
            answer = pickle.dumps(("raised", error))
            pickle.loads(answer)
        except Exception:  # noqa: BLE001  # an exception that does not survive pickling is told as text
            return pickle.dumps(("raised", text))
        error.add_note(text)
        return pickle.dumps(("raised", error))
