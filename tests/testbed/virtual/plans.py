"""Which virtual machines there are, and which tests run in each: those that this machine's own kernel cannot show."""

from __future__ import annotations

from typing import NamedTuple

CGROUP_FS = "plugins/cgroup_fs/tests/test_contract.py"
CGROUP_SYSTEMD = "plugins/cgroup_systemd/tests/contract_inside.py"


class Plan(NamedTuple):
    """A machine under the name that the command line gives it, and its tests: pytest's words, a run for each."""

    name: str
    release: str
    hierarchy: str
    runs: tuple[str, ...]


PLANS = (
    Plan("v2", "bookworm", "v2", (CGROUP_FS, CGROUP_SYSTEMD)),
    Plan("v1", "bookworm", "v1", (CGROUP_FS, CGROUP_SYSTEMD)),
    Plan("systemd-257", "trixie", "v2", (CGROUP_SYSTEMD,)),
)
