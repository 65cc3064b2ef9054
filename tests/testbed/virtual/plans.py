"""Which virtual machines there are, and which tests run in each: those that this machine's own kernel cannot show."""

from __future__ import annotations

from typing import NamedTuple


def suite(module: str, tests: str) -> str:
    """Return pytest's words for a cgroup suite, less what emulation is too slow for: it has a smaller bomb as well."""
    return f"{module} --deselect {module}::{tests}::test_a_bomb_of_thousands_is_gone_within_a_second"


CGROUP_FS = suite("plugins/cgroup_fs/tests/test_contract.py", "TestCgroupFs")
CGROUP_SYSTEMD = suite("plugins/cgroup_systemd/tests/contract_inside.py", "TestCgroupSystemd")

INSIDE = "tests/testbed/virtual/inside.py"
OLDER_KERNEL = (
    "plugins/runtime_native/tests/test_contract.py plugins/storage_btrfs/tests/test_driver.py "
    "plugins/storage_overlay/tests/test_contract.py -k 'time_namespace or subvolumes or (probe and default)'"
)
"""What Debian 12's kernel does otherwise than later ones: enter time namespaces, open by handle, mount overlays."""
COMMANDS = "tests/e2e/test_update.py -k 'memory.limit or bites'"
"""The whole engine where cgroups are v2 alone, by a few of its commands."""


class Plan(NamedTuple):
    """A machine under the name that the command line gives it, and its tests: pytest's words, a run for each."""

    name: str
    release: str
    hierarchy: str
    runs: tuple[str, ...]


PLANS = (
    Plan("v2", "bookworm", "v2", (CGROUP_FS, CGROUP_SYSTEMD, INSIDE, OLDER_KERNEL, COMMANDS)),
    Plan("v1", "bookworm", "v1", (CGROUP_FS, CGROUP_SYSTEMD)),
    Plan("systemd-257", "trixie", "v2", (CGROUP_SYSTEMD,)),
)
