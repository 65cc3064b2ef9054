"""Which virtual machines there are, and which tests run in each: those that this machine's own kernel cannot show."""

from __future__ import annotations

from typing import NamedTuple


def suite(module: str, tests: str) -> str:
    """Return pytest's words for a cgroup suite, less what emulation is too slow for: it has a smaller bomb as well."""
    return f"{module} --deselect {module}::{tests}::test_a_bomb_of_thousands_is_gone_within_a_second"


CGROUP_FS = suite("plugins/cgroup_fs/tests/test_contract.py", "TestCgroupFs")
CGROUP_SYSTEMD = suite("plugins/cgroup_systemd/tests/contract_inside.py", "TestCgroupSystemd")


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
