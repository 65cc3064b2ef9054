"""Every family of calls has its advice, and an errno that has its own goes before."""

from __future__ import annotations

import errno

from engine.actions.base import KINDS
from engine.linux.advice import advise


def test_every_action_that_can_fail_is_followed_by_advice() -> None:
    for kind in KINDS.values():
        assert advise(errno.EINVAL, kind.call).endswith((".", ")"))


def test_a_full_disk_is_a_full_disk_whatever_failed() -> None:
    assert advise(errno.ENOSPC, "mount") == advise(errno.ENOSPC, "open")
    assert "space" in advise(errno.ENOSPC, "mount")


def test_the_family_decides_the_rest() -> None:
    assert advise(errno.EINVAL, "mount") != advise(errno.EINVAL, "cgroup")
