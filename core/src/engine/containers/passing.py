"""Descriptors that the caller has open, for the container: ``--preserve-fds`` as Podman has it, and socket activation.

They are 3 and those after it, in the caller as in the container (sd_listen_fds(3)). A descriptor that this process
opened itself is never passed on: the caller's are known by not being close-on-exec, as every one of Python's is.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping

from engine.containers import client
from engine.errors import InvalidInput
from engine.shim import protocol
from engine.shim.launch import Launched
from engine.spec.isolation import NEW
from engine.spec.options import RunOptions
from engine.spec.restart_policy import NEVER
from engine.spec.sizes import parse_whole
from engine.tuples import NamedTuple

_FIRST = 3
_MOST = 250
"""A message on a Unix socket takes 253 descriptors (unix(7), SCM_RIGHTS)."""


class Passed(NamedTuple):
    """What one run gets of the command that starts it: so many descriptors, and variables that speak of them."""

    descriptors: int = 0
    environment: tuple[str, ...] = ()


def parse_preserve(text: str, options: RunOptions) -> Passed:
    """Return what ``--preserve-fds N`` asks for. Raises `InvalidInput` for descriptors that are not the caller's."""
    count = parse_whole(text, "--preserve-fds", "1")
    if not 0 <= count <= _MOST:
        raise InvalidInput(f"--preserve-fds {count} is out of range", fix=f"Use a number from 0 to {_MOST}.")
    if count and options.restart != NEVER:
        raise InvalidInput(
            "--preserve-fds and --restart contradict each other: when it is started again nobody has them to pass",
            fix="Leave one of them out.",
        )
    for fd in range(_FIRST, _FIRST + count):
        if not _of_caller(fd):
            raise InvalidInput(
                f"--preserve-fds {count}: descriptor {fd} is not open",
                fix=f"Open it for the command, as in `engine run --preserve-fds 1 ... {_FIRST}<file`.",
            )
    return Passed(count)


def activated(options: RunOptions, environment: Mapping[str, str]) -> Passed:
    """Return what a service manager passes to this very process, for the container's first process to find the same.

    Nothing where that cannot be, since it is not process 1 of its pid namespace, or will be started again without us.
    """
    number = environment.get("LISTEN_FDS", "")
    if environment.get("LISTEN_PID") != str(os.getpid()) or not number.isdecimal():
        return Passed()
    if options.init or options.restart != NEVER or options.wishes()["pid"] != NEW:
        return Passed()
    count = parse_preserve(number, options).descriptors
    names = environment.get("LISTEN_FDNAMES")
    named = () if names is None else (f"LISTEN_FDNAMES={names}",)
    return Passed(count, (f"LISTEN_FDS={count}", "LISTEN_PID=1", *named))


def hand_over(shim: Launched, passed: Passed) -> None:
    """Give the caller's descriptors to a shim, before its plan."""
    if passed.descriptors:
        with client.unless_gone():
            protocol.send_descriptors(shim.connection, range(_FIRST, _FIRST + passed.descriptors))


def _of_caller(fd: int) -> bool:
    try:
        return not fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    except OSError:
        return False
