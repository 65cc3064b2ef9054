from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.linux import namespaces, uts


def test_names_are_those_of_the_namespace_alone(in_child: Callable[..., Any]) -> None:
    before = os.uname().nodename

    def body() -> list[str]:
        namespaces.unshare(namespaces.CLONE_NEWUTS)
        uts.set_hostname("a-host")
        uts.set_domainname("a.domain")
        return [os.uname().nodename, Path("/proc/sys/kernel/domainname").read_text().strip()]

    assert in_child(body) == ["a-host", "a.domain"]
    assert os.uname().nodename == before


def test_a_name_that_is_too_long(in_child: Callable[..., Any]) -> None:
    def body() -> int:
        namespaces.unshare(namespaces.CLONE_NEWUTS)
        uts.set_hostname("x" * uts.MAX_NAME)
        try:
            uts.set_hostname("x" * (uts.MAX_NAME + 1))
        except OSError as error:
            return error.errno or 0
        return 0

    assert in_child(body) == errno.EINVAL
